"""A check that takes longer than a slice is paid for while it lasts: the power may go before its verdict."""

import pytest

from protocols.magicbox import wire
from tests.firmware.rig import Bench, moto_bench, moto_token, openpaygo_bench, opg_token

WRONG = f"*{int(moto_token('unlock_relative', 3, 501)) ^ 1}#"


def _begin(bench: Bench, keys: str) -> None:
    """Enter it on a device whose clock moves on at every look, up to the end of the first slice."""
    bench.hal.tick_ms = 4
    for key in keys:
        bench.controller.key(key, bench.hal.now_ms)
    bench.controller.poll(bench.hal.now_ms)


def _throttle(bench: Bench) -> tuple[int, int]:
    throttle = bench.controller._core.state.throttle
    return throttle.errors, throttle.budget


@pytest.mark.parametrize("cuts", [1, 6])
def test_cutting_the_power_of_a_check_is_no_free_guess(cuts: int) -> None:
    bench = moto_bench(last_count=500)
    errors, budget = _throttle(bench)
    for _ in range(cuts):
        _begin(bench, WRONG)
        assert bench.controller.take_outcome() is None
        bench.reboot()
    assert _throttle(bench) == (errors + cuts, budget - cuts)
    assert (bench.result(WRONG) == "locked") is (cuts == 6)


def _finish(bench: Bench) -> str:
    for _ in range(10_000):
        bench.controller.poll(bench.hal.now_ms)
        outcome = bench.controller.take_outcome()
        if outcome is not None:
            return wire.RESULT_NAMES[outcome.result]
    raise AssertionError("no verdict")


def test_a_wrong_entry_is_paid_for_once() -> None:
    bench = moto_bench(last_count=500)
    errors, budget = _throttle(bench)
    _begin(bench, WRONG)
    assert _finish(bench) == "invalid"
    assert _throttle(bench) == (errors + 1, budget - 1)


@pytest.mark.parametrize(
    ("digits", "result"),
    [(opg_token(5, 2000), "already_used"), (opg_token(5, 2004), "accepted")],
)
def test_a_genuine_token_costs_nothing_however_long_its_check_takes(digits: str, result: str) -> None:
    bench = openpaygo_bench(last_count=2002)
    before = _throttle(bench)
    _begin(bench, f"*{digits}#")
    assert _throttle(bench) == (before[0] + 1, before[1] - 1)
    assert _finish(bench) == result
    bench.reboot()
    errors, budget = _throttle(bench)
    assert errors == 0
    assert budget >= before[1]
