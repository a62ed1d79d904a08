"""Commands on their way: down by feed or answer, back as a result, out as a callback (checklist 70-76)."""

import asyncio
import json
from collections.abc import Callable

import pytest
from sqlalchemy import Connection
from standardwebhooks import Webhook

from backend.kit.database import Database
from backend.kit.runtime import SystemClock
from backend.m2m import callbacks
from backend.m2m.service import M2mService
from protocols.magicbox import wire
from simulator.clock import ManualClock
from tests.backend.m2m.conftest import at_rest

SERIAL = "SCBLNX/A/BT/240300126005"
NOW_S = 1_764_583_800
WEBHOOK_SECRET = b"webhook-secret-of-32-bytes-.....".ljust(32)


async def create(
    service: M2mService, *, reference: str = "r", url: str | None = None, name: str = "unlock_token"
) -> None:
    details = {"unlock_code": "123456789"} if name == "unlock_token" else {}
    await service.create(identifier=SERIAL, name=name, details=details, callback_url=url, reference=reference)


async def send(service: M2mService, device, *records) -> list[wire.Record]:
    """Ingest a frame of the device; what its answer carries besides acknowledgements."""
    (answer,) = await service.ingest([(SERIAL, device.frame(*records))])
    found = []
    for frame in answer.down:
        device.receive(frame)
        found += [record for record in device.read(frame) if not isinstance(record, wire.Ack)]
    return found


async def states(service: M2mService) -> dict[str, int]:
    return dict((await service.audit()).commands)


async def rows(database: Database, kind: str) -> int:
    def count(connection: Connection) -> int:
        return connection.exec_driver_sql(f"SELECT count(*) FROM outbox WHERE kind = '{kind}'").scalar_one()  # noqa: S608 - our own constant

    return await database.read(count)


async def test_by_the_feed(service: M2mService, database: Database, device) -> None:
    await create(service)
    (item,) = await service.feed.lease(limit=10, wait_s=0)
    assert (item.serial, item.market, item.channel) == (SERIAL, "UG", "down")
    assert b"123456789" not in item.payload
    assert device.read(item.payload) == [wire.Token(1, b"123456789")]
    assert await states(service) == {"created": 1}
    assert await service.feed.lease(limit=10, wait_s=0) == []
    await service.feed.confirm([item.id])
    await service.feed.confirm([item.id])
    assert await states(service) == {"sent": 1}
    assert await rows(database, "down") == 0


async def test_the_feed_wakes_for_a_new_command(service: M2mService) -> None:
    waiting = asyncio.create_task(service.feed.lease(limit=10, wait_s=30))
    await asyncio.sleep(0)
    await create(service)
    assert len(await asyncio.wait_for(waiting, 5)) == 1
    assert await service.feed.lease(limit=0, wait_s=30) == []


async def test_a_lease_that_is_not_confirmed_comes_again_under_another_sequence(
    service: M2mService, device, clock: ManualClock
) -> None:
    await create(service)
    first = await service.feed.lease(limit=10, wait_s=0)
    clock.advance(31)
    second = await service.feed.lease(limit=10, wait_s=0)
    assert [device.read(item.payload) for item in (*first, *second)] == [[wire.Token(1, b"123456789")]] * 2
    assert first[0].id == second[0].id
    assert len(set(device.down_sequences)) == 2


async def test_with_the_answer_to_a_frame(service: M2mService, database: Database, device) -> None:
    await create(service)
    assert await send(service, device, device.status(at=NOW_S)) == [wire.Token(1, b"123456789")]
    assert await states(service) == {"sent": 1}
    assert await rows(database, "down") == 0


async def test_a_lost_frame_is_sent_again_after_a_while(
    service: M2mService, device, clock: ManualClock
) -> None:
    await create(service)
    (item,) = await service.feed.lease(limit=10, wait_s=0)
    await service.feed.confirm([item.id])
    assert await send(service, device, device.status(at=NOW_S)) == []
    clock.advance(30)
    token = wire.Token(1, b"123456789")
    assert token in await send(service, device, device.status(at=NOW_S + 30))
    boot = wire.Boot(device.next_number(), NOW_S + 30, 5, 0, 0, b"\x01\x00\x00")
    assert token in await send(service, device, boot)


