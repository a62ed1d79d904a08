"""One frame from a device: unsealed, decoded, its sequence taken. Pure; ingest.py decides what follows."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from backend.kit.feed import OpsEvent
from backend.m2m.links import MAX_FRAME, Link
from backend.m2m.rows import Device
from protocols.magicbox import seal, wire

UP_TYPES = range(wire.TYPE_ACK)  # records up; the others go down and mean nothing here
_TLV_SIZE = 3  # type and length before a record's body
_ORIGIN = struct.Struct(">II")  # number and time, which every record up begins with, of later versions too


@dataclass(frozen=True, slots=True)
class Numbered:
    """A record with its number, its time (unix seconds, 0 unknown) and its encoding."""

    record: int
    at: int
    type: int
    encoded: bytes
    content: wire.Record


@dataclass(slots=True)
class Arrival:
    """One accepted frame on its way through a decision; `fresh`: its sequence was never taken before."""

    device: Device
    link: Link
    header: wire.Header
    records: list[Numbered]
    fresh: bool
    over_http: bool
    acknowledged: set[int] = field(default_factory=set[int])
    events: list[OpsEvent] = field(default_factory=list[OpsEvent])
    stored: int = 0

    @property
    def booted(self) -> bool:
        """Whether the device says that it started."""
        return any(isinstance(entry.content, wire.Boot) for entry in self.records)


def open_frame(device: Device, link: Link, frame: bytes, *, over_http: bool) -> Arrival:
    """The frame, its sequence taken in `device`; WireError with the reason for a bad one, nothing taken."""
    if len(frame) > MAX_FRAME:
        raise wire.WireError("too_large")
    header, body = seal.unseal(link.up, frame)
    records = numbered(wire.decode_records(body))
    fresh = take_sequence(device, header)
    return Arrival(device, link, header, records, fresh, over_http)


def numbered(records: Sequence[wire.Record]) -> list[Numbered]:
    """The records up among `records`, those of later versions included."""
    found: list[Numbered] = []
    for record in records:
        encoded = wire.encode_records([record])
        if encoded[0] not in UP_TYPES or len(encoded) < _TLV_SIZE + _ORIGIN.size:
            continue
        number, at = _ORIGIN.unpack_from(encoded, _TLV_SIZE)
        found.append(Numbered(number, at, encoded[0], encoded, record))
    return found


def take_sequence(device: Device, header: wire.Header) -> bool:
    """Whether the frame is fresh; then its sequence is taken. A higher epoch starts a new window."""
    if header.epoch < device.up_epoch:
        return False
    window = device.window() if header.epoch == device.up_epoch else seal.Window()
    if not window.fresh(header.sequence):
        return False
    window.accept(header.sequence)
    device.up_epoch = header.epoch
    device.keep(window)
    return True
