"""The rows of the checklist on M2M that are not told elsewhere in this folder, one test a row (52-76)."""

import asyncio
import base64
import hashlib
import json

import pytest
from aiohttp.test_utils import TestClient

from backend.kit.keys import WRONG
from backend.kit.ratelimit import OPEN
from backend.m2m import callbacks
from backend.m2m.service import M2mService
from backend.settings import ServeSettings
from protocols.magicbox import wire
from simulator.clock import ManualClock
from simulator.settings import UpSettings

SERIAL = "SCBLNX/A/BT/240300126005"
PASSWORD = "device-password"
LOGIN = "SCBLNX%2FA%2FBT%2F240300126005"
UNLOCK = {"name": "unlock_token", "details": {"unlock_code": "123456789"}}
GOOD = {"identifier": SERIAL, "callback_url": "https://your-service.com/webhook/m2m", "command": UNLOCK}
FIRMWARE = bytes(range(256)) * 20
UNAUTHORIZED = (401, {"error": "Unauthorized"})


async def post(http: TestClient, path: str, body: object, **headers: str) -> tuple[int, dict]:
    async with http.post(path, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def log(http: TestClient, frame: bytes, password: str = PASSWORD) -> tuple[int, bytes]:
    login = base64.b64encode(f"{LOGIN}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/octet-stream", "X-API-Key": ""}
    async with http.post("/v1/log", data=frame, headers=headers) as answer:
        return answer.status, await answer.read()


async def check_in(http: TestClient, device) -> list[wire.Record]:
    """A check-in over HTTP: what the answer brings besides acknowledgements, done by the device."""
    device.status()
    _, frame = await log(http, device.frame())
    records = [record for record in device.read(frame) if not isinstance(record, wire.Ack)]
    device.receive(frame)
    return records


@pytest.fixture
async def stored(http: TestClient, service: M2mService) -> TestClient:
    await service.firmware.put("payg-1.0.0.img", FIRMWARE, client="operator")
    return http


async def test_checklist_52_ping_needs_no_login(http: TestClient) -> None:
    async with http.get("/v1/ping", headers={"X-API-Key": ""}) as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_checklist_53_log_takes_a_raw_payload_with_basic_auth(http: TestClient, device) -> None:
    status, frame = await log(http, device.frame(device.status()))
    assert status == 200
    assert device.read(frame)[0] == wire.Ack(1, 1)
    assert (await log(http, device.frame(device.status()), password="wrong"))[0] == 401


async def test_checklist_54_firmware_needs_no_login(stored: TestClient) -> None:
    async with stored.get("/v1/firmware/payg-1.0.0.img", headers={"X-API-Key": ""}) as answer:
        assert (answer.status, answer.content_type) == (200, "application/octet-stream")
        assert await answer.read() == FIRMWARE


async def test_checklist_55_checksum_is_the_md5(stored: TestClient) -> None:
    async with stored.get("/v1/firmware/payg-1.0.0.img/checksum", headers={"X-API-Key": ""}) as answer:
        assert answer.status == 200
        assert await answer.text() == hashlib.md5(FIRMWARE, usedforsecurity=False).hexdigest()


async def test_checklist_60_v1_commands_answers_waiting(http: TestClient) -> None:
    body = {"identifier": SERIAL, "command": UNLOCK, "callback_url": GOOD["callback_url"]}
    assert await post(http, "/v1/commands", body) == (
        201,
        {"identifier": SERIAL, "command": "TOKEN: 123456789", "status": "waiting"},
    )


@pytest.mark.parametrize("settings", [ServeSettings, UpSettings])
def test_checklist_61_the_key_can_come_from_the_environment(settings, monkeypatch) -> None:
    monkeypatch.setenv("M2M_API_KEY", "key-of-the-environment")
    key = settings().m2m_api_key
    assert key.get_secret_value() == "key-of-the-environment"
    assert "key-of" not in repr(key)


async def test_checklist_62_an_unknown_device_is_created(http: TestClient, service: M2mService) -> None:
    before = (await service.audit()).devices
    for _ in range(2):
        assert (await post(http, "/m2m/command", GOOD | {"identifier": "NEW/1"}))[0] == 201
    assert (await service.audit()).devices == before + 1


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (UNLOCK, "TOKEN: 123456789"),
        ({"name": "sync"}, "SYNC"),
        ({"name": "synciv"}, "SYNCIV"),
        ({"name": "reset"}, "RESET"),
        ({"name": "useracct", "details": {"operation": "name Joy"}}, "USERACCT: name Joy"),
    ],
)
async def test_checklist_64_the_five_commands(http: TestClient, command: dict, text: str) -> None:
    status, answer = await post(http, "/m2m/command", GOOD | {"command": command})
    assert (status, answer["command"]) == (201, text)


async def test_checklist_63_65_the_seeds_request_and_answer(http: TestClient) -> None:
    assert await post(http, "/m2m/command", GOOD) == (
        201,
        {
            "identifier": SERIAL,
            "command": "TOKEN: 123456789",
            "status": "created",
            "created_at": "2025-12-01T10:10:00Z",
        },
    )


async def test_checklist_102_a_reference_is_good_for_more_than_three_days(
    http: TestClient, clock: ManualClock
) -> None:
    places: list[str] = []
    for later_s in (0, 73 * 3600):
        clock.advance(later_s)
        async with http.post("/m2m/command", json=GOOD | {"reference": "order-1"}) as answer:
            assert answer.status == 201
            places.append(answer.headers["Location"])
    assert places[0] == places[1]