async def test_four_commands_are_under_way_at_once(service: M2mService, database: Database, device) -> None:
    for index in range(6):
        await create(service, reference=str(index))
    items = await service.feed.lease(limit=10, wait_s=0)
    tokens = [wire.Token(number, b"123456789") for number in range(1, 7)]
    assert [device.read(item.payload) for item in items] == [[token] for token in tokens[:4]]
    await service.feed.confirm([item.id for item in items])
    assert await rows(database, "down") == 0
    results = [wire.CommandResult(device.next_number(), NOW_S, number, 0, b"") for number in (1, 2)]
    assert await send(service, device, *results) == tokens[4:]


async def test_what_is_never_answered_keeps_no_token_waiting(service: M2mService, device) -> None:
    """A command that an older firmware does not know; its place is taken until it expires."""
    for index in range(5):
        await create(service, reference=str(index), name="sync")
    items = await service.feed.lease(limit=10, wait_s=0)
    assert [device.read(item.payload) for item in items] == [[wire.Sync(n, 0)] for n in (1, 2, 3)]
    await service.feed.confirm([item.id for item in items])
    await create(service, reference="token")
    (item,) = await service.feed.lease(limit=10, wait_s=0)
    assert device.read(item.payload) == [wire.Token(6, b"123456789")]


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("sync", wire.Sync(1, 0)),
        ("synciv", wire.SyncIv(1, 1)),
        ("reset", wire.Reset(1, 0, bytes(8))),
        ("useracct", wire.UserAcct(1, 1, b"Joy")),
    ],
)
async def test_records_of_the_other_commands(
    service: M2mService, device, name: str, record: wire.Record
) -> None:
    await service.create(
        identifier=SERIAL, name=name, details={"operation": "name Joy"}, callback_url=None, reference="r"
    )
    (item,) = await service.feed.lease(limit=1, wait_s=0)
    assert device.read(item.payload) == [record]


@pytest.mark.parametrize(
    ("result", "detail", "response"),
    [
        (wire.COMMAND_RESULT_OK, b"accepted", "OK"),
        (wire.COMMAND_RESULT_REJECTED, b"already_used", "already_used"),
        (wire.COMMAND_RESULT_UNSUPPORTED, b"", "unsupported"),
        (9, b"", "9"),
        (wire.COMMAND_RESULT_REJECTED, b"\xff\x00" + b"x" * 300, "\ufffd" + "x" * 199),
    ],
)
async def test_results(service: M2mService, device, *, result: int, detail: bytes, response: str) -> None:
    """A result before the feed's confirmation too: marked sent, then replied."""
    await create(service)
    answer = wire.CommandResult(device.next_number(), NOW_S, 1, result, detail)
    (taken,) = await service.ingest([(SERIAL, device.frame(answer))])
    (event,) = taken.events
    document = json.loads(event.payload)
    assert (event.kind, document["command_id"], document["status"]) == ("command", 1, "replied")
    assert document["device_response"] == response
    assert b"123456789" not in event.payload
    assert await states(service) == {"replied": 1}
    assert await service.feed.lease(limit=10, wait_s=0) == []


async def test_busy_is_no_answer(service: M2mService, device, clock: ManualClock) -> None:
    await create(service)
    busy = wire.CommandResult(device.next_number(), NOW_S, 1, wire.COMMAND_RESULT_BUSY, b"")
    assert await send(service, device, busy) == []
    assert await states(service) == {"sent": 1}
    clock.advance(30)
    assert wire.Token(1, b"123456789") in await send(service, device, device.status())


async def test_results_that_answer_nothing(service: M2mService, make_device: Callable, device) -> None:
    """Unknown ids, answered ones and another device's change nothing, and are acknowledged."""
    await create(service, name="sync")
    await service.register(serial="B", market="UG", link_key_hex="0b" * 16, password="b")
    other = make_device("B", b"\x0b" * 16)
    result = wire.CommandResult(1, NOW_S, 1, 0, b"")
    (answer,) = await service.ingest([("B", other.frame(result))])
    assert (answer.events, other.read(answer.down[0])) == ((), [wire.Ack(1, 1)])
    await send(service, device, result, wire.CommandResult(2, NOW_S, 77, 0, b""))
    (again,) = await service.ingest([(SERIAL, device.frame(wire.CommandResult(3, NOW_S, 1, 1, b"late")))])
    assert (again.events, await states(service)) == ((), {"replied": 1})


