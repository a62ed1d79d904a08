"""Which tokens are good: counters, windows and used tokens, for both families (spec/openpaygo.md,
moto_token.md).

`begin` turns typed digits into a `Check`; `Check.run` tries counts until there is a verdict;
`Counters.accept` books an accepted one. controller.py grants what was accepted.

A check is not interrupted. Moto costs at most _MOTO_REACH + FORWARD_SYNC hashes; OpenPAYGO one for each count
up to the last, because a spent token of any age is to be recognised.

A count (Moto: sequence number) is good for
- any command: ahead of the last one by at most FORWARD (a counter sync: FORWARD_SYNC);
- an additive command: also behind it by at most BACK, unused and not older than a setting command;
- a counter sync: also behind it by at most BACK_SYNC, unused; it then changes nothing, the counter never goes
back. Every other genuine token is spent: `already_used`, however old it is (Moto: up to _MOTO_REACH numbers).

The signatures are short (about 19 bits), so the digits of one token match some other number now and then.
What was typed decides in this order: digits of one of the last RECENT accepted tokens are spent; then a good
number at most NEAR ahead, or behind, is believed; then a spent one at most SPENT_NEAR back; then a good
number further ahead; then an older spent one. So a new token that is up to NEAR ahead is never taken for an
old one, one further ahead once in 2^19 / SPENT_NEAR = 2,048 tokens. Retyping old tokens, which costs no wrong
entries, gains once in 2^19 / NEAR = 32,768 entries, and with tokens more than SPENT_NEAR back once in 2^19 /
FORWARD = 8,192; each of them is good for that once (RECENT, and then it is spent). A stranger's guesses gain
no more than before: `guess_chance` believes all of FORWARD in any case.
"""

import struct

from protocols.magicbox import wire
from protocols.tokens import moto, openpaygo
from protocols.tokens.errors import TokenError

FORWARD = 64
FORWARD_SYNC = 100
BACK = 15
BACK_SYNC = 63
NEAR = 16  # OpenPAYGO's additive tokens take every second count, so eight tokens
SPENT_NEAR = 256  # most of a year of tokens; who retypes an older SMS is rarer than who lost some tokens
RECENT = 16  # accepted numbers kept, 64 bytes of the store; whoever retypes an SMS does it soon

ADDITIVE = (wire.TOKEN_COMMAND_ADD_TIME, wire.TOKEN_COMMAND_UNLOCK_RELATIVE)

_USED_MASK = 0xFFFFFFFFFFFFFFFF  # BACK_SYNC + 1 bits
_COUNTERS = ">IQQ"
_COUNTERS_SIZE = 20
COUNTERS_SIZE = _COUNTERS_SIZE + 4 * RECENT

_MOTO_COMMANDS = {
    moto.UNLOCK_ABSOLUTE: wire.TOKEN_COMMAND_UNLOCK_ABSOLUTE,
    moto.UNLOCK_RELATIVE: wire.TOKEN_COMMAND_UNLOCK_RELATIVE,
    moto.COUNTER_SYNC: wire.TOKEN_COMMAND_COUNTER_SYNC,
}
_MOTO_REACH = 4_096  # numbers back that are tried for a spent token: eleven years at one a day
_TEN_YEARS_COUNT = 7_306  # OpenPAYGO: a token a day at every second count
_MAX_MOTO_DIGITS = 15  # twelve, and what an encoding's padding puts before them
_MAX_MOTO_NUMBER = 10**moto.MAX_DIGITS - 1


