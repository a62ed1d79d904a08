"""The sealed channel to the back end: what may be sent once, what is taken once (protocols/magicbox/seal.py).

Up: sequences are reserved in the store in blocks of RESERVE before the first of a block is used, so that none
repeats after a power cut. Down: the window is stored with every frame that carried a command. Frames of only
ACK and TIME do not cost a save; replayed after a reboot they acknowledge records that are gone and set the
clock of later records' `at`, and nothing else.
"""

import struct

from protocols.magicbox import seal, wire

RESERVE = 256  # a save each; a device sends about 200 frames a day

_FORMAT = ">HHIqQ"
CHANNEL_SIZE = 24


class Channel:
    """Keys, sequences and windows of one device; `dirty`: the store must be saved before anything leaves."""

    __slots__ = (
        "_down_epoch",
        "_down_keys",
        "_encrypted",
        "_reserved",
        "_sequence",
        "_up_epoch",
        "_up_keys",
        "_window",
        "dirty",
    )

    def __init__(self, link_key: bytes, encrypted: bool):
        self._up_keys = seal.LinkKeys(link_key, seal.UP) if link_key else None
        self._down_keys = seal.LinkKeys(link_key, seal.DOWN) if link_key else None
        self._encrypted = encrypted
        self._up_epoch = 0
        self._down_epoch = 0
        self._sequence = 0
        self._reserved = 0
        self._window = seal.Window()
        self.dirty = False

    def pack(self) -> bytes:
        window = self._window
        return struct.pack(
            _FORMAT, self._up_epoch, self._down_epoch, self._reserved, window.highest, window.bits
        )

    def unpack(self, data: bytes) -> None:
        self._up_epoch, self._down_epoch, self._reserved, highest, bits = struct.unpack(_FORMAT, data)
        self._window = seal.Window(highest, bits)
        self._sequence = self._reserved

    def reserve(self) -> None:
        """Make sure that a sequence is reserved; `dirty` when the store must be saved for it."""
        if self._sequence == self._reserved:
            self._reserved += RESERVE
            self.dirty = True

    def seal(self, body: bytes) -> bytes:
        """The next frame up. A sequence must have been reserved and the store saved."""
        if self._up_keys is None or self.dirty or self._sequence == self._reserved:
            raise AssertionError("no reserved sequence, or no link key")
        frame = seal.seal(self._up_keys, self._up_epoch, self._sequence, body, self._encrypted)
        self._sequence += 1
        return frame

    def open(self, frame: bytes) -> list[wire.Record]:
        """The records of a frame down; WireError for a frame that is not ours, broken, or taken before."""
        if self._down_keys is None:
            raise wire.WireError("no_link_key")
        header, body = seal.unseal(self._down_keys, frame)
        if header.epoch != self._down_epoch:
            raise wire.WireError("bad_epoch")
        if not self._window.fresh(header.sequence):
            raise wire.WireError("replayed")
        records = wire.decode_records(body)
        self._window.accept(header.sequence)
        return records
