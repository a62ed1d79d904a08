"""The way down: MQTT, the answer to a check-in, or SMS (checklist 77, delivery.py)."""

import asyncio

import pytest

from backend.kit.errors import BadRequest, Unavailable
from backend.kit.outbox import LEASE_MS
from backend.m2m.lifecycle_store import Viewer
from backend.m2m.service import M2mService
from simulator.clock import ManualClock

SERIAL = "SCBLNX/A/BT/240300126005"
LOGIN = "SCBLNX%2FA%2FBT%2F240300126005"
PASSWORD = "device-password"
MODEM = "256772100999"
ALL = Viewer("tester", ())
DEVICE = {
    "serial": SERIAL,
    "market": "UG",
    "link_key_hex": bytes(range(16)).hex(),
    "password": "device-password",
}


async def create(service: M2mService, reference: str = "r", name: str = "unlock_token", **details: str):
    given = details or ({"unlock_code": "123456789"} if name == "unlock_token" else {})
    await service.create(identifier=SERIAL, name=name, details=given, callback_url=None, reference=reference)
    return await service.lifecycle.get(1, ALL)


async def lease(service: M2mService) -> list[bytes]:
    items = await service.feed.lease(limit=10, wait_s=0)
    await service.feed.confirm([item.id for item in items])
    return [item.payload for item in items if item.channel == "down"]


async def settled(service: M2mService, clock: ManualClock, seconds: float) -> None:
    """The clock moves on, and what is due then is dealt with."""
    clock.advance(seconds)
    database, outbox = service._database, service._store.outbox
    leased = clock.now_ms() + LEASE_MS
    async with asyncio.timeout(10):
        while True:
            database.committed(frozenset({"sms"}))
            due_at_ms = await database.write(lambda connection: outbox.next_due_ms(connection, ["sms"]))
            if due_at_ms is None or clock.now_ms() < due_at_ms != leased:
                return
            await asyncio.sleep(0.001)


async def test_checklist_77_by_mqtt_to_a_device_that_is_online(service: M2mService, device) -> None:
    await service.report_state(SERIAL, True, 1)
    await create(service)
    assert len(await lease(service)) == 1
    view = await service.lifecycle.get(1, ALL)
    assert (view.status, view.sent_by) == ("sent", "mqtt")


async def test_checklist_77_a_device_that_is_away_gets_it_when_it_comes_online(
    service: M2mService, device
) -> None:
    await service.report_state(SERIAL, True, 1)
    await service.report_state(SERIAL, False, 1)
    await create(service)
    assert await lease(service) == []
    assert (await service.lifecycle.get(1, ALL)).status == "created"
    await service.report_state(SERIAL, True, 2)
    (frame,) = await lease(service)
    device.receive(frame)
    assert device.executed == [1]


async def test_checklist_77_by_the_answer_to_a_check_in_over_http(service: M2mService, device) -> None:
    device.receive(await service.log(LOGIN, PASSWORD, device.frame(device.status())))
    await lease(service)
    await create(service)
    assert await lease(service) == []
    device.receive(await service.log(LOGIN, PASSWORD, device.frame(device.status())))
    assert device.executed == [1]
    assert (await service.lifecycle.get(1, ALL)).sent_by == "http"


async def test_checklist_77_by_sms_to_a_silent_device(
    service: M2mService, device, phone, clock: ManualClock
) -> None:
    await service.register(**DEVICE, msisdn=MODEM)
    await create(service)
    await settled(service, clock, 299)
    assert phone.sent == []
    await settled(service, clock, 1)
    assert phone.sent == [
        {"to": MODEM, "text": "TOKEN: 123456789", "market": "UG", "reference": "m2m-command-1"}
    ]
    view = await service.lifecycle.get(1, ALL)
    assert (view.status, view.sent_by) == ("sent", "sms")
    clock.advance(31)
    device.receive(await service.log(LOGIN, PASSWORD, device.frame(device.status())))
    await service.log(LOGIN, PASSWORD, device.frame())
    assert (await service.lifecycle.get(1, ALL)).status == "replied"
    await settled(service, clock, 600)
    assert len(phone.sent) == 1


