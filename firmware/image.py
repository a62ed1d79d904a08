"""An update image, read as it comes: which files it holds goes to a sink (slots.Writer).

    magic "PAYGIMG1", version 3 bytes, architecture (length u8, ASCII), number of files u16,
    then for each file: path (length u8, ASCII), size u32, the bytes

Big-endian. edge/board/image.py writes it from compiled modules. ota.py knows from the SHA-256 in the sealed
command that an image is the one that was ordered; the bounds here hold whatever is in it.
"""

import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Sink(Protocol):
        """Takes the files of an image."""

        def begin(self, path: str, size: int) -> bool: ...

        def write(self, data: bytes) -> None: ...

        def end(self) -> None: ...


MAGIC = b"PAYGIMG1"
HEAD_FORMAT = ">8s3sB"  # magic, version, length of the architecture
HEAD_SIZE = 12
SIZE_FORMAT = ">I"
MAX_ARCH = 16
MAX_FILES = 128  # the firmware has some 50 modules
MAX_PATH = 64
MAX_FOLDERS = 4
MAX_FILE_BYTES = 65_536  # application bytecode in all

ANY_ARCH = "py"  # of an interpreter that runs source only
_ARCHES = (
    "bytecode",
    "x86",
    "x64",
    "armv6",
    "armv6m",
    "armv7m",
    "armv7em",
    "armv7emsp",
    "armv7emdp",
    "xtensa",
    "xtensawin",
    "rv32imc",
    "rv64imc",
)


class ImageError(Exception):
    """An image cannot be used; `reason` says why, in at most 16 characters for the answer of the command."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def native_arch() -> str:
    """What images this interpreter runs: the architecture that mpy-cross calls so."""
    return arch_of(getattr(sys.implementation, "_mpy", -1))


def arch_of(mpy: int) -> str:
    """What images an interpreter runs whose sys.implementation._mpy this is; -1 when it has none."""
    if mpy < 0:
        return ANY_ARCH
    index = (mpy >> 10) & 0x3F
    return _ARCHES[index] if index < len(_ARCHES) else "unknown"


class Unpacker:
    """Feeds the files of one image to a sink, whatever pieces the image comes in."""

    __slots__ = ("_arch", "_count", "_in_file", "_left", "_need", "_next", "_part", "_sink", "version")

    def __init__(self, sink: "Sink", arch: str):
        self._sink = sink
        self._arch = arch
        self._part = b""  # what has come of the piece that `_next` waits for
        self._need = HEAD_SIZE
        self._next = self._head
        self._count = -1  # files still to begin; -1: not known yet
        self._left = 0  # bytes of the current file still to come
        self._in_file = False
        self.version = b""

    def feed(self, data: bytes) -> None:
        """The next bytes; ImageError ends it. An OSError of the sink passes through."""
        offset = 0
        while offset < len(data):
            if self._in_file:
                taken = data[offset : offset + self._left]
                self._sink.write(taken)
                self._left -= len(taken)
                offset += len(taken)
                self._end_when_complete()
                continue
            if self._count == 0:
                raise ImageError("image too long")
            taken = data[offset : offset + self._need - len(self._part)]
            self._part += taken
            offset += len(taken)
            if len(self._part) == self._need:
                part = self._part
                self._part = b""
                self._next(part)

    def finish(self) -> None:
        """The image ends here; ImageError when something is missing."""
        if self._in_file or self._count != 0:
            raise ImageError("image too short")

    def close(self) -> None:
        """Give up, or done: no file stays open."""
        self._sink.end()

    def _head(self, part: bytes) -> None:
        magic, self.version, arch_size = struct.unpack(HEAD_FORMAT, part)
        if magic != MAGIC:
            raise ImageError("not an image")
        if not 1 <= arch_size <= MAX_ARCH:
            raise ImageError("wrong arch")
        self._need = arch_size + 2
        self._next = self._files

    def _files(self, part: bytes) -> None:
        if part[:-2] != self._arch.encode():
            raise ImageError("wrong arch")
        self._count = (part[-2] << 8) | part[-1]
        if not 1 <= self._count <= MAX_FILES:
            raise ImageError("no files" if self._count == 0 else "too many files")
        self._expect_path()

    def _path_size(self, part: bytes) -> None:
        if not 1 <= part[0] <= MAX_PATH:
            raise ImageError("bad path")
        self._need = part[0] + 4
        self._next = self._entry

    def _entry(self, part: bytes) -> None:
        path = part[:-4]
        (size,) = struct.unpack(SIZE_FORMAT, part[-4:])
        if not is_path(path):
            raise ImageError("bad path")
        if size > MAX_FILE_BYTES:
            raise ImageError("file too big")
        if not self._sink.begin(path.decode(), size):
            raise ImageError("no room")
        self._left = size
        self._in_file = True
        self._end_when_complete()

    def _end_when_complete(self) -> None:
        if self._left:
            return
        self._sink.end()
        self._in_file = False
        self._count -= 1
        self._expect_path()

    def _expect_path(self) -> None:
        self._need = 1
        self._next = self._path_size


def is_path(path: bytes) -> bool:
    """Whether it names a file inside a slot: letters, digits, `_`, `-` and dots within names."""
    names = path.split(b"/")
    if len(names) > MAX_FOLDERS + 1:
        return False
    for name in names:
        if not name or name[:1] == b".":
            return False
        for octet in name:
            if not (48 <= octet < 58 or 97 <= octet | 32 < 123 or octet in b"_-."):
                return False
    return True
