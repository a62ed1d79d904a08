"""SYNCIV (checklist 64): both directions change together, and nothing that is lost locks a device out."""

import base64

import pytest
from aiohttp.test_utils import TestClient

from backend.m2m.downlink import MAX_EPOCH, command_record
from backend.m2m.rows import CommandRow, new_device
from backend.m2m.service import M2mService
from protocols.magicbox import wire
from simulator.clock import ManualClock

SERIAL = "SCBLNX/A/BT/240300126005"
NOW_S = 1_764_583_800


async def create(service: M2mService, name: str, **details: str) -> None:
    reference = f"{name} {details}"
    await service.create(
        identifier=SERIAL, name=name, details=details, callback_url=None, reference=reference
    )


async def leased(service: M2mService) -> list[bytes]:
    items = await service.feed.lease(limit=10, wait_s=0)
    await service.feed.confirm([item.id for item in items])
    return [item.payload for item in items]


async def up(service: M2mService, device, *records: wire.Record) -> tuple[bytes, ...]:
    """Send a frame up; the frames down."""
    (answer,) = await service.ingest([(SERIAL, device.frame(*records))])
    assert answer.refused is None
    return answer.down


async def states(service: M2mService) -> dict[str, int]:
    return dict((await service.audit()).commands)


def epochs(frames) -> list[tuple[int, int]]:
    headers = [wire.decode_header(frame) for frame in frames]
    return [(header.epoch, header.sequence) for header in headers]


async def test_both_directions_go_on_in_the_new_epoch(service: M2mService, device) -> None:
    assert epochs(await up(service, device, device.status(at=NOW_S))) == [(0, 1)]
    await create(service, "synciv")
    (frame,) = await leased(service)
    assert (epochs([frame]), device.read(frame)) == ([(0, 2)], [wire.SyncIv(1, 1)])
    assert epochs(await up(service, device, device.status(at=NOW_S))) == [(0, 3)], (
        "not before the device has it"
    )
    device.receive(frame)
    down = await up(service, device)
    assert (epochs(down), await states(service)) == ([(1, 1)], {"replied": 1})
    assert epochs(await up(service, device, device.status(at=NOW_S))) == [(1, 2)]
    await create(service, "sync")
    assert epochs(await leased(service)) == [(1, 3)]


async def test_the_second_goes_one_further(service: M2mService, device) -> None:
    for reference in ("a", "b"):
        await service.create(
            identifier=SERIAL, name="synciv", details={}, callback_url=None, reference=reference
        )
    (first,) = await leased(service)
    device.receive(first)
    (second,) = await up(service, device)
    assert epochs([second]) == [(1, 1)]
    device.receive(second)
    assert device.epoch == 2
    await up(service, device)
    assert await states(service) == {"replied": 2}


async def test_a_lost_synciv_comes_again_with_the_same_epoch(
    service: M2mService, device, clock: ManualClock
) -> None:
    await create(service, "synciv")
    await leased(service)
    clock.advance(30)
    (frame,) = await up(service, device, device.status(at=NOW_S))
    assert wire.SyncIv(1, 1) in device.read(frame)
    device.receive(frame)
    assert epochs(await up(service, device)) == [(1, 1)]
    assert await states(service) == {"replied": 1}


async def test_a_lost_answer_and_a_resent_command(service: M2mService, device, clock: ManualClock) -> None:
    """The device has it, nobody knows: what comes in the old epoch is refused, and its next frame tells."""
    await create(service, "synciv")
    (frame,) = await leased(service)
    device.receive(frame)
    device.frame()  # lost
    clock.advance(31)
    late = device.sequence
    assert late == 1
    # A restart of the bridge: the row comes again, sealed in the old epoch.
    device.receive(frame)
    assert device.refused_down == 1
    status = device.status(at=NOW_S)
    (answer,) = await up(service, device, status)  # a frame without the answer tells it as well
    assert epochs([answer]) == [(1, 1)]
    device.receive(answer)
    assert device.epoch == 1, "the same command is not done again, whatever epoch it names now"
    await up(service, device)
    assert await states(service) == {"replied": 1}
    assert epochs(await up(service, device, device.status(at=NOW_S))) == [(1, 3)]


async def test_a_quick_device_answers_before_the_confirmation(service: M2mService, device) -> None:
    await create(service, "synciv")
    (item,) = await service.feed.lease(limit=10, wait_s=0)
    device.receive(item.payload)
    assert epochs(await up(service, device)) == [(1, 1)]
    await service.feed.confirm([item.id])
    assert await states(service) == {"replied": 1}


async def test_the_service_restarts_in_between(build, service: M2mService, device, database) -> None:
    await create(service, "synciv")
    (frame,) = await leased(service)
    device.receive(frame)
    fresh = build()
    await fresh.keys.open(database, fresh._clock)
    assert epochs(await up(fresh, device)) == [(1, 1)]


async def test_a_late_frame_of_the_old_epoch_changes_nothing(service: M2mService, device) -> None:
    await create(service, "synciv")
    (frame,) = await leased(service)
    old = device.frame(device.status())
    device.receive(frame)
    (result,) = [
        record for record in device.unacknowledged.values() if isinstance(record, wire.CommandResult)
    ]
    await up(service, device, result)
    (answer,) = await service.ingest([(SERIAL, old)])
    assert (answer.refused, answer.events, answer.down, answer.stored) == (None, (), (), 0)
    await up(service, device)  # its record comes again
    assert (await service.audit()).records[SERIAL].missing == 0


