"""POST /v1/devices: a provisioned board's keys, once (checklist 62)."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient

from backend.m2m.service import M2mService
from protocols.magicbox import wire

PATH = "/v1/devices"
PASSWORD = "p" * 22
NEW = {"serial": "BOARD/1", "market": "UG", "link_key": "0a" * 32, "password": PASSWORD}


async def ask(http: TestClient, request: object, key: str = "m2m-test-key") -> tuple[int, object]:
    async with http.post(PATH, json=request, headers={"X-API-Key": key}) as answer:
        text = await answer.text()
        assert PASSWORD not in text
        assert "0a0a" not in text
        return answer.status, await answer.json()


async def test_the_same_again_changes_nothing(http: TestClient, service: M2mService, make_device) -> None:
    registered = {"serial": "BOARD/1", "market": "UG", "status": "registered"}
    for _ in range(2):
        assert await ask(http, NEW) == (201, registered)
    assert await asyncio.gather(*(ask(http, NEW) for _ in range(5))) == [(201, registered)] * 5
    assert await service.verify_login("BOARD%2F1", PASSWORD) == "BOARD/1"
    board = make_device("BOARD/1", bytes.fromhex("0a" * 32))
    (answer,) = await service.ingest([("BOARD/1", board.frame(board.status()))])
    assert board.read(answer.down[0])[0] == wire.Ack(1, 1)


@pytest.mark.parametrize("changes", [{"link_key": "0b" * 32}, {"password": "q" * 22}])
async def test_other_values_are_a_conflict(
    http: TestClient, service: M2mService, changes: dict[str, str]
) -> None:
    await ask(http, NEW)
    assert await ask(http, NEW | changes) == (409, {"error": "BOARD/1 is registered with other values"})
    assert await service.verify_login("BOARD%2F1", PASSWORD) == "BOARD/1"


async def test_a_key_is_for_its_markets(http: TestClient, service: M2mService) -> None:
    await service.install_key(key="rw-key", client="rwanda", markets=["RW"])
    await service.install_key(key="all-key", client="operator")
    assert (await ask(http, NEW, "rw-key"))[0] == 403
    assert (await ask(http, NEW | {"market": "RW"}, "all-key"))[0] == 201
    assert await ask(http, NEW) == (403, {"error": "The device is in another market"})


async def command(http: TestClient, key: str) -> int:
    created = {"identifier": "BOARD/1", "command": {"name": "sync"}}
    async with http.post("/v1/commands", json=created, headers={"X-API-Key": key}) as answer:
        assert answer.status == 201
        return int(answer.headers["Location"].rpartition("/")[2])


@pytest.mark.parametrize("registrar", ["m2m-test-key", "all-key"])
@pytest.mark.parametrize("first", ["rw-key", "all-key"])
async def test_registration_decides_the_market(
    http: TestClient, service: M2mService, make_device, first: str, registrar: str
) -> None:
    """Whose command created the device does not matter; what another market's client commanded ends."""
    await service.install_key(key="rw-key", client="rwanda", markets=["RW"])
    await service.install_key(key="all-key", client="operator")
    clients = [await command(http, key) for key in (first, "rw-key", "all-key")]
    assert (await ask(http, NEW, registrar))[0] == 201
    states = []
    for number in clients:
        async with http.get(f"/v1/commands/{number}", headers={"X-API-Key": "all-key"}) as answer:
            states.append((await answer.json())["status"])
    own = "cancelled" if first == "rw-key" else "created"
    assert states == [own, "cancelled", "created"]
    board = make_device("BOARD/1", bytes.fromhex("0a" * 32))
    (answer,) = await service.ingest([("BOARD/1", board.frame(board.status()))])
    said = [record for frame in answer.down for record in board.read(frame)]
    sent = [record.command_id for record in said if hasattr(record, "command_id")]
    assert sent == [number for number, state in zip(clients, states, strict=True) if state == "created"]
    async with http.post(
        "/v1/commands",
        json={"identifier": "BOARD/1", "command": {"name": "sync"}},
        headers={"X-API-Key": "rw-key"},
    ) as answer:
        assert answer.status == 403


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_wrong_key(http: TestClient, service: M2mService, key: str) -> None:
    assert await ask(http, NEW, key) == (401, {"error": "Unauthorized"})
    assert (await service.audit()).devices == 1


@pytest.mark.parametrize(
    ("request_body", "error"),
    [
        ({}, "Missing parameters: serial, market, link_key, password"),
        (NEW | {"market": ""}, "Missing parameters: market"),
        (NEW | {"serial": 5}, "Invalid parameters: serial"),
        (NEW | {"serial": "x\x00"}, "Invalid parameters: serial"),
        (NEW | {"market": "Uganda"}, "Invalid parameters: market"),
        (NEW | {"market": "+/"}, "Invalid parameters: market"),
        (NEW | {"link_key": "0a" * 15}, "Invalid parameters: link_key"),
        (NEW | {"link_key": "0a" * 65}, "Invalid parameters: link_key"),
        (NEW | {"link_key": "0a " * 32}, "Invalid parameters: link_key"),
        (NEW | {"link_key": "z" * 64, "password": "short"}, "Invalid parameters: link_key, password"),
        (NEW | {"password": ["p"]}, "Invalid parameters: password"),
        ([], "Invalid JSON"),
    ],
)
async def test_bad_requests_change_nothing(
    http: TestClient, service: M2mService, request_body: object, error: str
) -> None:
    assert await ask(http, request_body) == (400, {"error": error})
    assert (await service.audit()).devices == 1
