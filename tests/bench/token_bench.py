"""Tokens and frames beside the packages they are measured against, in one process, pair by pair.

Encode and check against `openpaygo`, parse against construct.
The figure is the median of PAIRS ratios; both sides take turns, so that a busy machine slows both.
"""

import itertools
import statistics
import time
from collections.abc import Callable

from openpaygo.token_decode import OpenPAYGOTokenDecoder
from openpaygo.token_encode import OpenPAYGOTokenEncoder
from openpaygo.token_shared import TokenType

from firmware.acceptance import Check, Checkpoints, Counters, begin
from protocols.magicbox import frames, wire
from protocols.tokens import openpaygo

SECRET = bytes.fromhex("bc41ec9530f6dac86b1a29ab82edc5fb")
STARTING_CODE = 516959010
COUNTS = (1, 50, 200, 1000)
DAYS = 7
PAIRS = 15
DEVICES = 100  # in turn; more than siphash_host.py remembers
BATCH_S = 0.01  # a side's calls are repeated for at least so long

Call = Callable[[], object]


def main() -> None:
    """Print all rows."""
    for count in COUNTS:
        row(f"encode a token at count {count}", *encode_pair(count), goal=20 if count == 200 else 0)
    for count in COUNTS:
        row(f"check a valid token at count {count}", *check_pair(count, valid=True), goal=0)
    for count in COUNTS:
        goal = 50 if count == 200 else 0
        row(f"check an invalid token at count {count}", *check_pair(count, valid=False), goal=goal)
    first = check_pair(200, valid=False, devices=DEVICES)
    row("check an invalid token at count 200, the first of a device", *first, goal=0)
    row("parse a status record", *status_pair(), goal=10, theirs="construct")


def row(name: str, theirs_call: Call, ours_call: Call, *, goal: int, theirs: str = "openpaygo") -> None:
    """Measure one pair and print it; `goal` is how many times faster it is to be, 0 for no goal."""
    ratios: list[float] = []
    times: list[tuple[float, float]] = []
    for _ in range(PAIRS):
        pair = (_seconds(theirs_call), _seconds(ours_call))
        times.append(pair)
        ratios.append(pair[0] / pair[1])
    theirs_us, ours_us = (statistics.median(side) * 1e6 for side in zip(*times, strict=True))
    ratio = statistics.median(ratios)
    wanted = f" (goal: at least {goal})" if goal else ""
    print(f"{name}: {theirs} {theirs_us:.1f} us, payg {ours_us:.1f} us, {ratio:.1f} times as fast{wanted}")


def _seconds(call: Call) -> float:
    """How long a call takes."""
    calls = 0
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < BATCH_S:
        call()
        calls += 1
    return passed / calls


def encode_pair(count: int) -> tuple[Call, Call]:
    """The token at `count`; an odd one sets time."""
    kind = TokenType.ADD_TIME if count % 2 == 0 else TokenType.SET_TIME
    secret_hex = SECRET.hex()

    def theirs() -> str:
        last = max(count - 2, 0)
        _, token = OpenPAYGOTokenEncoder.generate_token(
            secret_hex, last, value=DAYS, token_type=kind, starting_code=STARTING_CODE
        )
        return token

    def ours() -> str:
        return openpaygo.format_token(openpaygo.encode(SECRET, STARTING_CODE, count, DAYS))

    assert theirs() == ours()
    return theirs, ours


class Device:
    """A device whose tokens of DAYS brought it to `count`."""

    def __init__(self, secret: bytes, count: int) -> None:
        self.secret = secret
        self.counters = Counters(0)
        self.checkpoints = Checkpoints()
        for at in range(2, count + 1, 2):
            check = self.check(self.token(at))
            self.counters.accept(check.command, check.count, check.number)
            self.checkpoints.note(check)
        self.counters.jump(count)

    def token(self, count: int) -> str:
        return openpaygo.format_token(openpaygo.encode(self.secret, STARTING_CODE, count, DAYS))

    def check(self, digits: str) -> Check:
        check = begin(
            wire.FAMILY_OPENPAYGO, self.secret, STARTING_CODE, self.counters, digits, self.checkpoints
        )
        assert check is not None
        check.run()
        return check


def check_pair(count: int, *, valid: bool, devices: int = 1) -> tuple[Call, Call]:
    """The next token, or wrong digits of the same value, others each time; on `devices` in turn."""
    fleet = [Device(SECRET[:-1] + bytes([number]), count) for number in range(devices)]
    right = [device.token(openpaygo.next_count(count, openpaygo.ADD_TIME)) for device in fleet]
    used = [count - behind for behind in range(count) if behind < 16]
    turns = itertools.count()

    def entry() -> tuple[Device, str]:
        turn = next(turns)
        token = right[turn % devices]
        digits = token if valid else f"{(int(token[:6]) + 1 + turn) % 10**6:06}{token[6:]}"
        return fleet[turn % devices], digits

    def theirs() -> bool:
        device, digits = entry()
        _, kind, _, _ = OpenPAYGOTokenDecoder.decode_token(
            digits, device.secret.hex(), count, used, STARTING_CODE
        )
        return kind == TokenType.ADD_TIME

    def ours() -> bool:
        device, digits = entry()
        return device.check(digits).result == wire.RESULT_ACCEPTED

    assert (theirs(), ours()) == (valid, valid)
    return theirs, ours


def status_pair() -> tuple[Call, Call]:
    """A status record of a frame's body."""
    status = wire.Status(2, 1_764_584_400, 5, 86_400, 1, 1, 12_800, 17_000, 300, 251, 9, b"\x00\x01\x00")
    body = wire.encode_records([status])
    fixed = body[3:]  # after type and length, which only ours reads as well
    assert wire.decode_records(body) == [status]
    return lambda: frames.STATUS.parse(fixed), lambda: wire.decode_records(body)


if __name__ == "__main__":
    main()
