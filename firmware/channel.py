"""The sealed channel to the back end: what may be sent once, what is taken once (protocols/magicbox/seal.py).

Up: sequences are reserved in the store in blocks of RESERVE before the first of a block is used, so that none
repeats after a power cut. Down: the window is stored with every frame that carried a command. Frames of only
ACK and TIME do not cost a save; replayed after a reboot they acknowledge records that are gone and set the
clock of later records' `at`, and nothing else.

A SYNCIV opens a new epoch, in which both directions start again from sequence 0. Epochs only grow, and never
wrap: the same number under the same keys would repeat key streams. A frame down of a higher epoch is the back
end's, so it is taken.

A device that lost its store has no window, and anybody may have kept frames of before: an old SYNC would make
used tokens good again. So it does what a frame says only when the frame acknowledges a record that it sent
itself since (its numbers are by chance), and then takes no frame of before that one; until then it obeys a
SYNCIV alone, which can only renew keys' numbers. It follows the back end's epoch both ways, for one left
behind is refused.
"""

import struct

from protocols.magicbox import seal, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

RESERVE = 256  # a save each; a device sends about 200 frames a day
MAX_EPOCH = 0xFFFF

_FORMAT = ">HHIqQB"
CHANNEL_SIZE = 25
_ALL_TAKEN = (1 << seal.Window.SIZE) - 1


class Channel:
    """Keys, sequences and windows of one device; `dirty`: the store must be saved before anything leaves.

    `is_lost`: the store was lost, and no frame down was since known to be new.
    """

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
        "is_lost",
    )

    def __init__(self, link_key: bytes, encrypted: bool):
        self._up_keys = seal.LinkKeys(link_key, seal.UP) if link_key else None
        self._down_keys = seal.LinkKeys(link_key, seal.DOWN) if link_key else None
        self._encrypted = encrypted
        self._up_epoch = 0
        self._down_epoch = 0
        self._sequence = 0
        self._reserved: int = 0
        self._window = seal.Window()
        self.dirty = False
        self.is_lost = False

    def pack(self) -> bytes:
        window = self._window
        epochs = (self._up_epoch, self._down_epoch)
        return struct.pack(_FORMAT, *epochs, self._reserved, window.highest, window.bits, self.is_lost)

    def unpack(self, data: bytes) -> None:
        self._up_epoch, self._down_epoch, self._reserved, highest, bits, lost = struct.unpack(_FORMAT, data)
        self._window = seal.Window(highest, bits)
        self._sequence = self._reserved
        self.is_lost = bool(lost)

    def restart_at(self, sequence: int) -> None:
        """Go on from a sequence up that was never used, after the store was lost."""
        self._sequence = sequence
        self._reserved = sequence
        self.is_lost = True

    def open_epoch(self, epoch: int) -> bool:
        """Begin a new epoch both ways; False, and nothing changed, for one that is not new. Not yet saved."""
        if not self._up_epoch < epoch <= MAX_EPOCH or epoch < self._down_epoch:
            return False
        self._up_epoch = epoch
        if not self.is_lost:  # else the epoch may be one of before
            self._sequence = 0
            self._reserved = 0
        if epoch > self._down_epoch:
            self._enter_down_epoch(epoch)
        self.reserve()
        return True

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

    def open(self, frame: bytes, waits: "Callable[[int, int], bool]") -> list[wire.Record]:
        """The records of a frame down that may be done; WireError for a frame that is not ours, broken, or
        taken before. `waits`: whether a record of these numbers waits for its acknowledgement."""
        if self._down_keys is None:
            raise wire.WireError("no_link_key")
        header, body = seal.unseal(self._down_keys, frame)
        if header.epoch < self._down_epoch:
            raise wire.WireError("bad_epoch")
        is_new = header.epoch > self._down_epoch
        if not is_new and not self._window.fresh(header.sequence):
            raise wire.WireError("replayed")
        records = wire.decode_records(body)
        if is_new:
            self._enter_down_epoch(header.epoch)
        self._window.accept(header.sequence)
        return self._of_now(records, waits) if self.is_lost else records

    def _of_now(
        self, records: "list[wire.Record]", waits: "Callable[[int, int], bool]"
    ) -> "list[wire.Record]":
        """All records of a frame that answers this device, and then no frame before it is taken; else only
        what does no harm when it is old."""
        for record in records:
            if isinstance(record, wire.Ack) and waits(record.first, record.last):
                self.is_lost = False
                self._window.bits = _ALL_TAKEN
                self.dirty = True
                return records
        return [record for record in records if isinstance(record, wire.SyncIv)]

    def _enter_down_epoch(self, epoch: int) -> None:
        self._down_epoch = epoch
        self._window = seal.Window()
        if self.is_lost:
            self._up_epoch = max(epoch, self._up_epoch)
            self.dirty = True
