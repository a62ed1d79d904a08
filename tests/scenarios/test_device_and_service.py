"""The real controller and the real device service, frame by frame: no network, no clock that runs by itself.

Each side has tests of its own against a stand-in for the other; here the two must agree.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from firmware.config import Config
from protocols.magicbox import wire
from protocols.magicbox.reset import factory_signature
from tests.firmware.network_rig import SERIAL, Service, device_service
from tests.firmware.rig import DAY_S, LINK_KEY, MOTO_SECRET, Bench, NorFlash, moto_token


def config() -> Config:
    return Config(serial=SERIAL, family="moto", secret=MOTO_SECRET, link_key=LINK_KEY)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with device_service(tmp_path) as started:
        yield started


async def talk(service: Service, bench: Bench) -> list[str]:
    """Everything that both have to say, until neither has more; the reasons of refused frames."""
    refused: list[str] = []
    for _ in range(20):
        said = False
        while (frame := bench.controller.take_frame(bench.hal.now_ms)) is not None:
            said = True
            (answer,) = await service.m2m.ingest([(SERIAL, frame)])
            refused += [answer.refused] if answer.refused else []
            for down in answer.down:
                bench.receive(down)
        items = await service.m2m.feed.lease(limit=10, wait_s=0)
        for item in items:
            bench.receive(item.payload)
        await service.m2m.feed.confirm([item.id for item in items])
        bench.wait(1)
        if not said and not items:
            return refused
    raise AssertionError("they never come to an end")


async def test_every_command_is_done_and_answered(service: Service) -> None:
    bench = Bench(config())
    assert await talk(service, bench) == []
    orders: list[dict[str, object]] = [
        {"name": "unlock_token", "details": {"unlock_code": moto_token("unlock_relative", 30, 1)}},
        {"name": "sync"},
        {"name": "config", "details": {"key": "status_interval_s", "value": "60"}},
        {"name": "useracct", "details": {"operation": "name Amina"}},
        {"name": "useracct", "details": {"operation": "pin 1234"}},
        {"name": "synciv"},
        {"name": "unlock_token", "details": {"unlock_code": moto_token("unlock_relative", 5, 2)}},
    ]
    for number, order in enumerate(orders):
        await service.order(order, f"order {number}")
        assert await talk(service, bench) == []
        assert await service.replied(), order
    assert bench.controller.credit_s == pytest.approx(35 * DAY_S, abs=120)
    assert bench.controller.settings.status_interval_s == 60
    await service.order({"name": "reset"}, "soft")
    await talk(service, bench)
    assert bench.controller.wants_reset
    bench.reboot()
    assert await talk(service, bench) == []
    assert bench.hal.relay is True


async def test_a_factory_reset_takes_the_credit_and_no_token_back(service: Service) -> None:
    bench = Bench(config())
    digits = moto_token("unlock_relative", 30, 1)
    await service.token(digits)
    await talk(service, bench)
    signature = factory_signature(MOTO_SECRET, SERIAL, 1).hex()
    await service.order({"name": "reset", "details": {"kind": "factory", "signature": signature}}, "factory")
    await talk(service, bench)
    assert await service.replied()
    bench.reboot()
    assert bench.hal.relay is False
    assert bench.result(digits) == "already_used"


@pytest.mark.parametrize("epochs", [0, 1])
async def test_a_wiped_device_comes_back_by_a_sync_and_no_token_twice(service: Service, epochs: int) -> None:
    bench = Bench(config())
    digits = [moto_token("unlock_relative", 7, number) for number in (1, 2, 3)]
    for number in range(epochs):
        await service.order({"name": "synciv"}, f"epoch {number}")
        await talk(service, bench)
    await service.token(digits[0])
    await service.token(digits[1])
    await talk(service, bench)
    assert await service.replied()

    wiped = Bench(config(), NorFlash())
    assert wiped.controller.status == wire.STATE_TAMPERED
    await talk(service, wiped)
    for number in range(epochs):
        await service.order({"name": "synciv"}, f"after the wipe {number}")
        await talk(service, wiped)
    await service.order({"name": "sync"}, "sync")
    await talk(service, wiped)
    assert await service.replied()
    assert wiped.controller.status == wire.STATE_EXPIRED
    for old in digits[:2]:
        assert wiped.result(old) == "already_used"
    await service.token(digits[2])
    assert await talk(service, wiped) == []
    assert await service.replied()
    assert wiped.hal.relay is True
