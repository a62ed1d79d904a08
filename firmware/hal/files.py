"""The `files` port over the system's own files, on CPython and MicroPython.

file_store.py, ota.py, slots.py and provisioning.py use it; the tests give them one over littlefs on a NOR
model. Paths begin with "/" and lie below the root folder.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

_ENOENT = 2
_STAT_SIZE = 6
_BLOCK_BYTES = 1
_FREE_BLOCKS = 4
_statvfs = getattr(os, "statvfs", None)  # all have it but Windows


class Files:
    """The files below one folder; an OSError of the system passes through.

    `close` of a file makes it durable on a board's file systems. On a host what is written survives the
    process, not the machine.
    """

    __slots__ = ("_root",)

    def __init__(self, root: str = ""):
        """`root` without a slash at its end; empty for the whole file system."""
        self._root = root

    def open(self, path: str, mode: str) -> "IO[bytes]":
        """A file for bytes: "rb", "wb", "ab" or "r+b"."""
        return open(self._root + path, mode)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name at once; a file that has it already is replaced."""
        os.rename(self._root + old, self._root + new)

    def remove(self, path: str) -> None:
        """Remove a file, or an empty folder."""
        if _is_folder(self._root + path):
            os.rmdir(self._root + path)
        else:
            os.remove(self._root + path)

    def listdir(self, path: str) -> "list[str]":
        """The names in a folder."""
        return os.listdir(self._root + (path or "/"))

    def mkdir(self, path: str) -> None:
        os.mkdir(self._root + path)

    def size(self, path: str) -> int:
        """Bytes of a file; -1 when it is missing."""
        try:
            return os.stat(self._root + path)[_STAT_SIZE]
        except OSError as error:
            if error.errno == _ENOENT:
                return -1
            raise

    def free(self) -> int:
        """Bytes that still fit; -1 when the system does not say."""
        if _statvfs is None:
            return -1
        room = _statvfs(self._root or "/")
        return room[_BLOCK_BYTES] * room[_FREE_BLOCKS]


def _is_folder(path: str) -> bool:
    return os.stat(path)[0] & 0o170000 == 0o040000
