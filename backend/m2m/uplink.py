"""One frame from a device: unsealed, decoded, its sequence taken. Pure; ingest.py decides what follows.

Epochs (SYNCIV, checklist 64). The device changes both directions when it has stored a SYNCIV, and seals its
answer in the new epoch; from then on it refuses frames down of the old one. So:

    a SYNCIV leaves     its epoch is stored as offered, in the transaction that seals it: not before its
                        confirmation, since a quick device answers first. The old epoch goes on down.
    any frame up in it  the device has it: both directions go on in the new epoch, down from sequence 1. What
                        was under way is sent again at once, because the device refused it if it came late.
    the frame is lost   nothing happened; the same command goes again, with the same epoch
    the answer is lost  the device goes on up in the new epoch, in which every frame says the same; its answer
                        is a record like others and comes until it is acknowledged. A SYNCIV that comes again
                        meanwhile, in the old epoch, is refused; in the new one it is answered and not done.
    an old frame late   an epoch that is left is never fresh: its records come again in the new one
    an epoch unoffered  nobody can be in it: refused
"""

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from backend.kit.feed import OpsEvent
from backend.m2m import lines
from backend.m2m.lines import Report, Result
from backend.m2m.links import MAX_FRAME, Link
from backend.m2m.rows import CommandRow, Device
from protocols.magicbox import seal, wire

UP_TYPES = range(wire.TYPE_ACK)  # records up; the others go down and mean nothing here
# Lines are numbered apart: what a login says must never take the place of what a seal proves.
LINES_FROM = 1 << 32
_TLV = struct.Struct(">BH")  # type and length before a record's body
_ORIGIN = struct.Struct(">II")  # number and time, which every record up begins with, of later versions too


class Numbered(NamedTuple):
    """A record with its number, its time (unix seconds, 0 unknown) and its encoding."""

    record: int
    at: int
    type: int
    encoded: bytes
    content: wire.Record


@dataclass(slots=True)
class Arrival:
    """One accepted frame, or one report in text lines, on its way through a decision.

    link: what its answer is sealed with; None: it came as lines, and so does its answer. fresh: its sequence
    was never taken before; lines have none. moved: it is the first in a new epoch. added: new records.
    """

    device: Device
    link: Link | None
    records: list[Numbered]
    fresh: bool
    moved: bool
    over_http: bool
    acknowledged: set[int] = field(default_factory=set[int])
    events: list[OpsEvent] = field(default_factory=list[OpsEvent])
    added: list[int] = field(default_factory=list[int])

    @property
    def booted(self) -> bool:
        """Whether the device says that it started."""
        return any(isinstance(entry.content, wire.Boot) for entry in self.records)


def open_frame(device: Device, link: Link, frame: bytes, *, over_http: bool) -> Arrival:
    """The frame, its sequence taken in `device`; WireError with the reason for a bad one, nothing taken."""
    if len(frame) > MAX_FRAME:
        raise wire.WireError("too_large")
    header, body = seal.unseal(link.up, frame)
    records = _numbered(wire.decode_records(body), body)
    epoch = device.up_epoch
    fresh = take_sequence(device, header)
    return Arrival(device, link, records, fresh, device.up_epoch != epoch, over_http)


def take_report(
    device: Device, report: Report, waiting: Sequence[CommandRow], known: Collection[int]
) -> Arrival:
    """A report in text lines: each new RESULT answers the oldest command of its line.

    `known`: numbers (from LINES_FROM on) that are stored.
    """
    left = list(waiting)
    records: list[wire.Record] = []
    for said in report.said:
        if not isinstance(said, Result):
            records.append(said)
            continue
        index = next((i for i, command in enumerate(left) if lines.of(command) == said.line), None)
        answered = None if index is None or said.record + LINES_FROM in known else left.pop(index)
        records.append(said.to(0 if answered is None else answered.id))
    entries = _numbered(records, wire.encode_records(records), base=LINES_FROM)
    return Arrival(device, None, entries, fresh=True, moved=False, over_http=True)


def is_newer(number: int, than: int) -> bool:
    """Whether a status replaces another one, of which -1 is none: of frame and lines, the later one."""
    if than < 0 or (number < LINES_FROM) != (than < LINES_FROM):
        return True
    return number > than


def _numbered(records: Sequence[wire.Record], body: bytes, *, base: int = 0) -> list[Numbered]:
    """The records up among `records`, which `body` encodes, those of later versions included.

    Numbers count from `base` on.
    """
    found: list[Numbered] = []
    start = 0
    for record in records:
        number_of_type, size = _TLV.unpack_from(body, start)
        end = start + _TLV.size + size
        if number_of_type in UP_TYPES and size >= _ORIGIN.size:
            number, at = _ORIGIN.unpack_from(body, start + _TLV.size)
            found.append(Numbered(base + number, at, number_of_type, body[start:end], record))
        start = end
    return found


def take_sequence(device: Device, header: wire.Header) -> bool:
    """Whether the frame is fresh; then its sequence is taken. A new epoch starts both directions anew.

    WireError for an epoch that no SYNCIV has named.
    """
    if header.epoch > device.offered_epoch:
        raise wire.WireError("unknown_epoch")
    if header.epoch < device.up_epoch:
        return False
    window = device.window() if header.epoch == device.up_epoch else seal.Window()
    if not window.fresh(header.sequence):
        return False
    window.accept(header.sequence)
    device.up_epoch = header.epoch
    device.keep(window)
    if header.epoch > device.down_epoch:
        device.down_epoch, device.down_sequence = header.epoch, 0
    return True
