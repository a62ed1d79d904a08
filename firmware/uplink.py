"""Records on their way up: each stays until its ACK comes, whatever the broker does (DESIGN.md, Devices).

Telemetry lives in RAM, at most MAX_TELEMETRY records; the oldest is evicted and reported by number in a GAP
record. Token events and command results are kept in the store, at most KEPT_BYTES; `has_room` tells
commands.py when a new command must be answered busy, and KEYPAD_ROOM is left to the keypad. When even that is
full (a device that nobody hears for some twenty tokens), the oldest kept record goes, in a GAP too.

Numbers are reserved in the store in blocks. What a power cut takes (telemetry, and the rest of a block) is
reported in GAPs at the next start, from `floor` on: numbers below it are acknowledged, kept, or reported
already.
"""

import struct

from protocols.magicbox import wire

MAX_TELEMETRY = 64  # 3 kB of RAM; 16 hours of statuses
KEPT_BYTES = 560  # what is left of a store page
KEYPAD_ROOM = 240  # eight token events
COMMAND_ROOM = 90  # a token event and a command result
RESERVE = 256  # numbers a save
FIRST_RETRY_MS = 15_000
MAX_LOST = 8  # ranges waiting to become GAPs; beyond, neighbours are joined
LONGEST_RETRY_MS = 600_000  # an unanswered device repeats itself at most every ten minutes

EVICTED = 0  # reasons of a GAP
RESTARTED = 1

_FORMAT = ">IIH"
_FORMAT_SIZE = 10
UPLINK_SIZE = _FORMAT_SIZE + KEPT_BYTES
_RECORD_OFFSET = 3  # after type and length; every record up begins with its number


class Uplink:
    """Records not acknowledged by the back end; `dirty`: the store must be saved before they leave."""

    __slots__ = (
        "_cursor",
        "_floor",
        "_kept",
        "_lost",
        "_next",
        "_reserved",
        "_retry_at_ms",
        "_retry_ms",
        "_telemetry",
        "dirty",
    )

    def __init__(self):
        self._telemetry: list[bytes] = []
        self._kept: list[bytes] = []
        self._lost: list[tuple[int, int, int]] = []  # (first, last, reason), not yet in a GAP
        self._next = 1
        self._reserved = 1
        self._floor = 1
        self._cursor = 0  # records from this number on have not been sent since the last retry
        self._retry_ms = FIRST_RETRY_MS
        self._retry_at_ms = 0
        self.dirty = False

    def pack(self) -> bytes:
        lost = [first for first, _, _ in self._lost]
        floor = min([_open_from(record) for record in self._telemetry] + lost + [self._next])
        return struct.pack(_FORMAT, self._reserved, floor, len(self._kept)) + b"".join(self._kept)

    def unpack(self, data: bytes) -> None:
        reserved, floor, count = struct.unpack_from(_FORMAT, data)
        self._reserved: int = reserved
        self._next = self._reserved
        self._floor = floor
        offset = _FORMAT_SIZE
        for _ in range(count):
            (length,) = struct.unpack_from(">H", data, offset + 1)
            self._kept.append(bytes(data[offset : offset + _RECORD_OFFSET + length]))
            offset += _RECORD_OFFSET + length

    def restart(self) -> None:
        """After a power cut: the numbers that went with it are lost."""
        first = self._floor
        for number in [_number(record) for record in self._kept] + [self._reserved]:
            if number > first:
                self._lost.append((first, number - 1, RESTARTED))
            first = max(first, number + 1)

    def take_number(self) -> int:
        """The number for the next record."""
        if self._next == self._reserved:
            self._reserved += RESERVE
            self.dirty = True
        self._next += 1
        return self._next - 1

    def queue(self, record: wire.Record) -> None:
        """Send `record` when there is a link; it may be evicted."""
        if len(self._telemetry) == MAX_TELEMETRY:
            self._lose(self._telemetry.pop(0))
        self._telemetry.append(wire.encode_records([record]))

    def keep(self, record: wire.Record) -> None:
        """Store `record` until it is acknowledged; it leaves only after the save."""
        self.dirty = True
        self._kept.append(wire.encode_records([record]))
        while self._kept_bytes() > KEPT_BYTES:
            self._lose(self._kept.pop(0))

    def has_room(self) -> bool:
        """Whether a command's event and result can be kept."""
        return self._kept_bytes() + COMMAND_ROOM <= KEPT_BYTES - KEYPAD_ROOM

    def acknowledge(self, first: int, last: int) -> None:
        """Forget the records first to last; the store forgets the kept ones with its next save."""
        before = self.pending()
        self._telemetry = [record for record in self._telemetry if not first <= _number(record) <= last]
        self._kept = [record for record in self._kept if not first <= _number(record) <= last]
        if self.pending() < before:
            self._retry_ms = FIRST_RETRY_MS

    def pending(self) -> int:
        """How many records are not acknowledged."""
        return len(self._telemetry) + len(self._kept) + len(self._lost)

    def rewind(self) -> None:
        """A new connection: send everything again."""
        self._cursor = 0
        self._retry_ms = FIRST_RETRY_MS

    def is_due(self, now_ms: int) -> bool:
        """Whether there is something to send: new records, or old ones without an answer."""
        if not self.pending():
            return False
        if self._cursor and now_ms >= self._retry_at_ms:
            self._cursor = 0
            self._retry_ms = min(2 * self._retry_ms, LONGEST_RETRY_MS)
        if self._lost:
            return True
        return any([_number(record) >= self._cursor for record in self._kept + self._telemetry])

    def wait_ms(self, now_ms: int) -> int:
        """ms until `is_due` may become true by itself; -1 when only a new record can."""
        return max(self._retry_at_ms - now_ms, 0) if self.pending() else -1

    def take_body(self, now_ms: int, limit: int) -> bytes:
        """The encoded records to send now, lowest number first, at most `limit` bytes but one at least."""
        for first, last, reason in self._lost:
            self._telemetry.append(
                wire.encode_records([wire.Gap(self.take_number(), 0, first, last, reason)])
            )
        self._lost = []
        body = b""
        for record in sorted(self._kept + self._telemetry, key=_number):
            if _number(record) < self._cursor:
                continue
            if body and len(body) + len(record) > limit:
                break
            body += record
            self._cursor = _number(record) + 1
        self._retry_at_ms = now_ms + self._retry_ms
        return body

    def _kept_bytes(self) -> int:
        return sum([len(record) for record in self._kept])

    def _lose(self, record: bytes) -> None:
        if record[0] == wire.TYPE_GAP:
            _, _, first, last, reason = struct.unpack_from(">IIIIB", record, _RECORD_OFFSET)
            self._add_lost(first, last, reason)
        self._add_lost(_number(record), _number(record), EVICTED)

    def _add_lost(self, first: int, last: int, reason: int) -> None:
        """Join the newest lost range when no record that may come lies between, or if there are too many."""
        if self._lost:
            before, end, _ = self._lost[-1]
            held = [_number(record) for record in self._kept + self._telemetry]
            between = [number for number in held if end < number < first]
            if end < first and (not between or len(self._lost) == MAX_LOST):
                self._lost[-1] = (before, last, reason)
                return
        self._lost.append((first, last, reason))


def _number(record: bytes) -> int:
    (number,) = struct.unpack_from(">I", record, _RECORD_OFFSET)
    return number


def _open_from(record: bytes) -> int:
    """The first number unaccounted for while this record is not acknowledged: a GAP's losses go with it."""
    if record[0] == wire.TYPE_GAP:
        (first,) = struct.unpack_from(">I", record, _RECORD_OFFSET + 8)
        return first
    return _number(record)
