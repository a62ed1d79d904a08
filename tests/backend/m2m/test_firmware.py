"""Firmware files over HTTP and the commands that go with them (checklist 54, 55)."""

import asyncio
import base64
import hashlib
import random
from io import BytesIO

import pytest
from aiohttp import ClientError
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st

from backend.kit.errors import Unavailable
from backend.m2m.files_routes import asked_range
from backend.m2m.firmware import MAX_FILE, PART
from backend.m2m.service import M2mService
from protocols.magicbox import wire
from simulator.clock import ManualClock

SERIAL = "SCBLNX/A/BT/240300126005"
NOW_S = 1_764_583_800
PATH = "/v1/firmware/payg-1.2.0.img"
CONTENT = random.Random(1).randbytes(3 * PART + 17)
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


@pytest.fixture
async def operator(http: TestClient, service: M2mService) -> TestClient:
    """A client with a key of all markets."""
    await service.install_key(key="operator-key", client="operator")
    http.session.headers["X-API-Key"] = "operator-key"
    return http


@pytest.fixture
async def stored(operator: TestClient) -> TestClient:
    async with operator.put(PATH, data=CONTENT) as answer:
        assert answer.status == 201
    return operator


async def test_put_is_once_and_for_ever(operator: TestClient) -> None:
    described = {
        "file": "payg-1.2.0.img",
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "md5": hashlib.md5(CONTENT).hexdigest(),  # noqa: S324 - the seed's checksum
    }
    for status in (201, 200):
        async with operator.put(PATH, data=CONTENT) as answer:
            assert (answer.status, await answer.json()) == (status, described)
    async with operator.put(PATH, data=CONTENT[:-1]) as answer:
        assert answer.status == 409
    async with operator.get(PATH) as answer:
        assert await answer.read() == CONTENT


async def test_puts_at_the_same_time_are_one_file(operator: TestClient) -> None:
    async def put(content: bytes) -> int:
        async with operator.put(PATH, data=content) as answer:
            return answer.status

    assert sorted(await asyncio.gather(*(put(b"a") for _ in range(5)))) == [200] * 4 + [201]
    assert set(await asyncio.gather(*(put(b"b") for _ in range(5)))) == {409}


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        (PATH, b"", 400),
        (PATH, bytes(MAX_FILE + 1), 413),
        (PATH, bytes(MAX_FILE), 201),
        ("/v1/firmware/.hidden", b"x", 400),
        ("/v1/firmware/" + "x" * 65, b"x", 400),
        ("/v1/firmware/a%2Fb", b"x", 400),
        ("/v1/firmware/a%00", b"x", 400),
        ("/v1/firmware/a%20b", b"x", 400),
    ],
)
async def test_what_can_be_put(operator: TestClient, path: str, data: bytes, status: int) -> None:
    async with operator.put(path, data=BytesIO(data)) as answer:
        assert answer.status == status


async def test_who_can_put(http: TestClient, service: M2mService) -> None:
    """Operators: every device may update to a file, so a key of some markets is not enough."""
    await service.install_key(key="everywhere", client="operator")
    await service.install_key(key="uganda", client="partner", markets=["UG"])
    for key, status in (("", 401), ("wrong", 401), ("uganda", 403), ("everywhere", 201)):
        async with http.put(PATH, data=b"x", headers={"X-API-Key": key}) as answer:
            assert answer.status == status


async def test_download_needs_no_login(stored: TestClient) -> None:
    del stored.session.headers["X-API-Key"]
    async with stored.get(PATH) as answer:
        assert (answer.status, answer.content_type) == (200, "application/octet-stream")
        assert (answer.headers["ETag"], answer.headers["Accept-Ranges"]) == (ETAG, "bytes")
        assert (answer.content_length, await answer.read()) == (len(CONTENT), CONTENT)
    async with stored.get(f"{PATH}/checksum") as answer:
        assert answer.content_type == "text/plain"
        assert await answer.text() == hashlib.md5(CONTENT).hexdigest()  # noqa: S324 - as above


@pytest.mark.parametrize("range_header", [None, "bytes=0-9"])
async def test_head(stored: TestClient, range_header: str | None) -> None:
    headers = {} if range_header is None else {"Range": range_header}
    async with stored.head(PATH, headers=headers) as answer:
        assert (answer.status, answer.headers["ETag"]) == (200, ETAG)
        assert (answer.headers["Content-Length"], await answer.read()) == (str(len(CONTENT)), b"")