async def test_checklist_72_115_a_callback_as_the_oracle_verifies_it(
    service: M2mService, device, receiver, clock: ManualClock
) -> None:
    clock.advance((SystemClock().now_ms() - clock.now_ms()) / 1000)  # the oracle looks at the real time
    await create(service, url=receiver.url)
    await send(service, device, device.status())
    clock.advance(2)
    await send(service, device)
    headers, body = await receiver.next()
    assert headers["Content-Type"] == "application/json"
    lowered = {name.lower(): value for name, value in headers.items()}
    document = Webhook(WEBHOOK_SECRET).verify(body, lowered)
    assert list(document) == [
        *("identifier", "command", "status", "device_response", "created_at", "delivered_at")
    ]
    assert document["identifier"] == SERIAL
    assert document["command"] == "TOKEN: 123456789"
    assert (document["status"], document["device_response"]) == ("replied", "OK")
    assert document["created_at"] < document["delivered_at"]
    assert lowered["webhook-id"] == "m2m-command-1"


async def test_checklist_73_ten_retries_then_a_dead_letter(
    service: M2mService, database: Database, device, receiver, clock: ManualClock
) -> None:
    receiver.statuses = [500, 404, 301, *[503] * 20]
    await create(service, url=receiver.url)
    await send(service, device, device.status())
    await send(service, device)
    for _ in range(11):
        await receiver.next()
        await at_rest(service)
        clock.advance(3600)
        database.committed(frozenset({"callback"}))
    assert receiver.arrived.empty()
    audit = await service.audit()
    assert (audit.callbacks.dead, audit.commands) == (1, {"replied": 1})


async def test_a_retried_callback_is_delivered_once(
    service: M2mService, database: Database, device, receiver, clock: ManualClock
) -> None:
    receiver.statuses = [500, 204]
    await create(service, url=receiver.url)
    await send(service, device, device.status())
    await send(service, device)
    first, _ = await receiver.next()
    await at_rest(service)
    clock.advance(3600)
    database.committed(frozenset({"callback"}))
    second, _ = await receiver.next()
    await at_rest(service)
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-timestamp"] != second["webhook-timestamp"]

    def delivered(connection: Connection) -> int:
        return connection.exec_driver_sql("SELECT callback_delivered_at_ms FROM commands").scalar_one()

    assert await database.read(delivered) == clock.now_ms()
    assert await rows(database, "callback") == 0


async def test_a_name_that_moved_inside_is_not_called(
    service: M2mService, database: Database, device, resolver
) -> None:
    """The check at creation is repeated before sending (resolutions 15)."""
    await create(service, url="http://public.example/hook")
    resolver.addresses["public.example"] = ["127.0.0.1"]
    await send(service, device, device.status())
    await send(service, device)
    await at_rest(service)

    def error(connection: Connection) -> str | None:
        return connection.exec_driver_sql("SELECT last_error FROM outbox").scalar_one()

    async with asyncio.timeout(10):
        while await database.read(error) is None:
            await asyncio.sleep(0.001)
    assert "not allowed" in (await database.read(error) or "")


async def test_kill_between_any_two_steps(
    build: Callable[[], M2mService], service: M2mService, database: Database, device, receiver
) -> None:
    """Every step is taken by a service of its own, none of which is stopped before the next one starts."""

    async def restarted() -> M2mService:
        fresh = build()
        await fresh.keys.open(database, fresh._clock)
        return fresh

    await create(await restarted(), url=receiver.url)
    await create(await restarted(), url=receiver.url)
    (item,) = await (await restarted()).feed.lease(limit=10, wait_s=0)
    device.receive(item.payload)
    frame = device.frame()
    for _ in range(2):  # the bridge did not hear the first answer
        (answer,) = await (await restarted()).ingest([(SERIAL, frame)])
    device.receive(answer.down[0])
    assert not device.unacknowledged
    await (await restarted()).feed.confirm([item.id])
    assert await states(service) == {"replied": 1}
    await receiver.next()
    await at_rest(service)
    await service.stop()
    last = await restarted()
    await last.start()
    await at_rest(last)
    await last.stop()
    assert receiver.arrived.empty()
    assert device.executed == [1]


def test_the_policy_is_eleven_attempts_with_growing_waits() -> None:
    waits = [callbacks.POLICY.after_s(attempt) for attempt in range(1, callbacks.ATTEMPTS)]
    assert (callbacks.POLICY.attempts, callbacks.TIMEOUT_S) == (11, 10.0)
    assert waits == sorted(waits)
    assert waits[0] < waits[1] < waits[2]
