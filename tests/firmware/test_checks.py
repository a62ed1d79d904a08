"""How a check goes about it: slices, checkpoints, what it costs, and the tampered device's wide search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.acceptance import (
    BACK_SYNC,
    FORWARD,
    FORWARD_SYNC,
    MOTO_REACH,
    NEAR,
    SPENT_NEAR,
    WIDE_SYNC,
    Check,
    Checkpoints,
    Counters,
    begin,
    sync_chance,
)
from firmware.counters import RECENT
from firmware.scans import CHECKPOINTS, CHECKPOINTS_SIZE
from protocols.magicbox import wire
from protocols.tokens import moto, openpaygo
from tests.firmware.rig import K1, K1_STARTING_CODE, MOTO_SECRET

SYNC = openpaygo.SYNC_VALUE
MOTO_COMMANDS = {
    moto.UNLOCK_ABSOLUTE: wire.TOKEN_COMMAND_UNLOCK_ABSOLUTE,
    moto.UNLOCK_RELATIVE: wire.TOKEN_COMMAND_UNLOCK_RELATIVE,
    moto.COUNTER_SYNC: wire.TOKEN_COMMAND_COUNTER_SYNC,
}


def _digits(value: int, count: int, *, extended: bool = False) -> str:
    number = openpaygo.encode(K1, K1_STARTING_CODE, count, value, extended)
    return openpaygo.format_token(number, extended)


def _begin(counters: Counters, digits: str, checkpoints: Checkpoints, *, tampered: bool = False) -> Check:
    check = begin(wire.FAMILY_OPENPAYGO, K1, K1_STARTING_CODE, counters, digits, checkpoints, tampered)
    assert check is not None
    return check


def _begin_moto(counters: Counters, number: int, *, tampered: bool = False) -> Check:
    check = begin(wire.FAMILY_MOTO, MOTO_SECRET, 0, counters, str(number), Checkpoints(), tampered)
    assert check is not None
    return check


def _cost(check: Check) -> int:
    """How many hashes it takes; the last call may have none left to try."""
    hashes = 0
    while not check.step(1):
        hashes += 1
    return hashes


def _accept(counters: Counters, checkpoints: Checkpoints, digits: str) -> None:
    check = _begin(counters, digits, checkpoints)
    check.run()
    assert check.result == wire.RESULT_ACCEPTED
    counters.accept(check.command, check.count, check.number)
    checkpoints.note(check)


# The verdict is the same whatever the order of the search: a search of everything, in no order, says so too.


def _by_the_rules(counters: Counters, number: int, matches: list[tuple[int, int]], forward: int) -> int:
    """acceptance.py's order of decisions over all (command, count) that the digits match."""
    last = counters.last
    if matches and counters.is_recent(number):
        return wire.RESULT_ALREADY_USED
    good = [count for command, count in matches if counters.is_good(command, count, forward)]
    spent = [count for command, count in matches if count <= last and count not in good]
    if any(count <= last + NEAR for count in good):
        return wire.RESULT_ACCEPTED
    if any(count >= last - SPENT_NEAR for count in spent):
        return wire.RESULT_ALREADY_USED
    if good:
        return wire.RESULT_ACCEPTED
    return wire.RESULT_ALREADY_USED if spent else wire.RESULT_INVALID


def _openpaygo_matches(digits: str, value: int, *, extended: bool, limit: int) -> list[tuple[int, int]]:
    matches: list[tuple[int, int]] = []
    for count in range(1, limit + 1):
        if _digits(value, count, extended=extended) != digits:
            continue
        if count % 2 == 0:
            if value not in (openpaygo.DISABLE_VALUE, SYNC):
                matches.append((wire.TOKEN_COMMAND_ADD_TIME, count))
        elif value == openpaygo.DISABLE_VALUE:
            matches.append((wire.TOKEN_COMMAND_DISABLE_PAYG, count))
        else:
            sync = wire.TOKEN_COMMAND_COUNTER_SYNC
            matches.append((sync if value == SYNC else wire.TOKEN_COMMAND_SET_TIME, count))
    return matches


COUNTERS = st.builds(
    lambda last, used, floor: _counters(last, used | 1, min(floor, last + 1)),
    st.integers(0, 400),
    st.integers(0, 2**64 - 1),
    st.integers(0, 401),
)


