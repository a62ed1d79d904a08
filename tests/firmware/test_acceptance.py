"""Which tokens a device takes: vectors, windows, each defect of other decoders (spec/openpaygo.md)."""

import pytest

from firmware.acceptance import SPENT_NEAR, Check, Checkpoints, Counters, begin
from protocols.magicbox import wire
from protocols.tokens import openpaygo
from protocols.tokens.errors import TokenError
from tests.firmware.rig import (
    DAY_S,
    K1,
    K1_STARTING_CODE,
    moto_bench,
    moto_token,
    openpaygo_bench,
    opg_token,
)


def test_the_five_probed_moto_tokens_on_one_device() -> None:
    bench = moto_bench()
    assert bench.result("*00 427 443 49#") == "accepted"
    assert bench.controller.credit_s == 10 * DAY_S
    assert bench.result("*15 311 916 41#") == "accepted"
    assert bench.controller.credit_s == 365 * DAY_S
    assert bench.result("3367721144") == "accepted"
    assert bench.controller.token_count == 100
    assert bench.result("*126870056") == "already_used"
    assert bench.controller.credit_s == 365 * DAY_S


@pytest.mark.parametrize(
    ("last", "digits", "command", "payload"),
    [
        (1, "588224011", "add_time", 1),
        (1, "586420005", "set_time", 995),
        (2, "190942008", "disable_payg", 998),
        (1, "160440009", "counter_sync", 999),
        (1, "314114432231134", "add_time", 1),
        (1, "247264959011", "add_time", 1),
    ],
)
def test_openpaygo_vectors(last: int, digits: str, command: str, payload: int) -> None:
    outcome = openpaygo_bench(last_count=last).enter(digits)
    assert wire.RESULT_NAMES[outcome.result] == "accepted"
    assert (wire.TOKEN_COMMAND_NAMES[outcome.command], outcome.payload) == (command, payload)


def test_moto_sequence_number_0_is_good_once() -> None:
    bench = moto_bench()
    assert bench.result(moto_token("unlock_relative", 3, 0)) == "accepted"
    assert bench.result(moto_token("unlock_relative", 3, 0)) == "already_used"
    assert bench.result(moto_token("unlock_absolute", 3, 0)) == "already_used"


@pytest.mark.parametrize(("ahead", "result"), [(64, "accepted"), (66, "invalid")])
def test_openpaygo_forward_window(ahead: int, result: str) -> None:
    assert openpaygo_bench(last_count=10).result(opg_token(7, 10 + ahead)) == result


@pytest.mark.parametrize(("ahead", "result"), [(64, "accepted"), (65, "invalid")])
def test_moto_forward_window(ahead: int, result: str) -> None:
    assert moto_bench(last_count=10).result(moto_token("unlock_relative", 7, 10 + ahead)) == result


@pytest.mark.parametrize(("ahead", "result"), [(99, "accepted"), (101, "invalid")])
def test_counter_sync_reaches_further(ahead: int, result: str) -> None:
    assert openpaygo_bench(last_count=10).result(opg_token(999, 10 + ahead)) == result
    assert moto_bench(last_count=10).result(moto_token("counter_sync", 500, 10 + ahead)) == result


@pytest.mark.parametrize(("behind", "result"), [(14, "accepted"), (16, "already_used")])
def test_unused_older_add_window(behind: int, result: str) -> None:
    bench = openpaygo_bench(last_count=1)
    assert bench.result(opg_token(5, 40)) == "accepted"
    assert bench.result(opg_token(5, 40 - behind)) == result


def test_unused_older_moto_tokens_in_any_order() -> None:
    bench = moto_bench()
    for number in (4, 2, 3, 1):
        assert bench.result(moto_token("unlock_relative", 10 + number, number)) == "accepted"
    assert bench.controller.credit_s == (14 + 12 + 13 + 11) * DAY_S
    assert bench.controller.token_count == 4


def test_a_moto_token_older_than_an_absolute_unlock_is_spent() -> None:
    bench = moto_bench()
    assert bench.result(moto_token("unlock_absolute", 5, 3)) == "accepted"
    assert bench.result(moto_token("unlock_relative", 5, 2)) == "already_used"
    assert bench.result(moto_token("unlock_relative", 5, 4)) == "accepted"
    assert bench.result(moto_token("unlock_relative", 5, 2)) == "already_used"
    assert bench.controller.credit_s == 10 * DAY_S


def test_moto_counter_sync_jumps_and_never_back() -> None:
    bench = moto_bench()
    assert bench.result(moto_token("counter_sync", 900, 5)) == "accepted"
    assert bench.controller.token_count == 900
    assert bench.result(moto_token("unlock_relative", 2, 899)) == "already_used"
    assert bench.result(moto_token("counter_sync", 100, 901)) == "accepted"
    assert bench.controller.token_count == 901
    assert bench.result(moto_token("unlock_relative", 2, 902)) == "accepted"


