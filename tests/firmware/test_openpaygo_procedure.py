"""The upstream OpenPAYGO test procedure (EnAccess/OpenPAYGO-Token, tests/full_test_procedure.py).

Tokens come from the `openpaygo` package, the days from acceptance and credit alone; tests/edge has the same
through `payg device keypad`. U3's disabling token has an odd count here, as the package makes it today.
"""

import pytest
from openpaygo.token_encode import OpenPAYGOTokenEncoder
from openpaygo.token_shared import TokenType

from firmware.acceptance import Checkpoints, Counters, begin
from firmware.credit import NO_LIMIT_S, Credit
from protocols.magicbox import wire
from tests.firmware.rig import DAY_S, K1, K1_STARTING_CODE

UNLIMITED = -1
ADD = TokenType.ADD_TIME
SET = TokenType.SET_TIME
OFF = TokenType.DISABLE_PAYG


class Upstream:
    """The generator of the procedure, and the device that it is entered into."""

    def __init__(self, *, restricted: bool) -> None:
        self._restricted = restricted
        self._count = 1
        self._counters = Counters(1)
        self._checkpoints = Checkpoints()
        self._now_ms = 0
        self._credit = Credit(0)

    def token(self, kind: int, days: int | None, skip: int = 0) -> str:
        self._count, digits = OpenPAYGOTokenEncoder.generate_token(
            secret_key=K1.hex(),
            count=self._count + skip,
            value=days,
            token_type=kind,
            starting_code=K1_STARTING_CODE,
            restricted_digit_set=self._restricted,
        )
        return digits

    def enter(self, digits: str) -> tuple[str, int]:
        """(result, days left)"""
        check = begin(wire.FAMILY_OPENPAYGO, K1, K1_STARTING_CODE, self._counters, digits, self._checkpoints)
        assert check is not None
        check.run()
        if check.result == wire.RESULT_ACCEPTED:
            self._counters.accept(check.command, check.count, check.number)
            self._checkpoints.note(check)
            self._credit.grant(check.command, check.payload)
        left_s = self._credit.left_s()
        return wire.RESULT_NAMES[check.result], UNLIMITED if left_s == NO_LIMIT_S else left_s // DAY_S

    def wait(self, seconds: int) -> None:
        self._now_ms += seconds * 1000
        self._credit.advance(self._now_ms)


@pytest.mark.parametrize("restricted", [False, True])
def test_the_core_procedure(restricted: bool) -> None:
    device = Upstream(restricted=restricted)
    g1 = "123412341234123" if restricted else "123456789"
    assert device.enter(g1) == ("invalid", 0)
    g2 = device.token(SET, 1)
    assert device.enter(g2) == ("accepted", 1)
    g3 = device.token(ADD, 1)
    assert device.enter(g3) == ("accepted", 2)
    assert device.enter(g3) == ("already_used", 2)  # G4A
    assert device.enter(g2) == ("already_used", 2)  # G4B
    assert device.enter(device.token(SET, 30)) == ("accepted", 30)  # G5
    assert device.enter(device.token(SET, 0)) == ("accepted", 0)  # G6
    for number in (1, 2, 3):
        assert device.enter(device.token(ADD, 995)) == ("accepted", 995 * number)  # G7
    for days in range(1, 22):
        assert device.enter(device.token(SET, days, skip=29)) == ("accepted", days)  # G8
    assert device.enter(device.token(OFF, None)) == ("accepted", UNLIMITED)  # G9
    assert device.enter(device.token(SET, 0)) == ("accepted", 0)  # G10
    assert device.enter(device.token(OFF, None)) == ("accepted", UNLIMITED)  # G11A
    assert device.enter(device.token(ADD, 0)) == ("accepted", UNLIMITED)  # G11B
    assert device.enter(device.token(SET, 0)) == ("accepted", 0)  # G12A
    device.wait(2 * DAY_S)
    assert device.enter(device.token(ADD, 1)) == ("accepted", 1)  # G12B


@pytest.mark.parametrize("restricted", [False, True])
def test_the_unordered_entry_procedure(restricted: bool) -> None:
    device = Upstream(restricted=restricted)
    assert device.enter(device.token(SET, 60)) == ("accepted", 60)  # U1A
    first, second, third = device.token(ADD, 10), device.token(ADD, 5), device.token(ADD, 1)
    assert device.enter(third) == ("accepted", 61)  # U1B
    assert device.enter(first) == ("accepted", 71)  # U1C
    assert device.enter(second) == ("accepted", 76)  # U1D
    add, set_time, newer = device.token(ADD, 5), device.token(SET, 10), device.token(ADD, 3)
    assert device.enter(set_time) == ("accepted", 10)  # U2A
    assert device.enter(add) == ("already_used", 10)  # U2B
    assert device.enter(newer) == ("accepted", 13)  # U2C
    add, disable = device.token(ADD, 1), device.token(OFF, None)
    assert device.enter(disable) == ("accepted", UNLIMITED)  # U3A
    assert device.enter(add) == ("already_used", UNLIMITED)  # U3B
