"""The upstream OpenPAYGO test procedure (EnAccess/OpenPAYGO-Token, tests/full_test_procedure.py), typed into
`payg device keypad`, the command itself.

Tokens come from the `openpaygo` package. U3's disabling token has an odd count here, as the package makes it
today.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openpaygo.token_encode import OpenPAYGOTokenEncoder
from openpaygo.token_shared import TokenType

from firmware.credit import NO_LIMIT_S
from tests.firmware.rig import DAY_S, K1, K1_STARTING_CODE

UNLIMITED = -1
ADD = TokenType.ADD_TIME
SET = TokenType.SET_TIME
OFF = TokenType.DISABLE_PAYG

COMMAND = [
    *(str(Path(sys.executable).with_name("payg")), "device", "keypad", "--family", "openpaygo"),
    *("--secret", K1.hex(), "--starting-code", str(K1_STARTING_CODE), "--count", "1", "--clock", "manual"),
]


class Upstream:
    """The generator of the procedure, and the device that it is entered into."""

    def __init__(self, process: "subprocess.Popen[str]", *, restricted: bool) -> None:
        self._restricted = restricted
        self._count = 1
        self._process = process

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
        self._write(digits)
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline())
        left_s = answer["credit_s"]
        return answer["result"], UNLIMITED if left_s == NO_LIMIT_S else left_s // DAY_S

    def wait(self, seconds: int) -> None:
        self._write(f"+{seconds}")

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


@contextmanager
def upstream(*, restricted: bool) -> Iterator[Upstream]:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Upstream(process, restricted=restricted)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.mark.parametrize("restricted", [False, True])
def test_the_core_procedure(restricted: bool) -> None:
    with upstream(restricted=restricted) as device:
        _core(device, restricted=restricted)


def _core(device: Upstream, *, restricted: bool) -> None:
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
    with upstream(restricted=restricted) as device:
        _unordered(device)


def _unordered(device: Upstream) -> None:
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
