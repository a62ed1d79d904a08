"""The power goes at every flash operation of an entry and a command, four ways: old state or new."""

from collections.abc import Callable

import pytest

from protocols.magicbox import wire
from tests.firmware.rig import (
    CUTS,
    DAY_S,
    Bench,
    NorFlash,
    PowerCut,
    moto_config,
    moto_token,
    openpaygo_config,
    opg_token,
)

Act = Callable[[Bench], object]


def _enter_moto(bench: Bench) -> object:
    return bench.enter(moto_token("unlock_relative", 30, 12))


def _enter_openpaygo(bench: Bench) -> object:
    return bench.enter(opg_token(30, 12))


def _command(bench: Bench) -> object:
    return bench.command(wire.Token(77, moto_token("unlock_relative", 30, 12).encode()))


def _wrong(bench: Bench) -> object:
    return bench.enter("111111111")


def _facts(bench: Bench) -> tuple[object, ...]:
    controller = bench.controller
    return controller.credit_s, controller.token_count, controller.results.find(77)


def _device(family: str) -> Bench:
    """A used device whose next save is the last of a sector, so that an act also erases."""
    if family == "moto":
        bench = Bench(moto_config())
        first = moto_token("unlock_relative", 5, 3)
    else:
        bench = Bench(openpaygo_config(last_count=1))
        first = opg_token(5, 4)
    assert bench.result(first) == "accepted"
    bench.acknowledge_all()
    return bench


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("family", "act"),
    [("moto", _enter_moto), ("openpaygo", _enter_openpaygo), ("moto", _command), ("moto", _wrong)],
)
def test_old_or_new_after_a_cut(family: str, act: Act, cut: str) -> None:
    cuts = 0
    for saves_before in range(5):  # the act falls on every page of a sector, and on its erase
        uncut = _device(family)
        for _ in range(saves_before):
            uncut.controller.save()
        image = bytes(uncut.flash.image())
        old = _facts(Bench(uncut.config, NorFlash(image)))
        act(uncut)
        new = _facts(uncut)
        for cut_at in range(4):
            bench = Bench(uncut.config, NorFlash(image), sequence=1000)
            flash = bench.flash
            assert isinstance(flash, NorFlash)
            flash.cut, flash.cut_at = cut, flash.operations + cut_at
            relay_before = bench.hal.relay
            try:
                act(bench)
            except PowerCut:
                cuts += 1
                assert bench.hal.relay == relay_before  # the relay switches after the state is stored
            flash.cut_at = -1
            bench.reboot()
            assert _facts(bench) in (old, new)
            act(bench)
            assert _facts(bench)[:2] == new[:2]
    assert cuts >= 5


def test_the_relay_closes_only_after_the_state_is_stored() -> None:
    bench = Bench(moto_config())
    flash = bench.flash
    assert isinstance(flash, NorFlash)
    flash.cut, flash.cut_at = "nothing", flash.operations
    with pytest.raises(PowerCut):
        _enter_moto(bench)
    assert bench.hal.relay is False
    bench.reboot()
    assert bench.hal.relay is False
    assert bench.controller.credit_s == 0
    _enter_moto(bench)
    assert bench.hal.relay is True
    assert bench.controller.credit_s == 30 * DAY_S
