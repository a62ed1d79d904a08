"""Everything that survives a power cut, as one record of the store.

The parts pack themselves; here they are put together, marked with the secret and family they belong to, and
checked when they are read. controller.py owns the State and decides when it is saved.
"""

import struct

from firmware.acceptance import COUNTERS_SIZE, Counters
from firmware.channel import CHANNEL_SIZE, Channel
from firmware.commands import RESULTS_SIZE, Results
from firmware.config import Config
from firmware.credit import CREDIT_SIZE, Credit
from firmware.hal import Flash
from firmware.store import Store, StoreError
from firmware.throttle import THROTTLE_SIZE, Throttle
from firmware.uplink import Uplink
from protocols.mac import hmac_sha256

_LAYOUT_VERSION = 1
_HEAD = ">B8sII"
_HEAD_SIZE = 17


class State:
    """The state of one device, fresh from provisioning until `unpack` puts a stored one in its place."""

    __slots__ = (
        "_owner",
        "boot_id",
        "channel",
        "counters",
        "credit",
        "results",
        "starting_code",
        "throttle",
        "uplink",
    )

    def __init__(self, config: Config, now_ms: int):
        self._owner = hmac_sha256(config.secret, b"payg store " + bytes([config.family]))[:8]
        self.boot_id = 0
        self.starting_code = config.starting_code
        self.counters = Counters(config.last_count)
        self.credit = Credit(now_ms)
        self.throttle = Throttle()
        self.results = Results()
        self.channel = Channel(config.link_key, config.encrypted)
        self.uplink = Uplink()

    def pack(self) -> bytes:
        head = struct.pack(_HEAD, _LAYOUT_VERSION, self._owner, self.starting_code, self.boot_id)
        parts = (self.counters, self.credit, self.throttle, self.results, self.channel, self.uplink)
        return head + b"".join([part.pack() for part in parts])

    def unpack(self, data: bytes) -> None:
        """StoreError for the state of another device or of another version."""
        version, owner, self.starting_code, self.boot_id = struct.unpack_from(_HEAD, data)
        if version != _LAYOUT_VERSION:
            raise StoreError("the store was written by another version of the firmware")
        if owner != self._owner:
            raise StoreError("the store belongs to another secret or token family")
        sizes = (COUNTERS_SIZE, CREDIT_SIZE, THROTTLE_SIZE, RESULTS_SIZE, CHANNEL_SIZE)
        parts = (self.counters, self.credit, self.throttle, self.results, self.channel)
        offset = _HEAD_SIZE
        for index in range(len(parts)):
            parts[index].unpack(data[offset : offset + sizes[index]])
            offset += sizes[index]
        self.uplink.unpack(data[offset:])


def provision(config: Config, flash: Flash) -> None:
    """Write the first state of a new device; StoreError when the flash holds one already."""
    store = Store(flash)
    if store.load() is not None:
        raise StoreError("the device is provisioned already")
    store.save(State(config, 0).pack())
