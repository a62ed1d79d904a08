"""The credit clock: to the second, only with power, and a cut gives back no more than was promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.config import PREPAID_S
from firmware.credit import FIRST_SAVE_S, MAX_LEFT_MS, MAX_STEP_MS, SAVE_INTERVAL_S, Credit
from protocols.magicbox import wire
from tests.firmware.rig import (
    DAY_S,
    Bench,
    moto_bench,
    moto_token,
    openpaygo_bench,
    openpaygo_config,
    opg_token,
)


def test_credit_ends_to_the_second_and_opens_the_relay() -> None:
    bench = openpaygo_bench(last_count=1)
    bench.enter(opg_token(1, 2))
    bench.wait(DAY_S - 1)
    assert (bench.controller.credit_s, bench.hal.relay) == (1, True)
    assert bench.controller.poll(bench.hal.now_ms) <= 1000
    bench.wait(1)
    assert (bench.controller.credit_s, bench.hal.relay) == (0, False)
    assert bench.controller.status == wire.STATE_EXPIRED


def test_poll_names_the_next_deadline() -> None:
    bench = openpaygo_bench(last_count=1, status_interval_s=10_000_000)
    bench.enter(opg_token(1, 2))
    waited = 0
    wait_ms = bench.controller.poll(bench.hal.now_ms)
    while bench.hal.relay:
        bench.hal.now_ms += wait_ms
        wait_ms = bench.controller.poll(bench.hal.now_ms)
        waited += 1
    assert bench.hal.now_ms == DAY_S * 1000
    assert waited < 200


def test_time_without_power_costs_nothing() -> None:
    bench = openpaygo_bench(last_count=1)
    bench.enter(opg_token(5, 2))
    bench.hal.now_ms += 3 * DAY_S * 1000
    bench.reboot()
    assert bench.controller.credit_s == 5 * DAY_S


@given(st.floats(0.1, 100_000))
def test_a_cut_gives_and_takes_no_more_than_is_promised(run_s: float) -> None:
    bench = openpaygo_bench(last_count=1)
    bench.enter(opg_token(5, 2))
    bench.reboot()
    end_ms = bench.hal.now_ms + round(run_s * 1000)
    while bench.hal.now_ms < end_ms:
        bench.hal.now_ms = min(bench.hal.now_ms + bench.controller.poll(bench.hal.now_ms), end_ms)
    bench.controller.poll(bench.hal.now_ms)
    before = bench.controller.credit_s
    bench.reboot()
    back = bench.controller.credit_s - before
    assert -min(run_s, PREPAID_S) - 1 <= back < SAVE_INTERVAL_S
    assert back <= max(run_s / 2, FIRST_SAVE_S)
    if run_s <= 2 * PREPAID_S:
        assert back <= FIRST_SAVE_S


@pytest.mark.parametrize("run_s", [2.5, 9.9, 10, 10.1])
@pytest.mark.parametrize("typed", ["", "12", "111111111"])
def test_cutting_the_power_again_and_again_is_no_free_light(run_s: float, typed: str) -> None:
    """Nor is it with an entry in between, which saves when nothing has run yet."""
    bench = openpaygo_bench(last_count=1)
    bench.enter(opg_token(1, 2))
    lit_s = 0.0
    while bench.hal.relay and lit_s < 2 * DAY_S:
        for key in typed:
            bench.controller.key(key, bench.hal.now_ms)
        bench.controller.key("#", bench.hal.now_ms)
        end_ms = bench.hal.now_ms + round(run_s * 1000)
        while bench.hal.now_ms < end_ms:
            bench.hal.now_ms = min(bench.hal.now_ms + bench.controller.poll(bench.hal.now_ms), end_ms)
            bench.controller.poll(bench.hal.now_ms)
        lit_s += run_s
        bench.reboot()
        if lit_s > 3_600:
            break
    paid_s = DAY_S - bench.controller.credit_s
    assert 3_600 <= lit_s <= paid_s <= 2 * lit_s


def test_a_flat_battery_that_switches_all_night_costs_no_day() -> None:
    credit = Credit(0)
    credit.grant(wire.TOKEN_COMMAND_ADD_TIME, 1)
    stored = credit.pack()
    for _ in range(10_000):  # boots of half a second each
        credit = Credit(0)
        credit.unpack(stored)
        stored = credit.pack()
        credit.advance(500)
    assert credit.left_s() == DAY_S


def test_an_absolute_unlock_counts_from_the_first_accepted_token() -> None:
    bench = moto_bench()
    bench.wait(10 * DAY_S)  # before activation: does not count
    bench.enter(moto_token("unlock_relative", 2, 1))
    bench.wait(3600)
    bench.enter(moto_token("unlock_absolute", 10, 2))
    assert bench.controller.credit_s == 10 * DAY_S - 3600
    bench.reboot()
    bench.wait(3600)
    bench.enter(moto_token("unlock_absolute", 1, 3))
    assert bench.controller.credit_s == DAY_S - 7200
    bench.enter(moto_token("unlock_absolute", 0, 4))
    assert (bench.controller.credit_s, bench.hal.relay) == (0, False)


def test_credit_is_capped_below_no_limit() -> None:
    bench = openpaygo_bench(last_count=1)
    assert bench.result(opg_token(999_999, 3, extended=True)) == "accepted"
    assert bench.controller.credit_s == MAX_LEFT_MS // 1000
    assert bench.result(opg_token(5, 4)) == "accepted"
    assert bench.controller.credit_s == MAX_LEFT_MS // 1000


@given(st.lists(st.integers(-(2**40), 2**40) | st.integers(0, 10_000), max_size=30))
def test_only_steps_that_a_clock_can_make_pass(steps: list[int]) -> None:
    """A counter that goes back, wraps or is misread costs and gives nothing."""
    now_ms = 2**41
    credit = Credit(now_ms)
    credit.grant(wire.TOKEN_COMMAND_ADD_TIME, 995)
    ran_ms = 0
    for step in steps:
        now_ms += step
        passed = step if 0 <= step <= MAX_STEP_MS else 0
        assert credit.advance(now_ms) == passed
        ran_ms += passed
    assert credit.left_ms == max(995 * DAY_S * 1000 - ran_ms, 0)
    assert credit.powered_ms == credit.age_ms == ran_ms


def test_low_credit_is_told_once_until_there_is_more() -> None:
    credit = Credit(0)
    assert not credit.low_crossed(DAY_S)  # nothing was there to fall
    assert credit.low_in_ms(DAY_S) is None
    credit.grant(wire.TOKEN_COMMAND_ADD_TIME, 2)
    assert not credit.low_crossed(DAY_S)
    wait_ms = credit.low_in_ms(DAY_S)
    assert wait_ms is not None
    credit.advance(wait_ms - 1)
    assert not credit.low_crossed(DAY_S)
    credit.advance(wait_ms)
    assert credit.is_low(DAY_S)
    assert credit.low_crossed(DAY_S)
    again = Credit(wait_ms)
    again.unpack(credit.pack())
    assert not again.low_crossed(DAY_S)
    assert again.low_in_ms(DAY_S) is None
    again.grant(wire.TOKEN_COMMAND_SET_TIME, 3)
    assert not again.low_crossed(DAY_S)
    again.grant(wire.TOKEN_COMMAND_DISABLE_PAYG, 998)
    assert not again.low_crossed(DAY_S)
    assert again.low_in_ms(DAY_S) is None
    again.grant(wire.TOKEN_COMMAND_SET_TIME, 0)
    assert again.low_crossed(DAY_S)


def test_time_commands_have_no_say_in_credit() -> None:
    bench = openpaygo_bench(last_count=1)
    bench.enter(opg_token(5, 2))
    for unix_s in (1_900_000_000, 1_800_000_000, 0xFFFFFFFF, 5):
        bench.command(wire.Time(unix_s))
        bench.wait(1)
    assert bench.controller.credit_s == 5 * DAY_S - 4
    assert bench.controller.reporter.unix_s() == 1_800_000_003  # the last that can be meant


def test_the_stored_starting_code_and_count_win() -> None:
    bench = openpaygo_bench(last_count=1)
    bench.enter(opg_token(5, 4))
    other = Bench(openpaygo_config(last_count=50), bench.flash)
    assert other.controller.token_count == 4
    assert other.result(opg_token(5, 6)) == "accepted"
