"""The state store: a raw ring of pages on NOR flash, one record a page (spec/firmware_platform.md, Power
cuts).

A record is {magic, length, sequence, CRC-32, payload}. A save programs the next blank page; entering a sector
erases it first. The newest record with a good CRC is the state, so a power cut at any program or erase leaves
the old record or the new one. state.py packs the payload; file_store.py is the same for boards whose flash
belongs to a file system.

Wear: PAGES_A_SECTOR pages a sector and n sectors mean one erase of a sector in n * PAGES_A_SECTOR saves. 200
saves a day for ten years on 8 sectors are 46,000 erases of each; flash stands 100,000.
"""

import binascii
import struct

from firmware.hal import IOCTL_BLOCK_COUNT, IOCTL_BLOCK_SIZE, IOCTL_ERASE, SECTOR_SIZE, Flash

PAGE_SIZE = 2048
PAGES_A_SECTOR = SECTOR_SIZE // PAGE_SIZE
SECTORS = 8  # 32 KB: what hosts have and a board's partition should have
MIN_SECTORS = 2  # one holds the newest record while the other is erased

HEADER = ">HHII"
HEADER_SIZE = 12
MAX_PAYLOAD = PAGE_SIZE - HEADER_SIZE

_MAGIC = 0x5059
_LENGTH = 1  # place in the header
_CHUNK = 128  # bytes read at a time
_BLANK = b"\xff" * _CHUNK


class StoreError(Exception):
    """The store cannot be used, or did not take a record; the text says why. The last good record stands."""


class Ring:
    """The ring on one block device."""

    __slots__ = ("_flash", "_next_page", "_pages", "sequence")

    def __init__(self, flash: Flash):
        """StoreError when the device's geometry does not fit."""
        sectors = flash.ioctl(IOCTL_BLOCK_COUNT, 0)
        if flash.ioctl(IOCTL_BLOCK_SIZE, 0) != SECTOR_SIZE or sectors < MIN_SECTORS:
            raise StoreError("the store needs at least %d sectors of %d bytes" % (MIN_SECTORS, SECTOR_SIZE))
        self._flash = flash
        self._pages = sectors * PAGES_A_SECTOR
        self._next_page = 0
        self.sequence = 0

    def load(self) -> bytes | None:
        """The newest record's payload; None when there is none."""
        newest = -1
        for page in range(self._pages):
            sequence = self._sequence(page)
            if sequence > newest:
                newest = sequence
                self._next_page = page + 1
        payload = None
        if newest >= 0:
            length = self._header(self._next_page - 1)[_LENGTH]
            payload = bytes(self._read(self._next_page - 1, HEADER_SIZE, bytearray(length)))
        self.sequence = newest + 1
        self._skip_torn_pages()
        return payload

    def save(self, payload: bytes) -> None:
        """Make `payload` the state; when it returns, the state is durable. After StoreError: try again."""
        page = self._next_page % self._pages
        block, offset = _place(page)
        record = pack_record(self.sequence, payload)
        try:
            if offset == 0:
                self._flash.ioctl(IOCTL_ERASE, block)
            self._flash.writeblocks(block, record, offset)
        except OSError as error:
            if offset:  # it may be half written, and only an erase makes a page blank again
                self._next_page = page + 1
            raise StoreError("the store cannot be written: %s" % error) from None
        self.sequence += 1
        self._next_page = page + 1

    def close(self) -> None:
        """Let go of the flash."""
        self._flash.close()

    def _skip_torn_pages(self) -> None:
        """Programming only clears bits: a page that a cut left half written waits for its sector's erase."""
        chunk = bytearray(_CHUNK)
        while self._next_page % PAGES_A_SECTOR:
            for offset in range(0, PAGE_SIZE, _CHUNK):
                if bytes(self._read(self._next_page, offset, chunk)) != _BLANK:
                    break
            else:
                return
            self._next_page += 1

    def _header(self, page: int) -> "tuple[int, int, int, int]":
        return struct.unpack(HEADER, self._read(page, 0, bytearray(HEADER_SIZE)))

    def _sequence(self, page: int) -> int:
        """The sequence of a page with a good record, else -1. In small pieces: a board's heap is small."""
        magic, length, sequence, crc = self._header(page)
        if magic != _MAGIC or length > MAX_PAYLOAD:
            return -1
        found = binascii.crc32(struct.pack(">I", sequence))
        for offset in range(0, length, _CHUNK):
            part = bytearray(min(_CHUNK, length - offset))
            found = binascii.crc32(self._read(page, HEADER_SIZE + offset, part), found)
        return sequence if found & 0xFFFFFFFF == crc else -1

    def _read(self, page: int, offset: int, into: bytearray) -> bytearray:
        """Fill `into` from a place in a page."""
        block, start = _place(page)
        try:
            self._flash.readblocks(block, into, start + offset)
        except OSError as error:
            raise StoreError("the store cannot be read: %s" % error) from None
        return into


def pack_record(sequence: int, payload: bytes) -> bytes:
    """A record as it lies on the flash; StoreError for a payload that no page holds."""
    if len(payload) > MAX_PAYLOAD:
        raise StoreError("a record has at most %d bytes, not %d" % (MAX_PAYLOAD, len(payload)))
    return struct.pack(HEADER, _MAGIC, len(payload), sequence, _crc(sequence, payload)) + payload


def record_sequence(data: "bytes | bytearray") -> int:
    """The sequence of a good record at the start of `data`, else -1."""
    if len(data) < HEADER_SIZE:
        return -1
    magic, length, sequence, crc = struct.unpack_from(HEADER, data)
    if magic != _MAGIC or length > len(data) - HEADER_SIZE:
        return -1
    checked = memoryview(data)[HEADER_SIZE : HEADER_SIZE + length]
    return sequence if _crc(sequence, checked) == crc else -1


def record_payload(data: "bytes | bytearray") -> bytes:
    """What a good record holds."""
    (length,) = struct.unpack_from(">H", data, 2)
    return bytes(memoryview(data)[HEADER_SIZE : HEADER_SIZE + length])


def _place(page: int) -> tuple[int, int]:
    return page // PAGES_A_SECTOR, page % PAGES_A_SECTOR * PAGE_SIZE


def _crc(sequence: int, payload: "bytes | memoryview") -> int:
    return binascii.crc32(payload, binascii.crc32(struct.pack(">I", sequence))) & 0xFFFFFFFF