async def test_every_command_goes_by_sms_as_its_line(service: M2mService, phone, clock: ManualClock) -> None:
    await service.register(**DEVICE, msisdn=MODEM)
    for name in ("sync", "synciv", "reset"):
        await create(service, name, name)
    await settled(service, clock, 300)
    assert {sent["text"] for sent in phone.sent} == {"SYNC", "SYNCIV", "RESET"}


async def test_no_sms_to_a_device_that_is_heard(
    service: M2mService, device, phone, clock: ManualClock
) -> None:
    await service.register(**DEVICE, msisdn=MODEM)
    await create(service)
    clock.advance(200)
    await service.ingest([(SERIAL, device.frame(device.status()))])
    await settled(service, clock, 100)
    assert phone.sent == []
    await settled(service, clock, 400)  # it was heard, but has not answered, and is silent again
    assert len(phone.sent) == 1


async def test_no_sms_for_a_command_that_was_answered_or_cancelled(
    service: M2mService, device, phone, clock: ManualClock
) -> None:
    await service.register(**DEVICE, msisdn=MODEM)
    await create(service)
    await create(service, "second", "sync")
    (answer,) = await service.ingest([(SERIAL, device.frame(device.status()))])
    device.receive(answer.down[0])
    await service.ingest([(SERIAL, device.frame())])
    await create(service, "third", "sync")
    await service.lifecycle.cancel(3, ALL)
    await settled(service, clock, 900)
    assert phone.sent == []


@pytest.mark.parametrize("failure", [BadRequest("no such number"), Unavailable("mega is away")])
async def test_an_sms_that_fails(service: M2mService, phone, clock: ManualClock, failure: Exception) -> None:
    await service.register(**DEVICE, msisdn=MODEM)
    await create(service)
    phone.failure = failure
    await settled(service, clock, 300)
    letters = (await service.lifecycle.dead_letters(ALL, before=None, limit=10)).dead_letters
    is_final = isinstance(failure, BadRequest)
    assert [letter.kind for letter in letters] == ["sms"] * is_final
    phone.failure = None
    if is_final:
        await service.lifecycle.retry_letter(letters[0].id, ALL)
    await settled(service, clock, 60)
    assert [message["text"] for message in phone.sent] == ["TOKEN: 123456789"]


async def test_a_command_that_no_sms_can_carry_is_a_dead_letter(
    service: M2mService, phone, clock: ManualClock
) -> None:
    await service.register(**DEVICE, msisdn=MODEM)
    await create(service, "f", "reset", kind="factory", signature="0123456789ABCDEF")
    await settled(service, clock, 300)
    (letter,) = (await service.lifecycle.dead_letters(ALL, before=None, limit=10)).dead_letters
    assert letter.error == "this command fits only into a frame"


async def test_a_modem_may_get_another_number(service: M2mService) -> None:
    for msisdn in (MODEM, "256772100111", None, "256772100111"):
        await service.register(**DEVICE, msisdn=msisdn)
    stored = await service._database.read(lambda c: service._store.device(c, SERIAL))
    assert stored is not None
    assert stored.msisdn == "256772100111"


async def test_a_device_that_is_silent_for_a_day_is_not_online_whatever_its_state_says(
    service: M2mService, device, phone, clock: ManualClock
) -> None:
    """Its last will is lost with a broker that dies, and it never comes again."""
    await service.register(**DEVICE, msisdn=MODEM)
    await service.report_state(SERIAL, True, 1)
    await service.ingest([(SERIAL, device.frame(device.status()))])
    await create(service)
    await lease(service)
    await settled(service, clock, 3600)
    assert phone.sent == []
    for _ in range(24):
        await settled(service, clock, 3600)
    assert [message["text"] for message in phone.sent] == ["TOKEN: 123456789"]


async def test_a_modem_gets_what_was_commanded_before_its_number_was_known(
    service: M2mService, phone, clock: ManualClock
) -> None:
    await create(service)
    await service.register(**DEVICE, msisdn=MODEM)
    await settled(service, clock, 300)
    assert [message["to"] for message in phone.sent] == [MODEM]
