"""Statuses and logs of before, and for how long they are kept (retention.py)."""

from aiohttp.test_utils import TestClient

from backend.m2m.service import M2mService
from protocols.magicbox import wire
from simulator.clock import ManualClock

SERIAL = "SCBLNX/A/BT/240300126005"
PATH = "/v1/devices/SCBLNX%2FA%2FBT%2F240300126005"
NOW_S = 1_764_583_800
DAY_S = 86_400


async def page(http: TestClient, what: str, **query: str) -> dict:
    async with http.get(f"{PATH}/{what}", params=query) as answer:
        assert answer.status == 200
        return await answer.json()


async def send(service: M2mService, device) -> None:
    (answer,) = await service.ingest([(SERIAL, device.frame())])
    for frame in answer.down:
        device.receive(frame)


async def test_statuses_and_logs_newest_first(http: TestClient, service: M2mService, device) -> None:
    device.keep(wire.Log(device.next_number(), NOW_S, wire.LOG_LEVEL_INFO, b"hello 1234 5678 90"))
    for number in range(3):
        device.status(at=NOW_S + number, battery_mv=3000 + number)
    device.keep(wire.Alarm(device.next_number(), 0, wire.ALARM_KIND_LOW_CREDIT, 60))
    await send(service, device)
    first = await page(http, "statuses", limit="2")
    assert (first["identifier"], first["next"]) == (SERIAL, 3)
    assert [(entry["record"], entry["document"]["battery_mv"]) for entry in first["records"]] == [
        (4, 3002),
        (3, 3001),
    ]
    assert first["records"][0]["received_at"] == "2025-12-01T10:10:00Z"
    assert first["records"][0]["document"]["online"] is True
    last = await page(http, "statuses", limit="2", before="3")
    assert ([entry["record"] for entry in last["records"]], last["next"]) == ([2], None)
    logs = await page(http, "logs")
    assert [entry["record"] for entry in logs["records"]] == [5, 1]
    alarm, line = (entry["document"] for entry in logs["records"])
    assert (alarm["alarm_name"], alarm["at"]) == ("low_credit", "2025-12-01T10:10:00Z")
    assert line["text"] == "hello ***"  # what could be a token is masked


async def test_lines_and_frames_come_newest_first_too(
    http: TestClient, service: M2mService, device, clock: ManualClock
) -> None:
    for number in range(3):
        await service.log_lines(SERIAL, f"STATUS: {number + 1} 0 battery_mv={3100 + number}".encode())
        clock.advance(60)
        device.status(battery_mv=3000 + number)
        await send(service, device)
        clock.advance(60)
    found, before = [], {}
    while before is not None:
        part = await page(http, "statuses", limit="2", **before)
        found += [entry["document"]["battery_mv"] for entry in part["records"]]
        before = None if part["next"] is None else {"before": str(part["next"])}
    assert found == [3002, 3102, 3001, 3101, 3000, 3100]


async def test_devices_that_are_none(http: TestClient) -> None:
    for serial in ("NOBODY", "%00", "x" * 300):
        async with http.get(f"/v1/devices/{serial}/logs") as answer:
            assert (answer.status, await answer.json()) == (404, {"error": "Not found"})


async def test_checklist_109_old_telemetry_goes_and_results_stay(
    http: TestClient, service: M2mService, device, clock: ManualClock
) -> None:
    """Nothing that is gone is missing, and nothing of it is taken a second time."""
    device.keep(wire.TokenEvent(device.next_number(), 0, 0, 0, wire.TOKEN_COMMAND_ADD_TIME, 30, 4, 0))
    for _ in range(4):
        device.status(at=NOW_S)
    device.keep(wire.Gap(device.next_number(), 0, 3, 3, 0))  # 3 is stored, and said to be evicted
    old = dict(device.unacknowledged)
    await send(service, device)
    clock.advance(91 * DAY_S)
    device.status()
    await send(service, device)
    clock.advance(60)
    for _ in range(2):
        await service.housekeeping.turn()
    records = (await service.audit()).records[SERIAL]
    assert (records.stored, records.purged, records.missing, records.highest) == (4, 3, 0, 7)
    assert [entry["record"] for entry in (await page(http, "statuses"))["records"]] == [7, 3]
    device.unacknowledged = old
    await send(service, device)
    assert not device.unacknowledged
    assert (await service.audit()).records[SERIAL] == records
    assert (await service.audit()).days_granted == {SERIAL: 30}


async def test_the_newest_status_stays_however_old(
    http: TestClient, service: M2mService, device, clock: ManualClock
) -> None:
    device.status()
    device.status()
    await send(service, device)
    clock.advance(400 * DAY_S)
    for _ in range(2):  # a pass may be half done
        await service.housekeeping.turn()
    assert [entry["record"] for entry in (await page(http, "statuses"))["records"]] == [2]
    (event,) = await service.report_state(SERIAL, True, 1)
    assert b'"battery_mv":3300' in event.payload


async def test_a_pass_reaches_every_device(service: M2mService, make_device, clock: ManualClock) -> None:
    devices = []
    for number in range(120):
        key = number.to_bytes(16, "big")
        serial = f"D{number:03}"
        await service.register(serial=serial, market="UG", link_key_hex=key.hex(), password="p" * 20)
        device = make_device(serial, key)
        device.status()
        device.status()
        devices.append(device)
    await service.ingest([(device.serial, device.frame()) for device in devices])
    clock.advance(91 * DAY_S)
    for _ in range(4):
        await service.housekeeping.turn()
    records = (await service.audit()).records
    assert {(entry.stored, entry.purged, entry.missing) for entry in records.values()} == {(1, 1, 0)}