def _counters(last: int, used: int, floor: int) -> Counters:
    counters = Counters(last)
    counters.used, counters.floor = used, floor
    return counters


@given(
    counters=COUNTERS,
    ahead=st.integers(-400, 110),
    value=st.sampled_from([0, 7, 30, openpaygo.DISABLE_VALUE, SYNC]),
    extended=st.booleans(),
    checkpoint=st.integers(0, 500),
    slices=st.integers(1, 200),
    is_recent=st.booleans(),
)
def test_openpaygo_verdicts_are_by_the_rules(
    *,
    counters: Counters,
    ahead: int,
    value: int,
    extended: bool,
    checkpoint: int,
    slices: int,
    is_recent: bool,
) -> None:
    forward = FORWARD_SYNC if value == SYNC else FORWARD
    digits = _digits(value, max(counters.last + ahead, 1), extended=extended)
    if is_recent:
        counters.recent = [int(digits) & 0xFFFFFFFF]
    checkpoints = _checkpoints(value, checkpoint, extended=extended)
    check = _begin(counters, digits, checkpoints)
    while not check.step(slices):
        pass
    matches = _openpaygo_matches(digits, value, extended=extended, limit=counters.last + forward)
    assert check.result == _by_the_rules(counters, int(digits), matches, forward)
    if check.result != wire.RESULT_INVALID:
        assert (check.command, check.count) in matches


def _checkpoints(value: int, count: int, *, extended: bool) -> Checkpoints:
    """A device that kept the place at `count`, wherever its counter is now."""
    chain = openpaygo.Chain(K1, K1_STARTING_CODE, value, extended)
    chain.step(count)
    checkpoints = Checkpoints()
    checkpoints.unpack(_place(value << 1 | extended, count, chain.code) + bytes(CHECKPOINTS_SIZE - 16))
    return checkpoints


def _place(kind: int, count: int, code: int) -> bytes:
    return kind.to_bytes(4, "big") + count.to_bytes(4, "big") + code.to_bytes(8, "big")


@given(
    counters=COUNTERS,
    ahead=st.integers(-400, 110),
    command=st.sampled_from(sorted(moto.COMMAND_CODES.values())),
    slices=st.integers(1, 200),
)
def test_moto_verdicts_are_by_the_rules(counters: Counters, ahead: int, command: int, slices: int) -> None:
    number = moto.encode(MOTO_SECRET, command, 3, max(counters.last + ahead, 0))
    check = _begin_moto(counters, number)
    while not check.step(slices):
        pass
    forward = FORWARD_SYNC if command == moto.COUNTER_SYNC else FORWARD
    matches = [
        (MOTO_COMMANDS[command], count)
        for count in range(counters.last + forward + 1)
        if moto.encode(MOTO_SECRET, command, 3, count) == number
    ]
    assert check.result == _by_the_rules(counters, number, matches, forward)
    if check.result != wire.RESULT_INVALID:
        assert (check.command, check.count) in matches


# Checkpoints: what a check costs.


def _life(last: int) -> tuple[Counters, Checkpoints]:
    """A device on which tokens of 7 days brought the counter to `last` (even)."""
    counters, checkpoints = Counters(last - 2 * BACK_SYNC if last > 2 * BACK_SYNC else 0), Checkpoints()
    for count in range(counters.last + 2, last + 1, 2):
        _accept(counters, checkpoints, _digits(7, count))
    return counters, checkpoints


def test_a_check_at_count_7300_costs_what_one_at_count_74_does() -> None:
    costs = []
    for last in (74, 7_300):
        counters, checkpoints = _life(last)
        check = _begin(counters, _digits(7, last + 2), checkpoints)
        costs.append(_cost(check))
        assert (check.result, check.count) == (wire.RESULT_ACCEPTED, last + 2)
    assert max(costs) <= BACK_SYNC + 5
    spent = [_begin(*_life_token(last, last - 20)) for last in (74, 7_300)]
    assert all(_cost(check) <= 2 * FORWARD + 2 for check in spent)
    assert {check.result for check in spent} == {wire.RESULT_ALREADY_USED}


def _life_token(last: int, count: int) -> tuple[Counters, str, Checkpoints]:
    counters, checkpoints = _life(last)
    return counters, _digits(7, count), checkpoints


