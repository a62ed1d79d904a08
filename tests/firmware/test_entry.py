"""The keypad: keys, feedback, time-outs, slices of a check, and what is heard of credit that runs out."""

import pytest

from firmware.config import Config
from firmware.controller import SLICE_MS
from protocols.magicbox import wire
from tests.firmware.rig import (
    DAY_S,
    Bench,
    moto_bench,
    moto_token,
    openpaygo_bench,
    opg_token,
)


def _outcome_of(bench: Bench, polls: int = 10_000) -> int:
    """Poll until the entry has its outcome; its RESULT."""
    for _ in range(polls):
        bench.controller.poll(bench.hal.now_ms)
        outcome = bench.controller.take_outcome()
        if outcome is not None:
            return outcome.result
    raise AssertionError("the check does not end")


def test_keys_feedback_and_entry_timeout() -> None:
    bench = moto_bench()
    controller = bench.controller
    for key in "*42 744 349".replace(" ", ""):
        assert controller.key(key, bench.hal.now_ms) is None
    assert controller.display == ("42744349", "")
    assert controller.key("#", bench.hal.now_ms) is None
    assert _outcome_of(bench) == wire.RESULT_ACCEPTED
    assert controller.display == ("ACCEPTED", "10 DAYS LEFT")
    bench.wait(6)
    assert controller.display == ("CREDIT", "9 DAYS LEFT")
    controller.key("1", bench.hal.now_ms)
    bench.wait(31)
    assert controller.display == ("CREDIT", "9 DAYS LEFT")
    assert controller.key("#", bench.hal.now_ms) is not None
    controller.key("1", bench.hal.now_ms)
    controller.key("*", bench.hal.now_ms)
    assert controller.display == ("", "")


def test_the_days_on_the_display_go_down() -> None:
    bench = moto_bench()
    bench.enter(moto_token("unlock_relative", 3, 1))
    bench.wait(6)
    shown = [bench.controller.display]
    for _ in range(72):
        bench.wait(3600)
        if bench.controller.display != shown[-1]:
            shown.append(bench.controller.display)
    assert shown[0] == ("CREDIT", "2 DAYS LEFT")
    assert shown[1] == ("CREDIT", "1 DAYS LEFT")
    assert shown[2][1] == "24 H LEFT"
    assert shown[-1] == ("NO CREDIT", "ENTER A TOKEN")


def test_a_check_goes_in_slices_and_says_so_when_it_takes_long() -> None:
    bench = openpaygo_bench(last_count=2_000)
    bench.hal.tick_ms = SLICE_MS  # so slow that a slice is one step
    controller = bench.controller
    for key in opg_token(3, 2_002):
        controller.key(key, bench.hal.now_ms)
    assert controller.key("#", bench.hal.now_ms) is None
    assert controller.poll(bench.hal.now_ms) == 1
    assert controller.take_outcome() is None
    for _ in range(20):
        assert controller.key("5", bench.hal.now_ms) is None  # keys do nothing meanwhile
        controller.poll(bench.hal.now_ms)
    assert controller.display == ("CHECKING", "")
    assert _outcome_of(bench) == wire.RESULT_ACCEPTED
    assert controller.display == ("ACCEPTED", "3 DAYS LEFT")
    assert controller.credit_s == 3 * DAY_S


def test_no_slice_is_longer_than_promised() -> None:
    """A hash takes 2 ms here, a slow board's; a slice ends at most one step late."""
    bench = openpaygo_bench(last_count=500)
    bench.hal.tick_ms = 8  # a step of four hashes between two looks at the clock
    for key in opg_token(3, 502):
        bench.controller.key(key, bench.hal.now_ms)
    bench.controller.key("#", bench.hal.now_ms)
    while bench.controller.take_outcome() is None:
        before_ms = bench.hal.now_ms
        bench.controller.poll(before_ms)
        assert bench.hal.now_ms - before_ms <= SLICE_MS + 2 * 8


