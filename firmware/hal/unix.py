"""The HAL of a process on a host, for CPython and MicroPython: a file for the flash, the system's monotonic
clock.

main.py runs a controller on it; edge/device.py and edge/keypad_shell.py use its file.
"""

import os
import time

from firmware.config import Config
from firmware.hal import IOCTL_BLOCK_COUNT, SECTOR_SIZE, Flash, Hal
from firmware.state import provision
from firmware.store import SECTORS, Ring, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

_SIZE = SECTORS * SECTOR_SIZE
_BLANK = b"\xff" * 256
_STAT_INODE = 1
_STAT_SIZE = 6
_TYPE_MASK = 0o170000
_REGULAR = 0o100000
_ENOENT = 2
_LOCKED = (11, 35)  # EAGAIN on Linux and BSD
# MicroPython has none of these: what is written survives the process, not the machine, and nothing is locked.
_fsync = getattr(os, "fsync", None)
_fstat = getattr(os, "fstat", None)
try:
    from fcntl import flock
except ImportError:
    flock = None
_READ_ONLY = 0  # O_RDONLY
_EXCLUSIVE_NOW = 2 | 4  # LOCK_EX | LOCK_NB
_ticks_ms = getattr(time, "ticks_ms", None)  # only MicroPython has it


def ticks_ms() -> int:
    """Monotonic ms."""
    if _ticks_ms is not None:
        return _ticks_ms()
    return getattr(time, "monotonic_ns")() // 1_000_000  # noqa: B009 - the stubs of MicroPython lack it


class FileFlash(Flash):
    """Flash in a file of whole sectors, opened once; `durable` makes every program wait for the disk.

    The file is locked until `close`, or until the process ends in whatever way: two devices on one store
    would grant a token twice. (MicroPython has no file locks.)
    """

    __slots__ = ("_durable", "_file", "_inode", "_path")

    def __init__(self, path: str, file: "IO[bytes]", durable: bool):
        """`file` is `path`, open and locked; StoreError when it has not the size of a store."""
        super().__init__(b"")
        self._path = path
        self._durable = durable
        self._file = file
        size = os.stat(path)[_STAT_SIZE]
        if size != _SIZE:
            self.close()
            raise StoreError("%s is not a store, or damaged: %d bytes, not %d" % (path, size, _SIZE))
        self._inode = os.stat(path)[_STAT_INODE]

    def readblocks(self, block: int, buf: bytearray, offset: int = 0) -> None:
        self._file.seek(block * SECTOR_SIZE + offset)
        buf[:] = self._file.read(len(buf))

    def writeblocks(self, block: int, buf: bytes, offset: int = 0) -> None:
        if _inode(self._path) != self._inode:  # what is written to a removed file is not kept
            raise StoreError("the store %s was removed, or is another file now" % self._path)
        self._file.seek(block * SECTOR_SIZE + offset)
        _write(self._file, buf)
        if self._durable:
            _sync(self._file.fileno())

    def ioctl(self, op: int, arg: int) -> int:
        if op == IOCTL_BLOCK_COUNT:
            return SECTORS
        return super().ioctl(op, arg)

    def close(self) -> None:
        self._file.close()


def open_flash(path: str, config: Config, durable: bool, may_provision: bool) -> FileFlash:
    """The flash in the file `path`, locked; a missing file is provisioned first, whole or not at all.

    StoreError for a file that is no store or is in use, and for a missing one unless `may_provision`: a
    device that the back end knows must not begin again from zero. The controller checks whose state is in it.
    """
    mode = _mode(path)
    if mode >= 0 and mode & _TYPE_MASK != _REGULAR:
        raise StoreError("%s is not a file" % path)
    if mode < 0 and not may_provision:
        raise StoreError("the store %s is missing: bring it back, or provision the device anew" % path)
    file = _open_locked(path) if mode >= 0 else _provision_file(path, config, durable)
    return FileFlash(path, file, durable)


def read_flash(path: str) -> Flash:
    """A copy of the store in the file `path`, for a look while its device runs: it takes no lock."""
    with open(path, "rb") as file:
        return Flash(file.read())


def _provision_file(path: str, config: Config, durable: bool) -> "IO[bytes]":
    """Make a new store beside `path`, and rename it into place; the lock goes with it.

    Whoever has locked the new file while `path` is missing is alone. What a cut left half written is written
    again.
    """
    new = path + ".new"
    try:
        open(new, "ab").close()
    except OSError as error:
        if error.errno == _ENOENT:
            raise StoreError("the folder of %s is missing: create the folder" % path) from None
        raise
    file = _open_locked(new)
    try:
        if _mode(path) >= 0:  # another process was faster
            os.remove(new)
            raise _in_use(path)
        for _ in range(_SIZE // len(_BLANK)):
            _write(file, _BLANK)
        provision(config, Ring(FileFlash(new, file, durable)))
        os.rename(new, path)
        if durable:
            _sync_folder(path)
    except (OSError, StoreError):
        file.close()
        raise
    return file


def _open_locked(path: str) -> "IO[bytes]":
    """The file, with an exclusive lock where the system has them.

    StoreError when another process holds it, or has just renamed it.
    """
    file = open(path, "r+b", 0)
    try:
        if flock is not None:
            flock(file.fileno(), _EXCLUSIVE_NOW)
        is_same = _fstat is None or _fstat(file.fileno()).st_ino == _inode(path)
    except OSError as error:
        file.close()
        if error.errno not in _LOCKED:
            raise
        is_same = False
    if not is_same:
        file.close()
        raise _in_use(path)
    return file


def _in_use(path: str) -> StoreError:
    return StoreError("%s is in use by another process: stop it, or name another file with --store" % path)


def _write(file: "IO[bytes]", data: bytes) -> None:
    """All of it: a full disk takes a part."""
    while data:
        data = data[file.write(data) :]


def _sync(descriptor: int) -> None:
    if _fsync is not None:
        _fsync(descriptor)


def _sync_folder(path: str) -> None:
    """Make a renamed file's new name durable."""
    os_open = getattr(os, "open", None)
    if os_open is None:
        return
    folder = os_open(path.rpartition("/")[0] or ".", _READ_ONLY)
    try:
        _sync(folder)
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


def _mode(path: str) -> int:
    """The file's type and permissions; -1 when there is none."""
    try:
        return os.stat(path)[0]
    except OSError as error:
        if error.errno == _ENOENT:
            return -1
        raise


def _inode(path: str) -> int:
    """Which file the name means now; -1 for none."""
    try:
        return os.stat(path)[_STAT_INODE]
    except OSError:
        return -1
