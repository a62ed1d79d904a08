"""A device that lost its store comes back by itself, and no frame of before brings anybody anything.

The real controller, the real device service, frame by frame.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.kit.errors import NotFound, Unavailable
from backend.kit.runtime import iso
from backend.m2m.lifecycle import viewer_of
from backend.m2m.recovery import EVERY_MS, QUIET_MS, UNKNOWN_AT_MOTO
from firmware.config import Config
from protocols.magicbox import wire
from tests.firmware.network_rig import SERIAL, Service, device_service
from tests.firmware.rig import DAY_S, LINK_KEY, MOTO_SECRET, Bench, NorFlash, moto_token
from tests.scenarios.test_device_and_service import talk

QUIET_S, EVERY_S = QUIET_MS / 1000 + 1, EVERY_MS / 1000 + 1
ALL = viewer_of("operator", ())
DIGITS = [moto_token("unlock_relative", 7, number) for number in range(1, 6)]


class Moto:
    """What was given to the device; it may be away, or not know it."""

    def __init__(self) -> None:
        self.last = 3
        self.failures: list[Exception] = []

    async def last_sequence(self, serial: str) -> int:
        assert serial == SERIAL
        if self.failures:
            raise self.failures.pop(0)
        return self.last


@pytest.fixture
def moto() -> Moto:
    return Moto()


@pytest.fixture
async def service(tmp_path: Path, moto: Moto) -> AsyncIterator[Service]:
    async with device_service(tmp_path, counts=moto) as started:
        yield started


def bench(flash: NorFlash | None = None) -> Bench:
    config = Config(serial=SERIAL, family="moto", secret=MOTO_SECRET, link_key=LINK_KEY)
    return Bench(config) if flash is None else Bench(config, flash)


def advance(service: Service, seconds: float) -> None:
    service.m2m._clock.advance(seconds)  # type: ignore[attr-defined]


async def idle(service: Service) -> None:
    """Until m2m has decided about everything that came."""
    kinds = ["recover"]
    outbox = service.m2m._store.outbox
    while await service.m2m._database.read(lambda c: outbox.next_due_ms(c, kinds)) is not None:
        await asyncio.sleep(0.01)


async def live(service: Service, device: Bench, *, starts: int) -> None:
    """It talks, m2m decides, and it starts again a minute later."""
    for _ in range(starts):
        await talk(service, device)
        await idle(service)
        device.reboot()
        advance(service, 60)


async def orders(service: Service) -> list[str]:
    """The commands that m2m gave by itself, oldest first."""
    table = service.m2m._store.commands
    rows = await service.m2m._database.read(
        lambda c: c.execute(table.select().where(table.c.client == "m2m").order_by(table.c.id)).all()
    )
    return [row.name for row in rows]


async def in_epoch(service: Service, device: Bench, epochs: int) -> None:
    for number in range(epochs):
        await service.order({"name": "synciv"}, f"epoch {number}")
        await talk(service, device)


@pytest.mark.parametrize("epochs", [0, 1, 2])
async def test_it_is_synced_to_what_moto_gave_and_no_token_is_good_twice(
    service: Service, moto: Moto, epochs: int
) -> None:
    device = bench()
    await in_epoch(service, device, epochs)
    await service.token(DIGITS[0])
    await talk(service, device)
    assert device.result(DIGITS[1]) == "accepted"  # typed, and wiped before anybody heard of it
    wiped = bench(NorFlash())
    assert wiped.controller.status == wire.STATE_TAMPERED
    advance(service, QUIET_S)
    await live(service, wiped, starts=6)
    assert await orders(service) == (["synciv", "sync"] if epochs else ["sync"])
    assert wiped.controller.status == wire.STATE_EXPIRED
    assert [wiped.result(old) for old in DIGITS[:3]] == ["already_used"] * 3
    assert wiped.result(DIGITS[3]) == "accepted"
    assert wiped.hal.relay is True


async def test_an_old_frame_is_nothing_while_the_device_is_heard(service: Service) -> None:
    """Frames of a wipe that were kept back, and sent when the device is long in good order."""
    device = bench()
    await in_epoch(service, device, 1)
    kept = bench(NorFlash()).controller.take_frame(0)
    assert kept is not None
    await talk(service, device)
    (answer,) = await service.m2m.ingest([(SERIAL, kept)])
    await idle(service)
    assert (answer.repeat, answer.stored, await orders(service)) == (True, 0, [])


async def test_an_old_frame_brings_one_synciv_for_ever_and_a_healthy_device_bears_it(
    service: Service,
) -> None:
    device = bench()
    await in_epoch(service, device, 1)
    await service.token(DIGITS[0])
    await talk(service, device)
    credit_s = device.controller.credit_s
    kept = bench(NorFlash()).controller.take_frame(0)
    assert kept is not None
    for _ in range(30):
        advance(service, EVERY_S)
        (answer,) = await service.m2m.ingest([(SERIAL, kept)])
        await idle(service)
        assert (answer.repeat, answer.stored) == (True, 0)
    assert await orders(service) == ["synciv"]
    device.reboot()
    await talk(service, device)
    assert dict((await service.m2m.audit()).commands)["replied"] == 3
    assert device.controller.credit_s == pytest.approx(credit_s, abs=120)
    assert device.result(DIGITS[0]) == "already_used"
    assert device.result(DIGITS[1]) == "accepted"


async def test_repeats_of_a_healthy_device_and_forgeries_are_no_loss(service: Service) -> None:
    device = bench()
    await in_epoch(service, device, 1)
    device.reboot()
    frame = device.controller.take_frame(device.hal.now_ms)
    assert frame is not None
    advance(service, EVERY_S)
    await service.m2m.ingest([(SERIAL, frame)])
    advance(service, EVERY_S)
    forged = bytes([*frame[:-1], frame[-1] ^ 1])
    answers = await service.m2m.ingest([(SERIAL, frame), (SERIAL, forged)])
    await idle(service)
    assert [(answer.repeat, answer.refused) for answer in answers] == [(True, None), (False, "bad_mac")]
    assert await orders(service) == []


async def test_moto_away_is_asked_again_and_one_that_does_not_know_it_is_told(
    service: Service, moto: Moto
) -> None:
    moto.failures = [Unavailable("away", retry_after_s=0), NotFound("device not found")]
    wiped = bench(NorFlash())
    await talk(service, wiped)
    await idle(service)
    while moto.failures:
        await asyncio.sleep(0.01)
    assert await orders(service) == []
    letters = (await service.m2m.lifecycle.dead_letters(ALL, before=None, limit=5)).dead_letters
    assert [(letter.kind, letter.key, letter.error) for letter in letters] == [
        ("recover", f"sync/{SERIAL}", UNKNOWN_AT_MOTO)
    ]
    strangers = await service.m2m.lifecycle.dead_letters(viewer_of("rw", ["RW"]), before=None, limit=5)
    assert strangers.dead_letters == []
    wiped.reboot()  # a dead letter comes to life again with the next status
    await talk(service, wiped)
    await idle(service)
    await talk(service, wiped)
    assert await orders(service) == ["sync"]
    assert wiped.controller.status == wire.STATE_EXPIRED


async def test_a_sync_is_ordered_once_an_hour(service: Service) -> None:
    wiped = bench(NorFlash())
    for _ in range(5):
        frame = wiped.controller.take_frame(wiped.hal.now_ms)
        if frame is not None:
            await service.m2m.ingest([(SERIAL, frame)])
        await idle(service)
        wiped.reboot()
        advance(service, 60)
    assert await orders(service) == ["sync"]


async def test_what_retention_took_stands_in_no_later_life_s_way(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its store goes a second time: it numbers from below what was purged meanwhile, by chance."""
    chances = [b"\x30\0\0\0", b"\x10\0\0\0"]
    monkeypatch.setattr("tests.firmware.rig.BenchHal.entropy", lambda _, count: chances.pop(0)[:count])
    for _ in range(2):
        life = bench(NorFlash())
        for _ in range(4):
            life.reboot()
            await talk(service, life)
            await idle(service)
            advance(service, 60)
        assert life.controller.status == wire.STATE_EXPIRED
        advance(service, 91 * DAY_S)
        await service.m2m.housekeeping.turn()
        await service.m2m.housekeeping.turn()
    life.reboot()
    await talk(service, life)
    page = await service.m2m.history.statuses(SERIAL, ALL, before=None, limit=5)
    assert page.records[0].received_at == iso(service.m2m._clock.now_ms())
    assert (await service.m2m.audit()).records[SERIAL].purged > 10