async def test_what_was_under_way_is_sent_again_at_once(service: M2mService, device) -> None:
    """The device refuses the frames of the old epoch that come after the SYNCIV."""
    await create(service, "synciv")
    await create(service, "unlock_token", unlock_code="123456789")
    synciv, token = await leased(service)
    device.receive(synciv)
    device.receive(token)
    assert (device.refused_down, device.executed) == (1, [1])
    (again,) = await up(service, device)
    device.receive(again)
    assert device.executed == [1, 2]


async def test_one_frame_with_both(service: M2mService, device) -> None:
    await create(service, "synciv")
    await create(service, "unlock_token", unlock_code="123456789")
    (frame,) = await up(service, device, device.status(at=NOW_S))
    device.receive(frame)
    await up(service, device)
    assert (device.executed, await states(service)) == ([1, 2], {"replied": 2})


async def test_an_epoch_that_was_not_offered_is_refused(service: M2mService, device) -> None:
    for epoch, offered in ((1, False), (1, True), (2, False)):
        if offered:
            await create(service, "synciv")
            await leased(service)
        device.epoch = epoch
        (answer,) = await service.ingest([(SERIAL, device.frame(device.status()))])
        assert answer.refused == (None if offered else "unknown_epoch")


async def test_over_http(http: TestClient, service: M2mService, device) -> None:
    await create(service, "synciv")
    login = base64.b64encode(b"SCBLNX%2FA%2FBT%2F240300126005:device-password").decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/octet-stream"}
    sequences = []
    for _ in range(3):
        device.status(at=NOW_S)
        async with http.post("/v1/log", data=device.frame(), headers=headers) as answer:
            frame = await answer.read()
        sequences += epochs([frame])
        device.receive(frame)
    assert sequences == [(0, 1), (1, 1), (1, 2)]
    assert await states(service) == {"replied": 1}


def test_epochs_never_wrap() -> None:
    device = new_device(SERIAL, "UG")
    device.up_epoch = device.down_epoch = device.offered_epoch = MAX_EPOCH
    command = CommandRow(1, SERIAL, "synciv", "", "SYNCIV", "created", None, 0, *[None] * 4, 1, None, None)
    assert command_record(device, command) == wire.SyncIv(1, MAX_EPOCH)


async def test_a_sync_says_the_highest_count_known(service: M2mService, device) -> None:
    """Of statuses and token events; a device whose store was lost reports less, and changes nothing."""
    number = device.next_number
    event = wire.TokenEvent(number(), NOW_S, 0, 0, wire.TOKEN_COMMAND_UNLOCK_RELATIVE, 30, 9, 0)
    await up(service, device, device.status(at=NOW_S, token_count=7), event)
    await up(service, device, device.status(at=NOW_S, token_count=0))
    await create(service, "sync")
    (frame,) = await leased(service)
    assert device.read(frame) == [wire.Sync(1, 9)]


@pytest.mark.parametrize("has_epoch", [False, True])
async def test_a_device_that_lost_its_store_is_synced(service: M2mService, device, has_epoch: bool) -> None:
    """It goes on from a sequence and a record number that it can't have used, in the epoch that it hears."""
    if has_epoch:
        await create(service, "synciv")
        (frame,) = await leased(service)
        device.receive(frame)
        await up(service, device)
    await up(service, device, device.status(at=NOW_S, token_count=12))
    device.unacknowledged.clear()
    device.executed.clear()
    device.epoch = 0
    device.sequence, device.number = 1 << 31, 1 << 20
    await create(service, "sync")
    (frame,) = await leased(service)
    device.epoch = wire.decode_header(frame).epoch
    assert wire.Sync(2 if has_epoch else 1, 12) in device.read(frame)
    device.receive(frame)
    await up(service, device)
    assert set(await states(service)) == {"replied"}


async def test_a_store_that_is_lost_twice_is_seen_again(service: M2mService, device) -> None:
    """The second time its numbers go on from a lower one, by chance; its state counts all the same."""
    device.number = device.sequence = 900_000_000
    await up(service, device, device.status(at=NOW_S, state=wire.STATE_ACTIVE))
    await create(service, "synciv")
    (frame,) = await leased(service)
    device.receive(frame)
    await up(service, device)
    device.unacknowledged.clear()
    device.number, device.sequence = 600_000_000, 700_000_000
    (answer,) = await service.ingest(
        [(SERIAL, device.frame(device.status(at=NOW_S, state=wire.STATE_TAMPERED)))]
    )
    assert b'"tampered"' in b"".join(event.payload for event in answer.events)
    row = await service._database.read(lambda c: service._store.device(c, SERIAL))
    assert row is not None
    assert row.state == wire.STATE_TAMPERED
    await up(service, device, device.status(at=NOW_S, state=wire.STATE_ACTIVE))
    row = await service._database.read(lambda c: service._store.device(c, SERIAL))
    assert row is not None
    assert row.state == wire.STATE_ACTIVE