def test_only_a_token_that_fits_nowhere_near_costs_the_whole_walk() -> None:
    counters, checkpoints = _life(1_000)
    valid = _digits(7, 1_002)
    wrong = f"{(int(valid[:6]) + 1) % 10**6:06}{valid[6:]}"
    check = _begin(counters, wrong, checkpoints)
    assert not check.step(2 * FORWARD)  # nothing in the window
    check.run()
    assert check.result == wire.RESULT_INVALID
    assert _cost(_begin(counters, wrong, checkpoints)) == 1_000 + FORWARD
    old = _begin(counters, _digits(7, 4), checkpoints)
    assert _cost(old) <= 2 * FORWARD + 4 + 1
    assert old.result == wire.RESULT_ALREADY_USED


def test_a_used_moto_token_of_late_costs_no_more_than_its_window() -> None:
    counters = Counters(5_000)
    for behind, most in ((10, FORWARD + BACK_SYNC + 1), (200, FORWARD + SPENT_NEAR + 1)):
        check = _begin_moto(counters, moto.encode(MOTO_SECRET, 1, 3, 5_000 - behind))
        assert _cost(check) <= most
        assert check.result == wire.RESULT_ALREADY_USED
    assert _cost(_begin_moto(counters, 42744350)) == FORWARD + MOTO_REACH


def test_guesses_leave_no_checkpoints_and_the_oldest_of_many_values_goes() -> None:
    counters, checkpoints = Counters(400), Checkpoints()
    guess = _begin(counters, _digits(9, 4), checkpoints)
    guess.run()
    assert checkpoints.pack() == bytes(CHECKPOINTS_SIZE)
    for days in range(1, CHECKPOINTS + 2):
        _accept(counters, checkpoints, _digits(days, 400 + 2 * days))
    assert checkpoints.find(1 << 1) == (0, 0)
    kept = [checkpoints.find(days << 1)[0] for days in range(2, CHECKPOINTS + 2)]
    assert kept == [400 + 2 * days - 2 - BACK_SYNC - 1 for days in range(2, CHECKPOINTS + 2)]
    again = Checkpoints()
    again.unpack(checkpoints.pack())
    assert again.pack() == checkpoints.pack()


# A tampered device.


@pytest.mark.parametrize("is_moto", [True, False])
def test_a_tampered_device_finds_a_sync_of_eleven_years_and_looks_at_nothing_else(is_moto: bool) -> None:
    reach = WIDE_SYNC[wire.FAMILY_MOTO if is_moto else wire.FAMILY_OPENPAYGO]

    def check(command: int, count: int) -> Check:
        if is_moto:
            number = moto.encode(MOTO_SECRET, {SYNC: moto.COUNTER_SYNC}.get(command, 1), 5, count)
            return _begin_moto(Counters(2), number, tampered=True)
        return _begin(Counters(2), _digits(command, count), Checkpoints(), tampered=True)

    for count, result in ((3, "accepted"), (reach + 1, "accepted"), (reach + 5, "invalid")):
        sync = check(SYNC, count)
        sync.run()
        assert wire.RESULT_NAMES[sync.result] == result
        assert sync.count == (count if result == "accepted" else 0)
    for value in (1, 30) if is_moto else (1, 30, openpaygo.DISABLE_VALUE):
        other = check(value, 5)
        assert other.step(1)
        assert (other.result, other.count) == (wire.RESULT_LOCKED, 0)


def test_a_guessed_sync_is_as_unlikely_in_both_families() -> None:
    chances = [sync_chance(family) for family in wire.FAMILY_NAMES]
    assert max(chances) <= 1 / 128


def test_a_late_token_stays_spent_when_its_digits_are_no_longer_recent() -> None:
    counters = Counters(100)
    late = moto.encode(MOTO_SECRET, moto.COUNTER_SYNC, 0, 90)
    counters.used = 1
    check = _begin_moto(counters, late)
    check.run()
    assert check.result == wire.RESULT_ACCEPTED
    counters.accept(check.command, check.count, check.number)
    for count in range(101, 101 + RECENT):
        counters.accept(wire.TOKEN_COMMAND_UNLOCK_RELATIVE, count, count)
    again = _begin_moto(counters, late)
    again.run()
    assert not counters.is_recent(late)
    assert again.result == wire.RESULT_ALREADY_USED
