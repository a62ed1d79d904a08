"""Records on their way up: each stays until its ACK comes, whatever the broker does.

Telemetry lives in RAM, at most MAX_TELEMETRY records; the oldest is evicted and reported by number in a GAP
record. Token events and command results are kept in the store, at most KEPT_BYTES: `has_room` tells
commands.py when a new command must be answered busy, so results never push anything out, and KEYPAD_ROOM is
left to the keypad. When even that is full (a device that nobody hears for some thirty tokens), the oldest
kept record goes, in a GAP too: a customer's token is never refused for want of room.

Numbers are reserved in the store in blocks. What a power cut takes (telemetry, and the rest of a block) is
reported in GAPs at the next start, from `floor` on: numbers below it are acknowledged, kept, or reported
already.
"""

import struct

from protocols.magicbox import wire

MAX_TELEMETRY = 64  # 3 kB of RAM; 16 hours of statuses
KEPT_BYTES = 1024  # most of what the rest of the state leaves of a store page
KEYPAD_ROOM = 260  # ten token events
COMMAND_ROOM = 26 + 48  # a token event and a command result
UPDATE_ROOM = 48  # the result of an update that is under way
RESERVE = 256  # numbers a save
FIRST_RETRY_MS = 15_000
MAX_LOST = 8  # ranges waiting to become GAPs; beyond, neighbours are joined
LONGEST_RETRY_MS = 600_000  # an unanswered device repeats itself at most every ten minutes

_FORMAT = ">IIH"
_FORMAT_SIZE = 10
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
        self._kept = []
        offset = _FORMAT_SIZE
        for _ in range(count):
            (length,) = struct.unpack_from(">H", data, offset + 1)
            self._kept.append(bytes(data[offset : offset + _RECORD_OFFSET + length]))
            offset += _RECORD_OFFSET + length

    def restart_at(self, number: int) -> None:
        """Go on from a number that was never used, after the store was lost."""
        self._next = number
        self._reserved = number
        self._floor = number

    def restart(self) -> None:
        """After a power cut: the numbers that went with it are lost."""
        first = self._floor
        for number in [_number(record) for record in self._kept] + [self._reserved]:
            if number > first:
                self._lost.append((first, number - 1, wire.GAP_REASON_RESTARTED))
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
        while len(self._telemetry) >= MAX_TELEMETRY:  # GAPs may have come on top
            self._lose(self._telemetry.pop(0))
        self._telemetry.append(wire.encode_records([record]))

    def keep(self, record: wire.Record) -> None:
        """Store `record` until it is acknowledged; it leaves only after the save."""
        self.dirty = True
        self._kept.append(wire.encode_records([record]))
        while self._kept_bytes() > KEPT_BYTES:
            self._lose(self._kept.pop(0))

    def has_room(self, spare: int = 0) -> bool:
        """Whether a command's event and result can be kept, and `spare` bytes more."""
        return self._kept_bytes() + COMMAND_ROOM + spare <= KEPT_BYTES - KEYPAD_ROOM

    def forget_telemetry(self) -> None:
        """Drop all telemetry; a GAP says which."""
        while self._telemetry:
            self._lose(self._telemetry.pop(0))

    def acknowledge(self, first: int, last: int) -> None:
        """Forget the records first to last; the store forgets the kept ones with its next save."""
        before = self.pending()
        self._telemetry = [record for record in self._telemetry if not first <= _number(record) <= last]
        self._kept = [record for record in self._kept if not first <= _number(record) <= last]
        if self.pending() < before:
            self._retry_ms = FIRST_RETRY_MS

    def waits(self, first: int, last: int) -> bool:
        """Whether an ACK of first to last answers a record that was sent and waits."""
        sent = [_number(record) for record in self._kept + self._telemetry]
        return any([first <= number <= last for number in sent])

    def is_kept(self, number: int) -> bool:
        """Whether a kept record still waits for its acknowledgement."""
        for record in self._kept:
            if _number(record) == number:
                return True
        return False

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
        return self._needs_gap() or self._is_new(self._telemetry) or self._is_new(self._kept)

    def wait_ms(self, now_ms: int) -> int:
        """ms until `is_due` may become true by itself; -1 when only a new record can."""
        return max(self._retry_at_ms - now_ms, 0) if self.pending() else -1

    def take_body(self, now_ms: int, limit: int) -> bytes:
        """The encoded records to send now, lowest number first, at most `limit` bytes but one at least."""
        if self._needs_gap():
            for first, last, reason in self._lost:
                gap = wire.Gap(self.take_number(), 0, first, last, reason)
                self._telemetry.append(wire.encode_records([gap]))
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

    def _needs_gap(self) -> bool:
        """Whether to tell what was lost: not before the last GAPs are answered, for each takes a place."""
        if not self._lost:
            return False
        for record in self._telemetry:
            if record[0] == wire.TYPE_GAP:
                return False
        return True

    def _is_new(self, records: "list[bytes]") -> bool:
        """Whether some were not sent since the last retry; the newest are last."""
        return bool(records) and _number(records[-1]) >= self._cursor

    def _kept_bytes(self) -> int:
        return sum([len(record) for record in self._kept])

    def _lose(self, record: bytes) -> None:
        if record[0] == wire.TYPE_GAP:
            _, _, first, last, reason = struct.unpack_from(">IIIIB", record, _RECORD_OFFSET)
            self._add_lost(first, last, reason)
        self._add_lost(_number(record), _number(record), wire.GAP_REASON_EVICTED)

    def _add_lost(self, first: int, last: int, reason: int) -> None:
        """Join the newest lost range when no record that may come lies between, or if there are too many."""
        if self._lost:
            before, end, _ = self._lost[-1]
            held = [_number(record) for record in self._kept + self._telemetry]
            between = [number for number in held if end < number < first]
            if end < first and (not between or len(self._lost) >= MAX_LOST):
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
