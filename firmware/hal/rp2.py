"""The HAL of an RP2040 or RP2350 board (Pico W and its kin, stock MicroPython). board.py has the rest.

The state store is a raw ring behind the file system when that was made RING_BYTES smaller than the flash (the
build's manifest does it); else two files. The stock boot code makes the file system as large as the flash,
and makes it anew on any error, so only a ring survives that.
"""

import os

import machine
import rp2

from firmware.hal import IOCTL_BLOCK_COUNT, SECTOR_SIZE
from firmware.hal.board import Board, open_network
from firmware.hal.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.hal import Store

RING_BYTES = 32_768
_BLOCK_BYTES = 0  # in statvfs
_BLOCKS = 2
_ADC_MAX = 65_535
_ADC_REFERENCE_MV = 3_300


class Rp2(Board):
    """The HAL; `settings` are those of board.py."""

    WATCHDOG_MS = 8_300  # the chip counts no further than 8388 ms

    __slots__ = ()

    def _millivolts(self, adc: machine.ADC) -> int:
        return adc.read_u16() * _ADC_REFERENCE_MV // _ADC_MAX

    def _temperature_dc(self) -> int:
        """27 degrees at 706 mV, less 1.721 mV a degree (RP2040 datasheet, 4.9.5)."""
        millivolts = self._millivolts(machine.ADC(machine.ADC.CORE_TEMP))
        return 270 - (millivolts - 706) * 10_000 // 1_721


def open_board(settings: "dict[str, object]") -> Board:
    """The board of these settings, and its network."""
    files = Files()
    board = Rp2(open_store(files), files, settings)
    board.network = open_network(settings)
    return board


def open_store(files: Files) -> "Store":
    """The state store of this board; also for provisioning (edge/board/scripts.py)."""
    flash_bytes = (rp2.Flash().ioctl(IOCTL_BLOCK_COUNT, 0) or 0) * SECTOR_SIZE
    file_system = os.statvfs("/")
    start = flash_bytes - RING_BYTES
    if file_system[_BLOCK_BYTES] * file_system[_BLOCKS] <= start:
        from firmware.store import Ring

        ring: Any = rp2.Flash(start=start, len=RING_BYTES)
        return Ring(ring)
    from firmware.file_store import FileStore

    return FileStore(files)
