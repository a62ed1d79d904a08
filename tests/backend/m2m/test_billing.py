"""Billing events (resolutions 17, checklist 58 and 118): the sending side, through the outbox."""

import json
from collections.abc import AsyncIterator, Callable

import pytest
from standardwebhooks import Webhook

from backend.kit.runtime import SystemClock
from backend.m2m.audit_store import AuditStore
from backend.m2m.service import M2mService
from protocols.magicbox import wire
from simulator.clock import ManualClock

SERIAL = "SCBLNX/A/BT/240300126005"
SECRET = b"webhook-secret-of-32-bytes-.....".ljust(32)
NOW_S = 1_764_583_800
DAY_S = 86_400


@pytest.fixture
async def billing(
    service: M2mService, build: Callable[..., M2mService], receiver
) -> AsyncIterator[M2mService]:
    """The service again, with Solarium's address; `service` has registered its device."""
    await service.stop()
    started = build(billing_url=receiver.url)
    await started.start()
    yield started
    await started.stop()


async def next_event(receiver) -> dict[str, object]:
    _, body = await receiver.next()
    return json.loads(body)


async def test_checklist_58_each_kind_of_event_is_told_once(billing: M2mService, device, receiver) -> None:
    accepted = device.keep(
        wire.TokenEvent(
            *(device.next_number(), NOW_S, wire.SOURCE_KEYPAD, wire.RESULT_ACCEPTED),
            *(wire.TOKEN_COMMAND_UNLOCK_RELATIVE, 30, 4, 30 * DAY_S),
        )
    )
    device.keep(accepted._replace(record=device.next_number(), result=wire.RESULT_INVALID))
    device.keep(wire.Alarm(device.next_number(), NOW_S, wire.ALARM_KIND_TAMPERED, 0))
    device.keep(wire.Alarm(device.next_number(), NOW_S, wire.ALARM_KIND_LOW_CREDIT, 60))
    device.keep(
        wire.Alarm(device.next_number(), NOW_S, wire.ALARM_KIND_ROLLED_BACK, 0)
    )  # an update's, no theft
    device.status(at=NOW_S)
    device.status(at=NOW_S + 5, state=wire.STATE_EXPIRED, credit_s=0)
    device.status(at=NOW_S + 6, state=wire.STATE_EXPIRED, credit_s=0)
    device.status(at=NOW_S + DAY_S, state=wire.STATE_EXPIRED, credit_s=0)
    frame = device.frame()
    for _ in range(2):
        await billing.ingest([(SERIAL, frame)])
    await billing.ingest([(SERIAL, device.frame())])  # all records again, in another frame
    events = [await next_event(receiver) for _ in range(5)]
    assert sorted((event["type"], event["occurred_at"]) for event in events) == [
        ("credit_expired", "2025-12-01T10:10:05Z"),
        ("tamper", "2025-12-01T10:10:00Z"),
        ("token_applied", "2025-12-01T10:10:00Z"),
        ("usage", "2025-12-01T10:10:00Z"),
        ("usage", "2025-12-02T10:10:00Z"),
    ]
    assert receiver.arrived.empty()
    token = next(event for event in events if event["type"] == "token_applied")
    assert token == {
        "event_id": f"{SERIAL}:1:token_applied",
        "type": "token_applied",
        "identifier": SERIAL,
        "occurred_at": "2025-12-01T10:10:00Z",
        "data": {
            "source": "keypad",
            "command": "unlock_relative",
            "payload": 30,
            "token_count": 4,
            "credit_s": 30 * DAY_S,
        },
    }
    assert len({event["event_id"] for event in events}) == 5


async def test_checklist_118_an_event_comes_again_until_it_is_taken(
    billing: M2mService, device, receiver, clock: ManualClock
) -> None:
    clock.advance((SystemClock().now_ms() - clock.now_ms()) / 1000)  # the oracle looks at the real time
    receiver.statuses = [503, 404]
    device.status(at=NOW_S)
    await billing.ingest([(SERIAL, device.frame())])
    ids = set()
    for _ in range(3):
        headers, body = await receiver.next()
        document = Webhook(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})
        ids.add((headers["webhook-id"], document["event_id"]))
        while any(billing._dispatcher._running.values()):
            await next(iter(billing._dispatcher._running["billing"].values()))
        clock.advance(60)
        billing._database.committed(frozenset({"billing"}))
    assert ids == {(f"{SERIAL}:1:usage", f"{SERIAL}:1:usage")}


async def test_the_first_status_expires_nothing(billing: M2mService, device, receiver) -> None:
    device.status(at=NOW_S, state=wire.STATE_EXPIRED)
    await billing.ingest([(SERIAL, device.frame())])
    assert (await next_event(receiver))["type"] == "usage"
    device.status(at=NOW_S + 1, state=wire.STATE_ACTIVE)
    device.status(at=NOW_S + 2, state=wire.STATE_EXPIRED)
    await billing.ingest([(SERIAL, device.frame())])
    assert (await next_event(receiver))["type"] == "credit_expired"


async def test_no_address_no_events(service: M2mService, device) -> None:
    device.status(at=NOW_S)
    await service.ingest([(SERIAL, device.frame())])
    counts = await service._database.read(lambda c: AuditStore(service._store).count_outgoing(c, "billing"))
    assert counts == {}