def test_an_entry_waits_for_the_check_of_a_command() -> None:
    bench = openpaygo_bench(last_count=500)
    bench.hal.tick_ms = SLICE_MS
    bench.command(wire.Token(1, opg_token(3, 502).encode()))
    assert bench.controller.results.find(1) is None
    for key in opg_token(3, 502):
        bench.controller.key(key, bench.hal.now_ms)
    assert bench.controller.key("#", bench.hal.now_ms) is None
    assert _outcome_of(bench) == wire.RESULT_ALREADY_USED
    assert bench.controller.results.find(1) == (wire.COMMAND_RESULT_OK, b"accepted")
    assert bench.controller.credit_s <= 3 * DAY_S


def test_a_power_cut_during_a_check_costs_and_gives_nothing() -> None:
    bench = openpaygo_bench(last_count=500)
    bench.hal.tick_ms = SLICE_MS
    for key in opg_token(3, 502) + "#":
        bench.controller.key(key, bench.hal.now_ms)
    bench.controller.poll(bench.hal.now_ms)
    bench.reboot()
    assert bench.hal.relay is False
    assert bench.result(opg_token(3, 502)) == "accepted"


def test_low_credit_is_told_once_and_shown() -> None:
    bench = moto_bench(low_credit_s=3_600)
    bench.enter(moto_token("unlock_relative", 1, 1))
    bench.acknowledge_all()
    bench.wait(DAY_S - 3_601)
    bench.acknowledge_all()
    assert bench.controller.display[0] == "CREDIT"
    bench.wait(2)
    alarms = [record for record in bench.acknowledge_all() if isinstance(record, wire.Alarm)]
    assert [(alarm.kind, alarm.value) for alarm in alarms] == [(wire.ALARM_KIND_LOW_CREDIT, 3_599)]
    assert bench.controller.display == ("LOW CREDIT", "1 H LEFT")
    bench.reboot()
    bench.wait(60)
    assert not [record for record in bench.acknowledge_all() if isinstance(record, wire.Alarm)]
    bench.enter(moto_token("unlock_relative", 1, 2))
    bench.wait(6)
    assert bench.controller.display == ("CREDIT", "1 DAYS LEFT")
    bench.wait(DAY_S)
    assert [record for record in bench.acknowledge_all() if isinstance(record, wire.Alarm)]


def test_the_deadline_of_poll_is_the_moment_of_expiry() -> None:
    bench = moto_bench(status_interval_s=1_000_000)
    bench.enter(moto_token("unlock_relative", 1, 1))
    while bench.hal.relay:
        wait_ms = bench.controller.poll(bench.hal.now_ms)
        assert wait_ms > 0
        bench.hal.now_ms += wait_ms
        bench.controller.poll(bench.hal.now_ms)
    assert bench.hal.now_ms == DAY_S * 1000


@pytest.mark.parametrize("digits", ["", "42744349", "111111111"])
def test_every_entry_plays_its_pattern(digits: str) -> None:
    bench = moto_bench()
    for key in digits:
        bench.controller.key(key, bench.hal.now_ms)
    assert bench.controller.outputs.poll(bench.hal.now_ms) > 0 or not digits
    bench.type_keys("#")
    played_ms = 0
    while (wait_ms := bench.controller.outputs.poll(bench.hal.now_ms)) >= 0:
        bench.hal.now_ms += wait_ms
        played_ms += wait_ms
    assert played_ms > 100


def test_a_config_without_sense_is_refused() -> None:
    for name, value in (
        ("links", "ftp"),
        ("links", ""),
        ("low_credit_s", -1),
        ("keep_alive_s", 65_536),
        ("status_interval_s", 0),
    ):
        with pytest.raises(ValueError, match=r"must"):
            moto_bench(**{name: value})
    assert isinstance(moto_bench(links="http,mqtt").config, Config)
