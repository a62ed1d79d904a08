"""The state store: a raw ring of pages on NOR flash, one record a page (spec/firmware_platform.md, Power
cuts).

A record is {magic, length, sequence, CRC-32, payload}. A save programs the next blank page; entering a sector
erases it first. The newest record with a good CRC is the state, so a power cut at any program or erase leaves
the old record or the new one. controller.py packs the payload.

Wear: PAGES_A_SECTOR pages a sector and n sectors mean one erase of a sector in n * PAGES_A_SECTOR saves. 200
saves a day for ten years on 4 sectors are 46,000 erases of each; flash stands 100,000.
"""

import binascii
import struct

from firmware.hal import IOCTL_BLOCK_COUNT, IOCTL_BLOCK_SIZE, IOCTL_ERASE, SECTOR_SIZE, Flash

PAGE_SIZE = 1024
PAGES_A_SECTOR = SECTOR_SIZE // PAGE_SIZE
SECTORS = 4
MIN_SECTORS = 2  # one holds the newest record while the other is erased

_HEADER = ">HHII"
_HEADER_SIZE = 12
_MAGIC = 0x5059
MAX_PAYLOAD = PAGE_SIZE - _HEADER_SIZE
_BLANK = b"\xff" * PAGE_SIZE


class StoreError(Exception):
    """The store cannot be used, or did not take a record; the text says why. The last good record stands."""


class Store:
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
        payload = None
        page_bytes = bytearray(PAGE_SIZE)
        for page in range(self._pages):
            self._read(page, page_bytes)
            sequence = _sequence(page_bytes)
            if sequence > newest:
                newest = sequence
                payload = _payload(page_bytes)
                self._next_page = page + 1
        self.sequence = newest + 1
        self._skip_torn_pages(page_bytes)
        return payload

    def save(self, payload: bytes) -> None:
        """Make `payload` the state; when it returns, the state is durable. After StoreError: try again."""
        if len(payload) > MAX_PAYLOAD:
            raise StoreError("a record has at most %d bytes, not %d" % (MAX_PAYLOAD, len(payload)))
        page = self._next_page % self._pages
        block, offset = _place(page)
        checked = struct.pack(">I", self.sequence) + payload
        crc = binascii.crc32(checked) & 0xFFFFFFFF
        head = struct.pack(_HEADER, _MAGIC, len(payload), self.sequence, crc)
        try:
            if offset == 0:
                self._flash.ioctl(IOCTL_ERASE, block)
            self._flash.writeblocks(block, head + payload, offset)
        except OSError as error:
            raise StoreError("the store cannot be written: %s" % error) from None
        self.sequence += 1
        self._next_page = page + 1

    def _skip_torn_pages(self, page_bytes: bytearray) -> None:
        """Programming only clears bits: a page that a cut left half written waits for its sector's erase."""
        while self._next_page % PAGES_A_SECTOR:
            self._read(self._next_page, page_bytes)
            if bytes(page_bytes) == _BLANK:
                return
            self._next_page += 1

    def _read(self, page: int, page_bytes: bytearray) -> None:
        block, offset = _place(page)
        try:
            self._flash.readblocks(block, page_bytes, offset)
        except OSError as error:
            raise StoreError("the store cannot be read: %s" % error) from None


def _place(page: int) -> tuple[int, int]:
    return page // PAGES_A_SECTOR, page % PAGES_A_SECTOR * PAGE_SIZE


def _sequence(page_bytes: bytearray) -> int:
    """The sequence of a page with a good record, else -1."""
    magic, length, sequence, crc = struct.unpack_from(_HEADER, page_bytes)
    if magic != _MAGIC or length > MAX_PAYLOAD:
        return -1
    checked = struct.pack(">I", sequence) + bytes(page_bytes[_HEADER_SIZE : _HEADER_SIZE + length])
    return sequence if binascii.crc32(checked) & 0xFFFFFFFF == crc else -1


def _payload(page_bytes: bytearray) -> bytes:
    (length,) = struct.unpack_from(">H", page_bytes, 2)
    return bytes(page_bytes[_HEADER_SIZE : _HEADER_SIZE + length])