def test_an_additive_token_after_a_disabling_one_is_accepted_and_takes_nothing_away() -> None:
    bench = openpaygo_bench(last_count=1)
    assert bench.result(opg_token(998, 3)) == "accepted"
    assert bench.result(opg_token(30, 4)) == "accepted"
    assert bench.controller.status == wire.STATE_PAYG_DISABLED
    assert bench.hal.relay is True
    assert bench.result(opg_token(0, 5)) == "accepted"
    assert bench.hal.relay is False


def test_used_tokens_of_any_age_are_no_wrong_entries() -> None:
    bench = openpaygo_bench(last_count=600)
    for _ in range(20):
        assert bench.result(opg_token(7, 2)) == "already_used"


# The defects of other decoders, one test each.


def test_a_used_older_add_token_never_credits_again() -> None:
    bench = openpaygo_bench(last_count=1)
    tokens = ("177073015", "361434015", "360018015", "980357015")
    for token in tokens:
        assert bench.result(token) == "accepted"
    for token in tokens * 3:
        assert bench.result(token) == "already_used"
    assert bench.controller.credit_s == 20 * DAY_S


def test_an_add_older_than_a_set_stays_spent_after_the_next_add() -> None:
    bench = openpaygo_bench(last_count=1)
    assert bench.result(opg_token(10, 5)) == "accepted"  # SET
    assert bench.result(opg_token(3, 4)) == "already_used"
    assert bench.result(opg_token(3, 6)) == "accepted"
    assert bench.result(opg_token(3, 4)) == "already_used"
    assert bench.controller.credit_s == 13 * DAY_S


def test_a_counter_sync_does_not_lower_the_counter() -> None:
    bench = openpaygo_bench(last_count=1)
    adds = [opg_token(5, count) for count in (2, 4, 6, 8)]
    for token in adds:
        assert bench.result(token) == "accepted"
    assert bench.result(opg_token(999, 3)) == "accepted"
    assert bench.controller.token_count == 8
    for token in adds:
        assert bench.result(token) == "already_used"
    assert bench.controller.credit_s == 20 * DAY_S


def test_count_0_is_no_token() -> None:
    bench = openpaygo_bench()
    assert bench.result("516959005") == "invalid"
    assert bench.controller.credit_s == 0


def test_moto_numbers_as_large_as_they_get() -> None:
    last = 0xFFFFFFFF - 1
    bench = moto_bench(last_count=last)
    assert bench.result(moto_token("unlock_relative", 2, last)) == "already_used"
    assert bench.result(moto_token("unlock_absolute", 2, last + 1)) == "accepted"
    assert bench.result("42744350") == "invalid"
    bench.reboot()
    assert bench.result(moto_token("unlock_absolute", 2, last + 1)) == "already_used"


def test_the_used_window_tracks_from_the_first_token_on() -> None:
    bench = openpaygo_bench()
    assert bench.result(opg_token(5, 2)) == "accepted"
    assert bench.result(opg_token(5, 2)) == "already_used"


@pytest.mark.parametrize("digits", ["999999999999", "000000000000", "123456789012"])
def test_an_invalid_12_digit_token_is_just_invalid(digits: str) -> None:
    assert openpaygo_bench().result(digits) == "invalid"


def test_a_9_digit_token_with_spaces_is_no_extended_one() -> None:
    assert openpaygo_bench(last_count=1).result("588 224 011") == "accepted"


def test_extended_disable_and_sync_are_what_they_say_and_once() -> None:
    bench = openpaygo_bench(last_count=1)
    assert bench.result(opg_token(999, 3, extended=True)) == "accepted"
    assert bench.controller.credit_s == 0
    assert bench.result(opg_token(999, 3, extended=True)) == "already_used"
    assert bench.result(opg_token(998, 5, extended=True)) == "accepted"
    assert bench.controller.status == wire.STATE_PAYG_DISABLED


@pytest.mark.parametrize("value", [996, 997])
@pytest.mark.parametrize("count", [2, 3])
def test_996_and_997_credit_nothing(value: int, count: int) -> None:
    bench = openpaygo_bench(last_count=1)
    assert bench.result(opg_token(value, count)) == "invalid"
    assert bench.controller.credit_s == 0


