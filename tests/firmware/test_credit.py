"""The credit clock: to the second, only with power, and a cut gives back no more than was promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.credit import FIRST_SAVE_S, MAX_LEFT_MS, SAVE_INTERVAL_S, Credit
from firmware.hal.unix import blank_flash
from firmware.state import State, provision
from firmware.store import StoreError
from protocols.magicbox import wire
from tests.firmware.rig import (
    DAY_S,
    Bench,
    moto_bench,
    moto_config,
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


@given(st.floats(0.5, 100_000))
def test_a_cut_gives_back_at_most_the_save_interval_and_half_of_a_short_run(run_s: float) -> None:
    bench = openpaygo_bench(last_count=1)
    bench.enter(opg_token(5, 2))
    bench.reboot()
    end_ms = bench.hal.now_ms + round(run_s * 1000)
    while bench.hal.now_ms < end_ms:
        bench.hal.now_ms = min(bench.hal.now_ms + bench.controller.poll(bench.hal.now_ms), end_ms)
    before = bench.controller.credit_s
    bench.reboot()
    back = bench.controller.credit_s - before
    assert -1 <= back <= SAVE_INTERVAL_S
    if run_s >= FIRST_SAVE_S:
        assert back <= 2 * run_s / 3 + 1


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


def test_a_clock_that_goes_back_costs_and_gives_nothing() -> None:
    credit = Credit(1_000_000)
    credit.grant(wire.TOKEN_COMMAND_ADD_TIME, 1)
    assert credit.advance(5) == 0
    assert credit.left_s() == DAY_S
    assert credit.advance(1_005) == 1_000


def test_time_commands_have_no_say_in_credit() -> None:
    bench = openpaygo_bench(last_count=1)
    bench.enter(opg_token(5, 2))
    for unix_s in (1_900_000_000, 1_800_000_000, 0xFFFFFFFF, 5):
        bench.command(wire.Time(unix_s))
        bench.wait(1)
    assert bench.controller.credit_s == 5 * DAY_S - 4
    assert bench.controller.reporter.unix_s() == 0xFFFFFFFF


def test_every_part_of_the_state_is_read_back() -> None:
    bench = openpaygo_bench(last_count=1)
    for count in (2, 4, 8):
        bench.enter(opg_token(3, count))
    bench.enter("111111111")
    bench.command(wire.Sync(4, 0), wire.Token(5, b"1"))
    bench.wait(1234)
    bench.controller.save()
    first = bench.controller._state.pack()
    again = State(bench.config, 0)
    again.unpack(first)
    assert again.pack()[:-400] == first[:-400]
    assert again.counters.recent == bench.controller._state.counters.recent


def test_a_store_of_another_device_is_refused() -> None:
    bench = moto_bench()
    with pytest.raises(StoreError, match="another secret"):
        Bench(openpaygo_config(), bench.flash)
    with pytest.raises(StoreError, match="provisioned already"):
        provision(moto_config(), bench.flash)
    with pytest.raises(StoreError, match="blank or damaged"):
        Bench(moto_config(), blank_flash())


def test_the_stored_starting_code_and_count_win() -> None:
    bench = openpaygo_bench(last_count=1)
    bench.enter(opg_token(5, 4))
    other = Bench(openpaygo_config(last_count=50), bench.flash)
    assert other.controller.token_count == 4
    assert other.result(opg_token(5, 6)) == "accepted"
