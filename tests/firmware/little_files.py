"""The `files` port (firmware.hal) over littlefs on the NOR model, with the power cuts of rig.py.

Geometry and caches are those of MicroPython's VfsLfs2. After a cut nothing gets through until the same flash
is mounted again: `LittleFiles(flash)`.
"""

import errno
from collections.abc import Callable
from typing import Any

from littlefs import LittleFS, lfs
from littlefs.context import UserContext
from littlefs.errors import LittleFSError
from littlefs.lfs import LFSFileFlag

from firmware.hal import IOCTL_ERASE, SECTOR_SIZE
from tests.firmware.rig import NorFlash, PowerCut

READ_BYTES = 32
_EIO = -5
_MADE = LFSFileFlag.wronly | LFSFileFlag.creat
_FLAGS = {  # as MicroPython opens them; littlefs-python's "a" makes no file
    "rb": LFSFileFlag.rdonly,
    "wb": _MADE | LFSFileFlag.trunc,
    "ab": _MADE | LFSFileFlag.append,
    "r+b": LFSFileFlag.rdonly | LFSFileFlag.wronly,
}


class Blocks(UserContext):
    """littlefs's driver over a NorFlash."""

    def __init__(self, flash: NorFlash) -> None:
        super().__init__(buffer=bytearray())
        self._flash = flash
        self.is_off = False

    def read(self, cfg: object, block: int, off: int, size: int) -> bytearray:
        data = bytearray(size)
        self._flash.readblocks(block, data, off)
        return data

    def prog(self, cfg: object, block: int, off: int, data: bytes) -> int:
        return self._do(lambda: self._flash.writeblocks(block, bytes(data), off))

    def erase(self, cfg: object, block: int) -> int:
        return self._do(lambda: self._flash.ioctl(IOCTL_ERASE, block))

    def sync(self, cfg: object) -> int:
        return 0

    def _do(self, operation: Callable[[], object]) -> int:
        if not self.is_off:
            try:
                operation()
            except PowerCut:
                self.is_off = True
        return _EIO if self.is_off else 0


class LittleFiles:
    """The files of one flash. After a cut every call raises PowerCut."""

    def __init__(self, flash: NorFlash, *, is_new: bool = False) -> None:
        self.flash = flash
        self._blocks = Blocks(flash)
        self._fs = LittleFS(
            self._blocks,
            mount=False,
            block_size=SECTOR_SIZE,
            block_count=len(flash.image()) // SECTOR_SIZE,
            read_size=READ_BYTES,
            prog_size=READ_BYTES,
            cache_size=4 * READ_BYTES,
            lookahead_size=32,
            block_cycles=100,
        )
        if is_new:
            self._fs.format()
        self._fs.mount()

    def open(self, path: str, mode: str) -> "CutFile":
        file = self._do(lambda: lfs.file_open(self._fs.fs, path, _FLAGS[mode], "utf-8"))
        return CutFile(self._fs.fs, file, self._do)

    def rename(self, old: str, new: str) -> None:
        self._do(lambda: self._fs.rename(old, new))

    def remove(self, path: str) -> None:
        self._do(lambda: self._fs.remove(path))

    def listdir(self, path: str) -> list[str]:
        return self._do(lambda: self._fs.listdir(path))

    def mkdir(self, path: str) -> None:
        self._do(lambda: self._fs.mkdir(path))

    def size(self, path: str) -> int:
        try:
            return self._do(lambda: self._fs.stat(path).size)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return -1
            raise

    def free(self) -> int:
        return self._do(lambda: self._fs.block_count - self._fs.used_block_count) * SECTOR_SIZE

    def tree(self, folder: str) -> dict[str, bytes]:
        """Every file below a folder, by path."""
        files: dict[str, bytes] = {}
        if self.size(folder) < 0:
            return files
        for name in self.listdir(folder):
            path = f"{folder}/{name}"
            if self._do(lambda path=path: self._fs.stat(path).type) == lfs.LFSStat.TYPE_DIR:
                files |= self.tree(path)
            else:
                files[path] = self.content(path)
        return files

    def content(self, path: str) -> bytes:
        """A whole file."""
        with self.open(path, "rb") as file:
            return file.read()

    def write(self, path: str, data: bytes) -> None:
        """Make or replace a file."""
        with self.open(path, "wb") as file:
            file.write(data)

    def _do(self, operation: Callable[[], Any]) -> Any:
        if self._blocks.is_off:
            raise PowerCut
        try:
            return operation()
        except LittleFSError as error:
            if self._blocks.is_off:
                raise PowerCut from None
            raise OSError(-error.code, str(error)) from None


class CutFile:
    """A file of LittleFiles. (littlefs-python's own would be closed again after a close that failed.)"""

    def __init__(self, fs: Any, file: Any, do: Callable[[Callable[[], Any]], Any]) -> None:
        self._fs = fs
        self._file = file
        self._do = do
        self._is_open = True

    def read(self, count: int = -1) -> bytes:
        size = lfs.file_size(self._fs, self._file) if count < 0 else count
        return self._do(lambda: lfs.file_read(self._fs, self._file, size))

    def write(self, data: bytes) -> int:
        return self._do(lambda: lfs.file_write(self._fs, self._file, bytes(data)))

    def seek(self, offset: int) -> int:
        return self._do(lambda: lfs.file_seek(self._fs, self._file, offset, 0))

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._do(lambda: lfs.file_close(self._fs, self._file))

    def __enter__(self) -> "CutFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