@pytest.mark.parametrize("count", [2, 3])
def test_extended_996_and_997_credit_nothing_either(count: int) -> None:
    bench = openpaygo_bench(last_count=1)
    for value in (996, 997):
        assert bench.result(opg_token(value, count, extended=True)) == "invalid"
        with pytest.raises(TokenError, match="reserved"):
            openpaygo.encode(K1, K1_STARTING_CODE, count, value, True)
    assert bench.controller.credit_s == 0


@pytest.mark.parametrize("value", [998, 999])
@pytest.mark.parametrize("extended", [False, True])
def test_998_and_999_do_nothing_at_even_counts(value: int, extended: bool) -> None:
    bench = openpaygo_bench(last_count=1)
    assert bench.result(opg_token(value, 2, extended=extended)) == "invalid"
    assert bench.controller.status == wire.STATE_EXPIRED


def test_restricted_digits_have_no_aliases() -> None:
    bench = openpaygo_bench(last_count=1)
    genuine = "314114432231134"
    for position, digit in enumerate(genuine):
        alias = str((int(digit) + 4) % 10)
        assert bench.result(genuine[:position] + alias + genuine[position + 1 :]) in {"invalid", "locked"}
    bench.wait(1000 * 60)
    assert bench.result(genuine) == "accepted"


def test_digits_of_other_scripts_are_no_digits() -> None:
    bench = openpaygo_bench(last_count=1)
    assert bench.result("５８８２２４０１１") == "invalid"
    assert bench.result("٥٨٨٢٢٤٠١١") == "invalid"


def test_counts_do_not_wrap_at_16_bits() -> None:
    counters = Counters(65_535)
    check = begin(wire.FAMILY_OPENPAYGO, K1, K1_STARTING_CODE, counters, opg_token(1, 2), Checkpoints())
    assert _verdict(check) == wire.RESULT_ALREADY_USED
    number = openpaygo.encode(K1, K1_STARTING_CODE, 65_538, 1)
    digits = openpaygo.format_token(number)
    check = begin(wire.FAMILY_OPENPAYGO, K1, K1_STARTING_CODE, counters, digits, Checkpoints())
    assert check is not None
    assert _verdict(check) == wire.RESULT_ACCEPTED
    counters.accept(check.command, check.count, check.number)
    assert counters.last == 65_538


def test_pulling_the_power_does_not_reset_the_throttle() -> None:
    bench = openpaygo_bench()
    while bench.result("111111111") == "invalid":
        pass
    bench.reboot()
    assert bench.result("111111111") == "locked"


# Digits that mean two things.


@pytest.mark.parametrize(
    ("back", "result"),
    [((20, SPENT_NEAR), wire.RESULT_ALREADY_USED), ((SPENT_NEAR + 1, 4_000), wire.RESULT_ACCEPTED)],
)
def test_digits_that_match_far_ahead_and_behind(back: tuple[int, int], result: int) -> None:
    """A number spent not long ago wins over one far ahead; one spent long ago does not."""
    last = 4_001
    secret, digits = _colliding_token(last, ahead=(17, 64), back=back)
    check = begin(wire.FAMILY_MOTO, secret, 0, Counters(last), digits, Checkpoints())
    assert _verdict(check) == result


def test_digits_of_an_old_token_that_match_the_next_one_are_the_next_one() -> None:
    last = 2_000
    secret, digits = _colliding_token(last, ahead=(1, 16), back=(20, last))
    counters = Counters(last)
    check = begin(wire.FAMILY_MOTO, secret, 0, counters, digits, Checkpoints())
    assert check is not None
    assert _verdict(check) == wire.RESULT_ACCEPTED
    counters.accept(check.command, check.count, check.number)
    check = begin(wire.FAMILY_MOTO, secret, 0, counters, digits, Checkpoints())
    assert _verdict(check) == wire.RESULT_ALREADY_USED


def _colliding_token(last: int, *, ahead: tuple[int, int], back: tuple[int, int]) -> tuple[bytes, str]:
    """A secret and digits that are a token both of a number `back` from `last` and of one `ahead` of it."""
    from protocols.tokens import moto

    secret = b"collision"
    for payload in range(1, 2_000):
        old = {moto.signature(secret, 1, payload, last - n) for n in range(back[0], back[1] + 1)}
        others = {
            moto.signature(secret, 1, payload, last + n)
            for n in range(-SPENT_NEAR, 65)
            if not (ahead[0] <= n <= ahead[1] or back[0] <= -n <= back[1])
        }
        for number in range(last + ahead[0], last + ahead[1] + 1):
            signature = moto.signature(secret, 1, payload, number)
            if signature in old and signature not in others:
                return secret, str(moto.encode(secret, 1, payload, number))
    raise AssertionError("no collision found")


def _verdict(check: Check | None) -> int:
    assert check is not None
    check.run()
    return check.result
