"""The state store on a file system: two files in turn, each one record of store.py
(spec/firmware_platform.md, Power cuts: A/B files).

A save writes the file that does not hold the newest record, so a cut leaves the old record or the new one.
The HAL takes it where the board has no partition of its own for store.py's Ring.

Wear: littlefs erases one block a save and takes another each time. 200 saves a day for ten years are 12,000
erases of each on 64 free blocks, 46,000 on 16; flash stands 100,000 (tests/firmware/test_file_store.py).
"""

from firmware.store import (
    HEADER_SIZE,
    MAX_PAYLOAD,
    StoreError,
    pack_record,
    record_payload,
    record_sequence,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.files import Files

_NAMES = ("/state.a", "/state.b")
_LONGEST = HEADER_SIZE + MAX_PAYLOAD


class FileStore:
    """The store in two files of `files`."""

    __slots__ = ("_files", "_next", "sequence")

    def __init__(self, files: "Files"):
        self._files = files
        self._next = 0
        self.sequence = 0

    def load(self) -> bytes | None:
        """The newest record's payload; None when neither file has one."""
        newest = -1
        payload = None
        for index in range(2):
            data = self._read(_NAMES[index])
            sequence = record_sequence(data)
            if sequence > newest:
                newest = sequence
                payload = record_payload(data)
                self._next = 1 - index
        self.sequence = newest + 1
        return payload

    def save(self, payload: bytes) -> None:
        """Make `payload` the state; when it returns, the state is durable. After StoreError: try again."""
        record = pack_record(self.sequence, payload)
        try:
            file = self._files.open(_NAMES[self._next], "wb")
            try:
                written = file.write(record)
            finally:
                file.close()
        except OSError as error:
            raise StoreError("the store cannot be written: %s" % error) from None
        if written != len(record):
            raise StoreError("the store cannot be written: the file system is full")
        self.sequence += 1
        self._next = 1 - self._next

    def close(self) -> None:
        """Let go of it; nothing here."""

    def _read(self, name: str) -> bytes:
        """The file; empty when it is missing. StoreError when it is there and cannot be read."""
        try:
            if self._files.size(name) < 0:
                return b""
            file = self._files.open(name, "rb")
            try:
                return file.read(_LONGEST)
            finally:
                file.close()
        except OSError as error:
            raise StoreError("the store cannot be read: %s" % error) from None