class Counters:
    """What the device remembers of tokens.

    `last` is the highest accepted count; bit i of `used` says that count `last - i` was accepted; additive
    tokens below `floor` are spent; `recent` holds the low 32 bits of the last accepted numbers, newest first.
    """

    __slots__ = ("floor", "last", "recent", "used")

    def __init__(self, last: int = -1):
        """A device that accepted `last`, so that all before it is spent; -1: one that accepted nothing."""
        self.last = max(last, 0)
        self.floor = last + 1
        self.used = 1 if last >= 0 else 0
        self.recent: list[int] = []

    def pack(self) -> bytes:
        recent = self.recent + [0] * (RECENT - len(self.recent))
        head = struct.pack(_COUNTERS, self.last, self.floor, self.used)
        return head + struct.pack(">%dI" % RECENT, *recent)

    def unpack(self, data: bytes) -> None:
        self.last, self.floor, self.used = struct.unpack(_COUNTERS, data[:_COUNTERS_SIZE])
        self.recent = [
            number for number in struct.unpack_from(">%dI" % RECENT, data, _COUNTERS_SIZE) if number
        ]

    def is_used(self, count: int) -> bool:
        behind = self.last - count
        if behind < 0:
            return False
        return behind > BACK_SYNC or bool(self.used >> behind & 1)

    def is_good(self, command: int, count: int) -> bool:
        """Whether a genuine token of `command` at `count` may still act."""
        behind = self.last - count
        if behind < 0:
            return -behind <= (FORWARD_SYNC if command == wire.TOKEN_COMMAND_COUNTER_SYNC else FORWARD)
        if self.is_used(count):
            return False
        if (
            command == wire.TOKEN_COMMAND_COUNTER_SYNC or behind == 0
        ):  # an unused last count: nothing was accepted yet
            return True
        return command in ADDITIVE and behind <= BACK and count >= self.floor

    def is_recent(self, number: int) -> bool:
        return (number & 0xFFFFFFFF) in self.recent

    def accept(self, command: int, count: int, number: int) -> None:
        """Book an accepted token."""
        ahead = count > self.last
        self._mark(count)
        if command == wire.TOKEN_COMMAND_COUNTER_SYNC:
            if ahead:
                self.floor = max(self.floor, count + 1)
        elif command not in ADDITIVE:
            self.floor = max(self.floor, count + 1)
        self.recent.insert(0, number & 0xFFFFFFFF)
        del self.recent[RECENT:]

    def jump(self, count: int) -> None:
        """Go on to `count`, and spend everything up to it; a count behind changes nothing."""
        if count > self.last:
            self._mark(count)
            self.floor = count + 1

    def _mark(self, count: int) -> None:
        ahead = count - self.last
        if ahead > BACK_SYNC:
            self.used = 1
        elif ahead > 0:
            self.used = (self.used << ahead | 1) & _USED_MASK
        else:
            self.used |= 1 << -ahead
        self.last = max(self.last, count)


class Check:
    """The search for the count of one typed token; `run` it, then read the rest."""

    __slots__ = (
        "_counters",
        "_far",
        "_old",
        "_scan",
        "_spent",
        "command",
        "count",
        "number",
        "payload",
        "result",
    )

    def __init__(self, scan: "_MotoScan | _OpenPaygoScan", counters: Counters):
        self._scan = scan
        self._counters = counters
        self._far = -1
        self._spent = -1
        self._old = -1
        self.number = scan.number
        self.payload = scan.payload
        self.command = wire.TOKEN_COMMAND_NONE
        self.count = 0
        self.result = wire.RESULT_INVALID

    def run(self) -> None:
        """Try the counts until there is a verdict, one hash each."""
        count = self._scan.advance()
        while count >= 0:
            if self._scan.matches() and self._found(count):
                return
            count = self._scan.advance()
        self._decide()

    def _found(self, count: int) -> bool:
        last = self._counters.last
        if self._counters.is_recent(self.number):
            self._end(wire.RESULT_ALREADY_USED, count)
            return True
        if self._counters.is_good(self._scan.command(count), count):
            if count <= last + NEAR:
                self._end(wire.RESULT_ACCEPTED, count)
                return True
            self._far = count
        elif last - SPENT_NEAR <= count <= last:
            self._spent = count
        elif count < last:
            self._old = count
        return False

    def _decide(self) -> None:
        if self._spent >= 0:
            self._end(wire.RESULT_ALREADY_USED, self._spent)
        elif self._far >= 0:
            self._end(wire.RESULT_ACCEPTED, self._far)
        elif self._old >= 0:
            self._end(wire.RESULT_ALREADY_USED, self._old)

    def _end(self, result: int, count: int) -> None:
        self.result = result
        self.count = count
        self.command = self._scan.command(count)


def begin(family: int, secret: bytes, starting_code: int, counters: Counters, digits: str) -> Check | None:
    """A check of typed digits; None when they are no token of the family at all."""
    if not digits or not all([digit in "0123456789" for digit in digits]):
        return None
    if family == wire.FAMILY_MOTO:
        return _begin_moto(secret, counters, digits)
    return _begin_openpaygo(secret, starting_code, counters, digits)