async def test_checklist_103_a_key_in_the_url_is_no_key(http: TestClient) -> None:
    for path in ("/m2m/command", "/v1/commands"):
        url = f"{path}?X-API-Key=m2m-test-key&api_key=m2m-test-key"
        assert await post(http, url, GOOD, **{"X-API-Key": ""}) == UNAUTHORIZED


async def test_checklist_66_missing_or_invalid_key(http: TestClient) -> None:
    for path in ("/m2m/command", "/v1/commands"):
        for key in ("", "invalid"):
            assert await post(http, path, GOOD, **{"X-API-Key": key}) == UNAUTHORIZED


async def test_checklist_67_missing_parameters(http: TestClient) -> None:
    assert await post(http, "/m2m/command", {"command": UNLOCK}) == (
        400,
        {"error": "Missing parameters: identifier, callback_url"},
    )


async def test_checklist_68_unsupported_command(http: TestClient) -> None:
    assert await post(http, "/m2m/command", GOOD | {"command": {"name": "invalid_cmd"}}) == (
        400,
        {"error": "Unsupported command: invalid_cmd"},
    )


async def test_checklist_69_the_demo_of_seed_a(http: TestClient) -> None:
    """An object as identifier, no callback, no JSON content type, as `curl -d` sends it."""
    body = {"identifier": {"kind": "serial", "value": "DEVICE123"}, "command": {"name": "unlock_token"}}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for path, missing in (("/m2m/command", "callback_url"), ("/v1/commands", "unlock_code")):
        async with http.post(path, data=json.dumps(body), headers=headers) as answer:
            assert (answer.status, await answer.json()) == (400, {"error": f"Missing parameters: {missing}"})
    body["command"]["details"] = {"unlock_code": 42744349}
    async with http.post("/v1/commands", data=json.dumps(body), headers=headers) as answer:
        assert (answer.status, (await answer.json())["identifier"]) == (201, "DEVICE123")


async def test_checklist_70_created_then_sent_then_replied(
    http: TestClient, service: M2mService, device
) -> None:
    await check_in(http, device)
    await post(http, "/m2m/command", GOOD)
    assert (await service.audit()).commands == {"created": 1}
    assert wire.Token(1, b"123456789") in await check_in(http, device)
    assert (await service.audit()).commands == {"sent": 1}
    await check_in(http, device)
    assert (await service.audit()).commands == {"replied": 1}


async def test_checklist_71_to_75_the_callback(
    http: TestClient, service: M2mService, device, receiver
) -> None:
    await check_in(http, device)
    await post(http, "/m2m/command", GOOD | {"callback_url": receiver.url})
    await check_in(http, device)
    assert receiver.arrived.empty()  # sent, but not replied
    await check_in(http, device)
    _, body = await receiver.next()
    assert json.loads(body) == {
        "identifier": SERIAL,
        "command": "TOKEN: 123456789",
        "status": "replied",
        "device_response": "OK",
        "created_at": "2025-12-01T10:10:00Z",
        "delivered_at": "2025-12-01T10:10:00Z",
    }
    while any(service._dispatcher._running.values()):
        await asyncio.sleep(0)
    assert (await service.audit()).callbacks.delivered == 1
    async with http.get("/v1/commands/1") as answer:
        assert (await answer.json())["callback"] == "delivered"


def test_checklist_73_74_ten_retries_and_ten_seconds() -> None:
    assert (callbacks.POLICY.attempts, callbacks.TIMEOUT_S) == (11, 10.0)


async def test_checklist_76_an_exhausted_callback_is_logged_and_dead(
    service: M2mService, device, receiver, clock, capsys
) -> None:
    receiver.statuses = [500] * 11
    await service.create(identifier=SERIAL, name="sync", details={}, callback_url=receiver.url, reference="r")
    for _ in range(2):
        device.status()
        (answer,) = await service.ingest([(SERIAL, device.frame())])
        for frame in answer.down:
            device.receive(frame)
    for _ in range(11):
        await receiver.next()
        while any(service._dispatcher._running.values()):
            await asyncio.sleep(0)
        clock.advance(3600)
        service._database.committed(frozenset({"callback"}))
    assert "outbox.dead_letter" in capsys.readouterr().out
    assert (await service.audit()).callbacks.dead == 1


@pytest.mark.parametrize(
    "path", ["/v1/ping", "/v1/firmware/payg-1.0.0.img", "/v1/firmware/payg-1.0.0.img/checksum"]
)
async def test_checklist_101_what_needs_no_key_is_limited_by_address(
    stored: TestClient, device, clock: ManualClock, path: str
) -> None:
    async def ask(method: str) -> tuple[int, str | None]:
        async with stored.request(method, path, headers={"X-API-Key": ""}) as answer:
            await answer.read()
            return answer.status, answer.headers.get("Retry-After")

    for _ in range(OPEN // 10):
        assert set(await asyncio.gather(*(ask("HEAD") for _ in range(10)))) == {(200, None)}
    assert await ask("GET") == (429, "1")
    assert (await log(stored, device.frame(device.status())))[0] == 200
    clock.advance(1)
    assert await ask("GET") == (200, None)


async def test_checklist_101_wrong_logins_are_limited_by_address(http: TestClient, device) -> None:
    frame = device.frame(device.status())
    tried = await asyncio.gather(*(log(http, frame, password=f"wrong {n}") for n in range(WRONG + 1)))
    assert sorted(status for status, _ in tried) == [*[401] * WRONG, 429]
    status, body = await log(http, frame, password="wrong")
    assert (status, list(json.loads(body))) == (429, ["error"])
    assert (await log(http, frame))[0] == 200
