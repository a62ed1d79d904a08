"""The pause, the budget, and the bound on a patient stranger (ARCHITECTURE.md, invariant 8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import acceptance, throttle
from protocols.magicbox import wire
from tests.firmware.rig import Bench, moto_bench, moto_token, openpaygo_bench, openpaygo_config, opg_token

WRONG = "111111111"
WRONG_MOTO = "42744350"  # ten days, in a signature of nobody
TEN_YEARS_DAYS = 3_653


def _lock(bench: Bench) -> None:
    while bench.result(WRONG) == "invalid":
        pass


def _use_up(bench: Bench) -> None:
    """Guess until no time opens the keypad."""
    wrong = WRONG_MOTO if bench.config.family == wire.FAMILY_MOTO else WRONG
    for _ in range(throttle.CAPACITY + 1):
        if bench.result(wrong) == "locked":
            return
        bench.wait(throttle.LONGEST_PAUSE_S)
    raise AssertionError("the budget was not used up")


def test_a_few_errors_are_free_then_the_pause_doubles_to_512_minutes() -> None:
    bench = openpaygo_bench()
    for _ in range(throttle.FREE_ERRORS):
        assert bench.result(WRONG) == "invalid"
    pauses: list[int] = []
    for _ in range(12):
        assert bench.result(WRONG) == "invalid"
        outcome = bench.enter(WRONG)
        assert wire.RESULT_NAMES[outcome.result] == "locked"
        assert outcome.retry_in_s is not None
        pauses.append(outcome.retry_in_s // 60)
        bench.wait(outcome.retry_in_s)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 512, 512]


def test_a_locked_keypad_does_not_even_look_at_a_good_token() -> None:
    bench = openpaygo_bench(last_count=1)
    _lock(bench)
    assert bench.result(opg_token(5, 2)) == "locked"
    bench.wait(60)
    assert bench.result(opg_token(5, 2)) == "accepted"


def test_a_good_token_ends_it_and_a_spent_one_does_not() -> None:
    bench = openpaygo_bench(last_count=1)
    assert bench.result(opg_token(5, 2)) == "accepted"
    for _ in range(throttle.FREE_ERRORS - 1):
        assert bench.result(WRONG) == "invalid"
    assert bench.result(opg_token(5, 2)) == "already_used"
    assert bench.result(WRONG) == "invalid"
    assert bench.result(opg_token(5, 4)) == "accepted"
    for _ in range(throttle.FREE_ERRORS + 1):
        assert bench.result(WRONG) == "invalid"
    assert bench.result(WRONG) == "locked"


def test_the_pause_and_the_errors_survive_the_power() -> None:
    bench = openpaygo_bench()
    for _ in range(throttle.FREE_ERRORS + 1):
        assert bench.result(WRONG) == "invalid"
        bench.reboot()
    outcome = bench.enter(WRONG)
    assert outcome.retry_in_s == 60
    for _ in range(10):  # nor does time without power shorten it
        bench.hal.now_ms += 3_600_000
        bench.reboot()
    assert bench.enter(WRONG).retry_in_s == 60


def test_spent_tokens_and_empty_entries_are_free() -> None:
    bench = openpaygo_bench(last_count=300)
    for _ in range(throttle.FREE_ERRORS + 5):
        assert bench.result("") == "invalid"
        assert bench.result("*#") == "invalid"
        assert bench.result(opg_token(5, 20)) == "already_used"
    assert bench.result(WRONG) == "invalid"


def test_what_no_token_looks_like_costs_a_pause_but_no_budget() -> None:
    bench = openpaygo_bench(last_count=1)
    for _ in range(2 * throttle.CAPACITY):
        assert bench.result("12") == "invalid"
        bench.wait(throttle.LONGEST_PAUSE_S)
    assert bench.result(opg_token(5, 2)) == "accepted"


def test_a_used_up_budget_is_opened_by_a_sealed_token_only() -> None:
    bench = moto_bench()
    _use_up(bench)
    bench.reboot()
    bench.wait(86_400)
    assert bench.result(moto_token("unlock_relative", 5, 1)) == "locked"
    assert bench.command(wire.Token(1, b"123456789"))
    assert bench.result(moto_token("unlock_relative", 5, 1)) == "locked"
    assert bench.command(wire.Token(2, moto_token("unlock_relative", 5, 2).encode()))
    assert bench.result(moto_token("unlock_relative", 5, 1)) == "accepted"


def test_a_used_up_budget_stays_closed_when_time_fills_it_and_says_when_that_is() -> None:
    bench = moto_bench()
    _use_up(bench)
    good = moto_token("unlock_relative", 5, 1)
    retry_in_s = bench.enter(good).retry_in_s
    assert retry_in_s in range(1, throttle.TIME_REFILL_S + 1)
    bench.wait(retry_in_s - 1)
    assert bench.enter(good).retry_in_s == 1
    bench.reboot()
    assert bench.enter(good).retry_in_s == 1
    bench.wait(1)
    outcome = bench.enter(good)
    assert (outcome.result, outcome.retry_in_s) == (wire.RESULT_LOCKED, throttle.TIME_REFILL_S)
    assert bench.command(wire.Token(2, moto_token("unlock_relative", 5, 2).encode()))
    assert bench.result(good) == "accepted"


def test_after_it_was_opened_a_customer_has_a_few_tries() -> None:
    keypad = throttle.Throttle()
    _guess_until_closed(keypad)
    tries: list[int] = []
    for _ in range(4):
        keypad.accepted(0)
        keypad.reopen()
        tries.append(_guess_until_closed(keypad))
    assert tries == [throttle.REOPEN_TRIES, throttle.REOPEN_TRIES, 1, 0]
    assert sum(tries) == throttle.RESERVE + 1  # and the first refill by a token
    keypad.advance(0, throttle.TIME_REFILL_S)  # the reserve and the budget: one each
    assert keypad.closed
    keypad.reopen()
    assert _guess_until_closed(keypad) == 2


def test_a_wiped_store_gives_a_few_tries_and_each_costs_the_longest_pause() -> None:
    keypad = throttle.Throttle()
    keypad.tampered()
    assert keypad.wait_ms(0) == 0
    keypad.wrong(True)
    assert keypad.wait_ms(0) == throttle.LONGEST_PAUSE_S * 1000
    assert _guess_until_closed(keypad) == throttle.TAMPERED_TRIES - 1
    keypad.reopen()
    assert keypad.closed
    for family in wire.FAMILY_NAMES:
        sync = 1 - (1 - acceptance.sync_chance(family)) ** throttle.TAMPERED_TRIES
        credit = 1 - (1 - acceptance.guess_chance(family)) ** throttle.TAMPERED_TRIES
        assert sync * credit < 0.0001


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["wrong", "typo", "accepted", "reopen", "tampered", "wait"]), st.integers(1, 90)
        ),
        max_size=200,
    )
)
def test_what_is_stored_is_what_was(acts: list[tuple[str, int]]) -> None:
    """And a keypad that is closed stays so until it is opened."""
    keypad = throttle.Throttle()
    powered_s = 0
    for act, number in acts:
        was_closed = keypad.closed
        if act == "wrong" and not keypad.wait_ms(powered_s * 1000):
            keypad.wrong(True)
        elif act == "typo" and not keypad.wait_ms(powered_s * 1000):
            keypad.wrong(False)
        elif act == "accepted":
            keypad.accepted(powered_s)
        elif act == "reopen":
            keypad.reopen()
        elif act == "tampered":
            keypad.tampered()
        elif act == "wait":
            powered_s += number * 86_400
            keypad.advance(number * 86_400_000, powered_s)
        assert keypad.closed or act == "reopen" or not was_closed
        assert 0 <= keypad.budget <= throttle.CAPACITY
        assert bool(keypad.budget) or keypad.closed
        again = throttle.Throttle()
        again.unpack(keypad.pack())
        assert again.pack() == keypad.pack()
        assert again.wait_ms(powered_s * 1000) == keypad.wait_ms(powered_s * 1000)
        assert len(keypad.pack()) == throttle.THROTTLE_SIZE


def test_a_young_device_can_be_opened_again_too() -> None:
    bench = moto_bench()
    _use_up(bench)
    assert bench.command(wire.Token(2, moto_token("unlock_relative", 5, 2).encode()))
    assert bench.result(moto_token("unlock_relative", 5, 1)) == "accepted"


def test_a_sealed_token_passes_a_locked_keypad_and_ends_the_pause() -> None:
    bench = openpaygo_bench(last_count=1)
    _lock(bench)
    assert bench.command(wire.Token(9, opg_token(5, 2).encode()))
    assert bench.hal.relay is True
    assert bench.result(opg_token(5, 4)) == "accepted"


@pytest.mark.parametrize("family", wire.FAMILY_NAMES)
def test_a_stranger_gains_at_most_2_percent_in_ten_years(family: int) -> None:
    assert 0 < throttle.stranger_chance(family) <= 0.02


def test_the_bound_counts_every_guess_that_ten_years_allow() -> None:
    """A stranger with a customer's and an operator's help: guesses whenever the keypad takes one, a token a
    day, and a sealed one too."""
    keypad = throttle.Throttle()
    guesses = 0
    for day in range(TEN_YEARS_DAYS + 1):
        keypad.advance(86_400_000, day * 86_400)
        for _ in range(3):
            guesses += _guess_until_closed(keypad)
            keypad.accepted(day * 86_400)
            keypad.reopen()
    for family in wire.FAMILY_NAMES:
        tries = guesses / (1 - acceptance.spent_chance(family))
        chance = 1 - (1 - acceptance.guess_chance(family)) ** tries
        assert throttle.stranger_chance(family) == chance


def _guess_until_closed(keypad: throttle.Throttle) -> int:
    guesses = 0
    while not keypad.closed:
        keypad.wrong(True)
        guesses += 1
    return guesses


def test_the_operator_hears_of_a_locked_keypad() -> None:
    bench = openpaygo_bench()
    bench.acknowledge_all()
    _lock(bench)
    alarms = [record for record in bench.acknowledge_all() if isinstance(record, wire.Alarm)]
    assert [(alarm.kind, alarm.value) for alarm in alarms] == [(1, 60)]
    _use_up(Bench(openpaygo_config()))