async def test_a_sync_that_was_ordered_before_the_loss_makes_no_token_good_twice(
    service: Service, moto: Moto
) -> None:
    """It waits while the device is away, and knows only what the device had told till then."""
    device = bench()
    await service.token(DIGITS[0])
    await talk(service, device)
    await service.order({"name": "sync"}, "by hand")
    assert device.result(DIGITS[1]) == "accepted"  # typed, and wiped before anybody heard of it
    wiped = bench(NorFlash())
    await live(service, wiped, starts=3)
    assert wiped.controller.status == wire.STATE_EXPIRED
    assert [wiped.result(old) for old in DIGITS[:2]] == ["already_used"] * 2
    assert dict((await service.m2m.audit()).commands) == {"replied": 2, "cancelled": 1}


async def test_a_sync_by_hand_before_moto_has_answered_makes_no_token_good_twice(
    service: Service, moto: Moto
) -> None:
    device = bench()
    await service.token(DIGITS[0])
    await talk(service, device)
    assert device.result(DIGITS[1]) == "accepted"  # typed, and wiped before anybody heard of it
    moto.failures = [Unavailable("away", retry_after_s=3600), Unavailable("away", retry_after_s=1)]
    wiped = bench(NorFlash())
    advance(service, QUIET_S)
    await talk(service, wiped)
    while len(moto.failures) > 1:
        await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        await service.order({"name": "sync"}, "by hand")
    assert dict((await service.m2m.audit()).commands) == {"replied": 1}
    await service.order({"name": "sync"}, "by hand")
    await talk(service, wiped)
    assert wiped.controller.status == wire.STATE_EXPIRED
    assert await orders(service) == []
    assert [wiped.result(old) for old in DIGITS[:3]] == ["already_used"] * 3