async def test_unknown_files(http: TestClient) -> None:
    for path in (
        "/v1/firmware/no.img",
        "/v1/firmware/no.img/checksum",
        "/v1/firmware/a%00",
        "/v1/firmware/..",
    ):
        async with http.get(path) as answer:
            assert (answer.status, await answer.json()) == (404, {"error": "Not found"})
    async with http.post("/v1/firmware/no.img", data=b"x") as answer:
        assert (answer.status, await answer.json()) == (405, {"error": "Method not allowed"})


SIZE = len(CONTENT)


@pytest.mark.parametrize(
    ("range_header", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1024-2047", 1024, 2048),
        (f"bytes={PART - 1}-{2 * PART}", PART - 1, 2 * PART + 1),
        ("bytes=100-", 100, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes=5-{SIZE + 99}", 5, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
        (f"bytes=-{SIZE + 1}", 0, SIZE),
    ],
)
async def test_ranges(stored: TestClient, range_header: str, first: int, end: int) -> None:
    async with stored.get(PATH, headers={"Range": range_header}) as answer:
        assert (answer.status, await answer.read()) == (206, CONTENT[first:end])
        assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{SIZE}"


@pytest.mark.parametrize("range_header", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0"])
async def test_ranges_that_can_not_be_had(stored: TestClient, range_header: str) -> None:
    async with stored.get(PATH, headers={"Range": range_header}) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{SIZE}")


@pytest.mark.parametrize(
    "range_header", ["bytes=", "bytes=-", "bytes=9-1", "bytes=0-1,4-5", "lines=1-2", "bytes=a-b", "bytes=1"]
)
async def test_other_ranges_are_ignored(stored: TestClient, range_header: str) -> None:
    async with stored.get(PATH, headers={"Range": range_header}) as answer:
        assert (answer.status, await answer.read()) == (200, CONTENT)


async def test_conditions(stored: TestClient) -> None:
    async with stored.get(PATH, headers={"If-None-Match": ETAG}) as answer:
        assert (answer.status, answer.headers["ETag"], await answer.read()) == (304, ETAG, b"")
    for etag, status in ((ETAG, 206), ('"another"', 200)):
        async with stored.get(PATH, headers={"Range": "bytes=0-9", "If-Range": etag}) as answer:
            assert answer.status == status


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40))
def test_a_range_is_what_rfc_9110_says(first: int, last: int, size: int) -> None:
    found = asked_range(f"bytes={first}-{last}", size)
    if last < first:
        assert found is None
    else:
        assert list(range(size))[first : last + 1] == list(range(*(found or (0, 0))))


async def test_resumed_in_pieces(stored: TestClient) -> None:
    """As a board does it: the rest from where it was cut, until it has the size that its command named."""
    have = b""
    while len(have) < SIZE:
        async with stored.get(PATH, headers={"Range": f"bytes={len(have)}-"}) as answer:
            have += await answer.content.read(20_000)
    assert have == CONTENT


