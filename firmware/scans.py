"""Where the count of a typed token is looked for, place by place (acceptance.py weighs what is found).

A scan tries counts in parts, those first where a good token can be. `search` goes on to the next match,
`turn` to the next part; `covered` says that every count from it up to the limit was tried. Moto's scan signs
each number anew; OpenPAYGO's walks a chain (protocols/tokens/openpaygo.py), and `Checkpoints` saves it the
way from 0.
"""

import struct

from firmware.counters import BACK_SYNC
from protocols.magicbox import wire
from protocols.tokens import moto, openpaygo
from protocols.tokens.errors import TokenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.acceptance import Check

SPENT_NEAR = 256  # most of a year of tokens; who retypes an older SMS is rarer than who lost some tokens
MOTO_REACH = 4_096  # numbers back that are tried for a spent token: eleven years at one a day
CHECKPOINTS = 8  # values in use: a few prices, disable, sync

_PLACE = ">IIQ"
_PLACE_SIZE = 16
CHECKPOINTS_SIZE = CHECKPOINTS * _PLACE_SIZE

_MOTO_COMMANDS = {
    moto.UNLOCK_ABSOLUTE: wire.TOKEN_COMMAND_UNLOCK_ABSOLUTE,
    moto.UNLOCK_RELATIVE: wire.TOKEN_COMMAND_UNLOCK_RELATIVE,
    moto.COUNTER_SYNC: wire.TOKEN_COMMAND_COUNTER_SYNC,
}
_MAX_MOTO_DIGITS = 15  # twelve, and what an encoding's padding puts before them
_MAX_MOTO_NUMBER = 10**moto.MAX_DIGITS - 1


class Checkpoints:
    """Places on the chains of the OpenPAYGO values last accepted, newest first.

    Each lies before the window of the next check, so that it is good for as long as the counter grows. Values
    of wrong entries get none: guesses must not push out what is in use.
    """

    __slots__ = ("_places",)

    def __init__(self):
        self._places: list[tuple[int, int, int]] = []  # (kind, count, code)

    def pack(self) -> bytes:
        places = b"".join([struct.pack(_PLACE, *place) for place in self._places])
        return places + bytes(CHECKPOINTS_SIZE - len(places))

    def unpack(self, data: bytes) -> None:
        self._places = []
        for offset in range(0, CHECKPOINTS_SIZE, _PLACE_SIZE):
            kind, count, code = struct.unpack_from(_PLACE, data, offset)
            if count:  # 0: a free place
                self._places.append((kind, count, code))

    def find(self, kind: int) -> tuple[int, int]:
        """(count, code) of the place of a value; (0, 0) for none."""
        for known, count, code in self._places:
            if known == kind:
                return count, code
        return 0, 0

    def note(self, check: "Check") -> None:
        """Keep the place that the check of an accepted token went past; the oldest of too many is dropped."""
        kind, count, code = check.place
        if count:
            self._places = [place for place in self._places if place[0] != kind]
            self._places.insert(0, (kind, count, code))
            del self._places[CHECKPOINTS:]


def moto_scan(secret: bytes, digits: str) -> "MotoScan | None":
    if len(digits) > _MAX_MOTO_DIGITS or int(digits) > _MAX_MOTO_NUMBER:
        return None
    scan = MotoScan(secret, int(digits))
    return scan if scan.command(1) else None


def openpaygo_scan(secret: bytes, starting_code: int, digits: str) -> "OpenPaygoScan | None":
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
    return OpenPaygoScan(chain, number, value, value << 1 | extended)


