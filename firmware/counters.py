"""The counters of a device: which counts were accepted, and which may still act.

The rules are told in acceptance.py, which asks `is_good` and books with `accept`.
"""

import struct

from protocols.magicbox import wire

FORWARD = 64
FORWARD_SYNC = 100
BACK = 15
BACK_SYNC = 63
RECENT = 16  # accepted numbers kept, 64 bytes of the store; whoever retypes an SMS does it soon

ADDITIVE = (wire.TOKEN_COMMAND_ADD_TIME, wire.TOKEN_COMMAND_UNLOCK_RELATIVE)

_USED_MASK = 0xFFFFFFFFFFFFFFFF  # BACK_SYNC + 1 bits
_COUNTERS = ">IQQ"
_COUNTERS_SIZE = 20
COUNTERS_SIZE = _COUNTERS_SIZE + 4 * RECENT


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

    def is_good(self, command: int, count: int, forward: int) -> bool:
        """Whether a genuine token of `command` at `count`, at most `forward` ahead, may still act."""
        behind = self.last - count
        if behind < 0:
            return -behind <= forward
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