async def test_a_download_that_the_database_cuts_is_not_filled_with_an_error(
    stored: TestClient, service: M2mService, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = service.firmware.read

    async def failing(file, start: int, size: int) -> bytes:
        if start:
            raise Unavailable("the database is away")
        return await whole(file, start, size)

    monkeypatch.setattr(service.firmware, "read", failing)
    async with stored.get(PATH) as answer:
        parts = answer.content.iter_any()
        received = await anext(parts)
        with pytest.raises(ClientError):
            received += b"".join([part async for part in parts])
    assert CONTENT[:PART].startswith(received)


# The command


async def order(service: M2mService, reference: str, file: str = "payg-1.2.0.img") -> str:
    return await service.create(
        identifier=SERIAL, name="update", details={"file": file}, callback_url=None, reference=reference
    )


async def sent(service: M2mService, device, *records: wire.Record) -> list[wire.Record]:
    """Ingest a frame; the commands of its answer, which the device also takes."""
    (answer,) = await service.ingest([(SERIAL, device.frame(*records))])
    for frame in answer.down:
        device.receive(frame)
    found = [record for frame in answer.down for record in device.read(frame)]
    return [record for record in found if not isinstance(record, wire.Ack | wire.Time)]


async def test_an_update_says_what_the_file_must_be(stored: TestClient, service: M2mService, device) -> None:
    assert await order(service, "r") == "UPDATE: payg-1.2.0.img"
    (item,) = await service.feed.lease(limit=10, wait_s=0)
    (record,) = device.read(item.payload)
    assert record == wire.Update(1, SIZE, hashlib.sha256(CONTENT).digest(), b"payg-1.2.0.img")


async def test_other_commands_go_while_an_update_is_under_way(
    stored: TestClient, service: M2mService, device, clock: ManualClock
) -> None:
    await order(service, "first")
    await order(service, "second")
    for number in range(6):
        details = {"unlock_code": "123456789"}
        await service.create(
            identifier=SERIAL, name="unlock_token", details=details, callback_url=None, reference=f"{number}"
        )
    first = await sent(service, device, device.status(at=NOW_S))
    assert [record.command_id for record in first] == [1, 3, 4, 5, 6], "one update, and four besides"
    assert [record.command_id for record in await sent(service, device)] == [7, 8]
    assert await sent(service, device) == []
    assert (await service.audit()).commands == {"sent": 1, "created": 1, "replied": 6}
    clock.advance(299)
    assert await sent(service, device, device.status()) == [], "a device is silent while it updates"
    clock.advance(1)
    assert [record.command_id for record in await sent(service, device, device.status())] == [1]
    device.finish_update()
    assert [record.command_id for record in await sent(service, device)] == [2]
    device.finish_update()
    await sent(service, device)
    assert (await service.audit()).commands == {"replied": 8}


async def test_a_device_that_started_is_told_of_its_update_again(
    stored: TestClient, service: M2mService, device
) -> None:
    await order(service, "r")
    await sent(service, device, device.status(at=NOW_S))
    boot = wire.Boot(device.next_number(), NOW_S, 5, 0, 0, b"\x01\x02\x00")
    assert [record.command_id for record in await sent(service, device, boot)] == [1]


async def test_a_failed_update_says_why(stored: TestClient, service: M2mService, device) -> None:
    await order(service, "r")
    await sent(service, device, device.status(at=NOW_S))
    failed = wire.CommandResult(device.next_number(), NOW_S, 1, wire.COMMAND_RESULT_REJECTED, b"rolled back")
    (answer,) = await service.ingest([(SERIAL, device.frame(failed))])
    assert b'"device_response":"rolled back"' in answer.events[0].payload
    assert (await service.audit()).commands == {"replied": 1}


@pytest.mark.parametrize(
    ("name", "details", "record"),
    [
        ("config", {"key": "links", "value": "http,mqtt"}, wire.Config(1, 3, b"http,mqtt")),
        ("config", {"key": "low_credit_s", "value": ""}, wire.Config(1, 4, b"")),
        ("reset", {"kind": "soft"}, wire.Reset(1, 0, bytes(8))),
        (
            "reset",
            {"kind": "factory", "signature": "00112233445566AA"},
            wire.Reset(1, 1, b"\0\x11\x22\x33DUf\xaa"),
        ),
        ("useracct", {"operation": "name Amina Okello"}, wire.UserAcct(1, 1, b"Amina Okello")),
        ("useracct", {"operation": "language sw"}, wire.UserAcct(1, 2, b"sw")),
        ("useracct", {"operation": "pin 123456"}, wire.UserAcct(1, 3, b"123456")),
        ("useracct", {"operation": "clear"}, wire.UserAcct(1, 0, b"")),
        ("useracct", {"operation": "clear language"}, wire.UserAcct(1, 2, b"")),
    ],
)
async def test_records_of_details(
    service: M2mService, device, name: str, details: dict[str, str], record: wire.Record
) -> None:
    await service.create(identifier=SERIAL, name=name, details=details, callback_url=None, reference="r")
    assert await sent(service, device, device.status(at=NOW_S)) == [record]


async def test_a_check_in_over_http_brings_them_too(stored: TestClient, service: M2mService, device) -> None:
    await order(service, "r")
    for name, details in (("config", {"key": "keep_alive_s", "value": "60"}), ("reset", {})):
        await service.create(identifier=SERIAL, name=name, details=details, callback_url=None, reference=name)
    login = base64.b64encode(b"SCBLNX%2FA%2FBT%2F240300126005:device-password").decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/octet-stream"}
    frame = device.frame(device.status(at=NOW_S))
    async with stored.post("/v1/log", data=frame, headers=headers) as answer:
        records = device.read(await answer.read())
    assert records[2:] == [
        wire.Update(1, SIZE, hashlib.sha256(CONTENT).digest(), b"payg-1.2.0.img"),
        wire.Config(2, wire.CONFIG_KEY_KEEP_ALIVE_S, b"60"),
        wire.Reset(3, wire.RESET_KIND_SOFT, bytes(8)),
    ]