class MotoScan:
    """Sequence numbers: the next ones upwards, then the last ones downwards, in parts that end where the
    search may be settled."""

    __slots__ = ("_code", "_ends", "_secret", "_signature", "_step", "count", "covered", "number", "payload")

    place = (0, 0, 0)  # no chain, no checkpoints

    def __init__(self, secret: bytes, number: int):
        self._secret = secret
        self._code, self.payload, self._signature = moto.split(number)
        self._step = 1
        self.number = number

    def aim(self, last: int, forward: int, _checkpoints: Checkpoints) -> None:
        """Search up to `forward` ahead of `last`."""
        self._ends = [min(last + forward, moto.MAX_SEQUENCE_NUMBER)]
        for behind in (BACK_SYNC, SPENT_NEAR, MOTO_REACH - 1):
            self._ends.append(max(last - behind, 0))
        self.count = last
        self.covered = last + 1

    def command(self, _count: int) -> int:
        return _MOTO_COMMANDS.get(self._code, wire.TOKEN_COMMAND_NONE)

    def search(self, hashes: int) -> int:
        """Try up to `hashes` numbers of this part, to the first match; how many."""
        left = hashes
        end = self._ends[0]
        while left and self.count != end:
            self.count += self._step
            left -= 1
            if self.matches():
                break
        return hashes - left

    def matches(self) -> bool:
        """Whether the typed digits are the token at this number."""
        expected = moto.signature(self._secret, self._code, self.payload, self.count)
        return expected == self._signature

    def turn(self) -> bool:
        """Go on to the next part; False after the last one."""
        if self._step > 0:
            self.count = self.covered
            self._step = -1
        else:
            self.covered = self.count
        del self._ends[0]
        return bool(self._ends)


class OpenPaygoScan:
    """The chain of one value: from its checkpoint to the limit, then from the start to the checkpoint.

    Count 0 is the starting code itself and never a token.
    """

    __slots__ = (
        "_chain",
        "_command",
        "_end",
        "_first",
        "_kind",
        "_start",
        "_window",
        "covered",
        "number",
        "payload",
        "place",
    )

    def __init__(self, chain: openpaygo.Chain, number: int, value: int, kind: int):
        self._chain = chain
        self._command = wire.TOKEN_COMMAND_NONE
        if value == openpaygo.DISABLE_VALUE:
            self._command = wire.TOKEN_COMMAND_DISABLE_PAYG
        elif value == openpaygo.SYNC_VALUE:
            self._command = wire.TOKEN_COMMAND_COUNTER_SYNC
        self._kind = kind
        self.number = number
        self.payload = value

    def aim(self, last: int, forward: int, checkpoints: Checkpoints) -> None:
        """Search up to `forward` ahead of `last`."""
        chain = self._chain
        self._start = chain.code
        self._window = max(last - BACK_SYNC - 1, 0)
        self._end = min(last + forward, openpaygo.MAX_COUNT)
        count, code = checkpoints.find(self._kind)
        if 0 < count <= self._window:
            chain.count, chain.code = count, code
        self._first = chain.count
        self.covered = self._end + 1
        self.place = (self._kind, chain.count, chain.code)

    @property
    def count(self) -> int:
        return self._chain.count

    def command(self, count: int) -> int:
        if count % 2 == 0:
            return wire.TOKEN_COMMAND_NONE if self._command else wire.TOKEN_COMMAND_ADD_TIME
        return self._command or wire.TOKEN_COMMAND_SET_TIME

    def search(self, hashes: int) -> int:
        """Try up to `hashes` counts of this part, to the first match; how many."""
        chain = self._chain
        end = self._end
        if chain.count < self._window < end:
            end = self._window
        taken = chain.search(self.number, max(min(hashes, end - chain.count), 0))
        if chain.count == self._window:
            self.place = (self._kind, self._window, chain.code)
        return taken

    def matches(self) -> bool:
        """Whether the typed digits are the token at this count."""
        return self._chain.token() == self.number

    def turn(self) -> bool:
        """Go on to the next part; False after the last one."""
        first = self._first
        if not first:
            return False
        self.covered = first + 1
        self._chain.count, self._chain.code = 0, self._start
        self._end = first
        self._first = 0
        return True