async def test_checklist_111_a_healthy_device_is_synced_while_moto_is_away(
    service: Service, moto: Moto
) -> None:
    """Lost before it comes, it is another matter: the SYNC is cancelled, for it knows no count."""
    device = bench()
    await service.token(DIGITS[0])
    await talk(service, device)
    moto.failures = [Unavailable("away"), Unavailable("away")]
    await service.order({"name": "sync"}, "by hand")
    await talk(service, device)
    assert dict((await service.m2m.audit()).commands) == {"replied": 2}
    await service.order({"name": "sync"}, "again by hand")
    assert device.result(DIGITS[1]) == "accepted"
    wiped = bench(NorFlash())
    await live(service, wiped, starts=3)
    assert dict((await service.m2m.audit()).commands) == {"replied": 3, "cancelled": 1}
    assert [wiped.result(old) for old in DIGITS[:2]] == ["already_used"] * 2


async def test_a_sync_by_hand_goes_on_from_moto_s_count_too(service: Service, moto: Moto) -> None:
    """Lost again within the hour, so that m2m orders none by itself."""
    first = bench(NorFlash())
    await talk(service, first)
    await idle(service)
    await talk(service, first)
    moto.last = 4
    assert first.result(DIGITS[3]) == "accepted"  # and nobody hears of it
    again = bench(NorFlash())
    advance(service, QUIET_S)  # its numbers may lie below those of its last life: it needs a SYNCIV then
    await live(service, again, starts=3)
    assert again.controller.status == wire.STATE_TAMPERED
    await service.order({"name": "sync"}, "by hand")
    await talk(service, again)
    assert again.controller.status == wire.STATE_EXPIRED
    assert again.result(DIGITS[3]) == "already_used"
    assert (await orders(service)).count("sync") == 1