def guess_chance(family: int) -> float:
    """How likely one guessed entry is to give credit, at best for who guesses.

    Moto: a relative unlock is good at FORWARD + BACK numbers, each signed with 19 bits.
    OpenPAYGO: a value is good at FORWARD counts and, if additive, at the even ones of BACK; the low three
    digits carry the value, and the fold of 2^30 codes onto 10^9 makes some codes twice as likely: 2 * 1000 of
    2^30 (an extended token: 2 * 10^6 of 2^40, which is less).
    """
    if family == wire.FAMILY_MOTO:
        return (FORWARD + BACK) / 2**19
    return (FORWARD + (BACK + 1) // 2) * 2 * 1000 / 2**30


def spent_chance(family: int) -> float:
    """How likely a guess has the digits of a spent token after ten years, and so is no wrong entry."""
    if family == wire.FAMILY_MOTO:
        return _MOTO_REACH / 2**19
    return _TEN_YEARS_COUNT * 2 * 1000 / 2**30


def _begin_moto(secret: bytes, counters: Counters, digits: str) -> Check | None:
    if len(digits) > _MAX_MOTO_DIGITS or int(digits) > _MAX_MOTO_NUMBER:
        return None
    scan = _MotoScan(secret, counters.last, int(digits))
    return Check(scan, counters) if scan.command(0) else None


def _begin_openpaygo(secret: bytes, starting_code: int, counters: Counters, digits: str) -> Check | None:
    extended = len(digits) in (12, 20)
    try:
        if len(digits) in (9, 12):
            number = int(digits)
        else:
            number = openpaygo.from_restricted(digits, extended)
        value = openpaygo.value_of(number, starting_code, extended)
        chain = openpaygo.Chain(secret, starting_code, value, extended)
    except TokenError:  # a length, a digit or a value that no token has
        return None
    return Check(_OpenPaygoScan(chain, counters.last, number, value), counters)


class _MotoScan:
    """Sequence numbers, the likely ones first: the next ones upwards, then the last ones downwards."""

    __slots__ = (
        "_code",
        "_downwards",
        "_last",
        "_limit",
        "_now",
        "_secret",
        "_signature",
        "number",
        "payload",
    )

    def __init__(self, secret: bytes, last: int, number: int):
        self._secret = secret
        self._last = last
        self._now = last
        self._downwards = False
        self._code, self.payload, self._signature = moto.split(number)
        ahead = FORWARD_SYNC if self._code == moto.COUNTER_SYNC else FORWARD
        self._limit = min(last + ahead, moto.MAX_SEQUENCE_NUMBER)
        self.number = number

    def command(self, _count: int) -> int:
        return _MOTO_COMMANDS.get(self._code, wire.TOKEN_COMMAND_NONE)

    def advance(self) -> int:
        """The next number to try; -1 after the last one."""
        if self._now == self._limit and not self._downwards:
            self._downwards = True
            self._now = self._last + 1
        self._now += -1 if self._downwards else 1
        return self._now if self._last - self._now < _MOTO_REACH else -1

    def matches(self) -> bool:
        """Whether the typed digits are the token at this number."""
        expected = moto.signature(self._secret, self._code, self.payload, self._now)
        return expected == self._signature


class _OpenPaygoScan:
    """The chain of one value from its start; count 0 is the starting code itself and never a token."""

    __slots__ = ("_chain", "_command", "_limit", "number", "payload")

    def __init__(self, chain: openpaygo.Chain, last: int, number: int, value: int):
        self._chain = chain
        self._command = wire.TOKEN_COMMAND_NONE
        if value == openpaygo.DISABLE_VALUE:
            self._command = wire.TOKEN_COMMAND_DISABLE_PAYG
        elif value == openpaygo.SYNC_VALUE:
            self._command = wire.TOKEN_COMMAND_COUNTER_SYNC
        self._limit = last + (FORWARD_SYNC if self._command == wire.TOKEN_COMMAND_COUNTER_SYNC else FORWARD)
        self.number = number
        self.payload = value

    def command(self, count: int) -> int:
        if count % 2 == 0:
            return wire.TOKEN_COMMAND_NONE if self._command else wire.TOKEN_COMMAND_ADD_TIME
        return self._command or wire.TOKEN_COMMAND_SET_TIME

    def advance(self) -> int:
        """The next count to try; -1 after the last one."""
        if self._chain.count >= min(self._limit, openpaygo.MAX_COUNT):
            return -1
        self._chain.step()
        return self._chain.count

    def matches(self) -> bool:
        """Whether the typed digits are the token at this count."""
        return (
            self.command(self._chain.count) != wire.TOKEN_COMMAND_NONE and self._chain.token() == self.number
        )
