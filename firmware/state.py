"""Everything that survives a power cut, as one record of the store.

The parts pack themselves; here they are put together, marked with the secret and family they belong to, and
checked when they are read. core.py owns the State and decides when it is saved.

The layout is made for a firmware and its successor to read each other's, for an update may be rolled back: a
list of parts, each with a tag and its length. A part that this firmware does not know is dropped; of a longer
one the beginning is read; a missing one, and what a shorter one lacks, keep what a new device has.
"""

import struct

from firmware.channel import CHANNEL_SIZE, Channel
from firmware.config import Config
from firmware.counters import COUNTERS_SIZE, Counters
from firmware.credit import CREDIT_SIZE, Credit
from firmware.order import Order
from firmware.results import Results
from firmware.scans import CHECKPOINTS_SIZE, Checkpoints
from firmware.settings import Settings
from firmware.store import StoreError
from firmware.throttle import THROTTLE_SIZE, Throttle
from firmware.uplink import Uplink
from firmware.user import User
from protocols.mac import hmac_sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal import Store

_LAYOUT_VERSION = 2
_HEAD = ">B8sII"
_HEAD_SIZE = 17
_PART = ">BH"
_PART_SIZE = 3

_COUNTERS = 1  # tags; never used again for anything else
_CREDIT = 2
_THROTTLE = 3
_RESULTS = 4
_CHANNEL = 5
_UPLINK = 6
_CHECKPOINTS = 7
_USER = 8
_SETTINGS = 9
_ORDER = 10
_FLAGS = 11

_TAMPERED = 1
_FIRST_LOST_NUMBER = 1 << 30  # beyond what a device counts to in its life


class State:
    """The state of one device, fresh from provisioning until `unpack` puts a stored one in its place.

    `is_tampered`: the store was lost, so nothing is granted before a sync.
    """

    __slots__ = (
        "_owner",
        "boot_id",
        "channel",
        "checkpoints",
        "counters",
        "credit",
        "is_tampered",
        "order",
        "results",
        "settings",
        "starting_code",
        "throttle",
        "uplink",
        "user",
    )

    def __init__(self, config: Config, now_ms: int):
        self._owner = hmac_sha256(config.secret, b"payg store " + bytes([config.family]))[:8]
        self.boot_id = 0
        self.starting_code = config.starting_code
        self.is_tampered = False
        self.counters = Counters(config.last_count)
        self.checkpoints = Checkpoints()
        self.credit = Credit(now_ms, config.prepaid_s)
        self.throttle = Throttle()
        self.results = Results()
        self.channel = Channel(config.link_key, config.encrypted)
        self.uplink = Uplink()
        self.user = User(config.secret)
        self.settings = Settings(config)
        self.order = Order()

    def pack(self) -> bytes:
        chunks = [struct.pack(_HEAD, _LAYOUT_VERSION, self._owner, self.starting_code, self.boot_id)]
        for tag, part, _ in self._parts():
            _add(chunks, tag, part.pack())
        _add(chunks, _FLAGS, bytes([_TAMPERED * self.is_tampered]))
        return b"".join(chunks)

    def unpack(self, data: bytes) -> None:
        """StoreError for the state of another device or of a layout that this firmware cannot read."""
        version, owner, self.starting_code, self.boot_id = struct.unpack_from(_HEAD, data)
        if version != _LAYOUT_VERSION:
            raise StoreError("the store was written by another version of the firmware")
        if owner != self._owner:
            raise StoreError("the store belongs to another secret or token family")
        stored = _split(data)
        for tag, part, size in self._parts():
            packed = stored.get(tag)
            if packed is not None:
                part.unpack(_fitted(packed, part.pack(), size) if size else packed)
        self.is_tampered = bool(stored.get(_FLAGS, b"\x00")[0] & _TAMPERED)

    def tamper(self, chance: int) -> None:
        """A provisioned device whose store is gone. Numbers that were used before must not come again under
        the same keys, so they go on from a high one by chance (`chance`: 30 bits)."""
        number = _FIRST_LOST_NUMBER + chance
        self.is_tampered = True
        self.boot_id = number
        self.throttle.tampered()
        self.channel.restart_at(number)
        self.uplink.restart_at(number)

    def _parts(self):
        """(tag, part, its size when it has one) of all but the flags."""
        return (
            (_COUNTERS, self.counters, COUNTERS_SIZE),
            (_CREDIT, self.credit, CREDIT_SIZE),
            (_THROTTLE, self.throttle, THROTTLE_SIZE),
            (_RESULTS, self.results, 0),
            (_CHANNEL, self.channel, CHANNEL_SIZE),
            (_UPLINK, self.uplink, 0),
            (_CHECKPOINTS, self.checkpoints, CHECKPOINTS_SIZE),
            (_USER, self.user, 0),
            (_SETTINGS, self.settings, 0),
            (_ORDER, self.order, 0),
        )


def provision(config: Config, store: "Store") -> None:
    """Write the first state of a new device; StoreError when the store holds one already."""
    if store.load() is not None:
        raise StoreError("the device is provisioned already")
    store.save(State(config, 0).pack())


def _add(chunks: "list[bytes]", tag: int, packed: bytes) -> None:
    chunks.append(struct.pack(_PART, tag, len(packed)))
    chunks.append(packed)


def _split(data: bytes) -> "dict[int, bytes]":
    """The parts of a record by tag."""
    parts: dict[int, bytes] = {}
    offset = _HEAD_SIZE
    while offset + _PART_SIZE <= len(data):
        tag, length = struct.unpack_from(_PART, data, offset)
        offset += _PART_SIZE
        parts[tag] = bytes(data[offset : offset + length])
        offset += length
    return parts


def _fitted(packed: bytes, fresh: bytes, size: int) -> bytes:
    """`size` bytes: what was packed, and what a new device has where that is too short."""
    return packed[:size] + fresh[len(packed) :]
