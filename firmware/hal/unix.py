"""The HAL of a process on a host, for CPython and MicroPython: a file for the flash, the system's monotonic
clock.

main.py runs a controller on it; edge/device.py and edge/keypad_shell.py use its file.
"""

import os
import time

from firmware.config import Config
from firmware.hal import IOCTL_BLOCK_COUNT, SECTOR_SIZE, Flash, Hal
from firmware.state import provision
from firmware.store import SECTORS, StoreError

_SIZE = SECTORS * SECTOR_SIZE
_BLANK = b"\xff" * 256
_fsync = getattr(
    os, "fsync", None
)  # MicroPython has none: what is flushed survives the process, not the machine
_ticks_ms = getattr(time, "ticks_ms", None)  # only MicroPython has it


def ticks_ms() -> int:
    """Monotonic ms."""
    return _ticks_ms() if _ticks_ms is not None else time.monotonic_ns() // 1_000_000


class FileFlash(Flash):
    """Flash in a file of whole sectors; `durable` makes every program wait for the disk."""

    __slots__ = ("_durable", "_path")

    def __init__(self, path: str, durable: bool):
        """StoreError when the file is not there or has not the size of a store."""
        super().__init__(b"")
        try:
            size = os.stat(path)[6]
        except OSError:
            raise StoreError("cannot read the store file %s" % path) from None
        if size != _SIZE:
            raise StoreError("%s is not a store, or damaged: %d bytes, not %d" % (path, size, _SIZE))
        self._path = path
        self._durable = durable

    def readblocks(self, block: int, buf: bytearray, offset: int = 0) -> None:
        with open(self._path, "rb") as file:
            file.seek(block * SECTOR_SIZE + offset)
            buf[:] = file.read(len(buf))

    def writeblocks(self, block: int, buf: bytes, offset: int = 0) -> None:
        with open(self._path, "r+b") as file:
            file.seek(block * SECTOR_SIZE + offset)
            file.write(buf)
            file.flush()
            if self._durable and _fsync is not None:
                _fsync(file.fileno())

    def ioctl(self, op: int, arg: int) -> int:
        if op == IOCTL_BLOCK_COUNT:
            return SECTORS
        return super().ioctl(op, arg)


def open_flash(path: str, config: Config, durable: bool) -> Flash:
    """The flash in the file `path`; a missing file is provisioned first, whole or not at all.

    StoreError for a file that is no store; the controller checks whose state is in it.
    """
    if not _exists(path):
        new = path + ".new"
        with open(new, "wb") as file:
            for _ in range(_SIZE // len(_BLANK)):
                file.write(_BLANK)
        provision(config, FileFlash(new, durable))
        os.rename(new, path)
        if durable:
            _sync_folder(path)
    return FileFlash(path, durable)


def _sync_folder(path: str) -> None:
    """Make a renamed file's new name durable."""
    os_open = getattr(os, "open", None)
    if os_open is None or _fsync is None:
        return
    folder = os_open(path.rpartition("/")[0] or ".", os.O_RDONLY)
    try:
        _fsync(folder)
    finally:
        os.close(folder)


def blank_flash() -> Flash:
    """Erased flash in RAM of a store's size."""
    return Flash(b"\xff" * _SIZE)


class UnixHal(Hal):
    """A HAL with the system's clock."""

    __slots__ = ()

    def ticks_ms(self) -> int:
        return ticks_ms()


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True
