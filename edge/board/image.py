"""Update images: the compiled modules of one version and one architecture in one file.

build.py calls `pack`; the device unpacks with firmware/image.py, where the format is described. The UPDATE
command carries the SHA-256 of the whole file.
"""

import struct
from collections.abc import Mapping

from firmware.image import (
    HEAD_FORMAT,
    MAGIC,
    MAX_ARCH,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_PATH,
    SIZE_FORMAT,
    ImageError,
    Unpacker,
    is_path,
)


def pack(*, version: bytes, arch: str, files: Mapping[str, bytes]) -> bytes:
    """The image of a slot's files by path, the same bytes for the same files.

    `version` has 3 bytes, `arch` is mpy-cross's name. ValueError for what no device would take.
    """
    if len(version) != 3:
        raise ValueError(f"a version has 3 bytes, not {len(version)}")
    if not (arch.isascii() and 1 <= len(arch) <= MAX_ARCH):
        raise ValueError(f"no architecture: {arch!r}")
    if not 1 <= len(files) <= MAX_FILES:
        raise ValueError(f"an image has 1 to {MAX_FILES} files, not {len(files)}")
    head = struct.pack(HEAD_FORMAT, MAGIC, version, len(arch)) + arch.encode()
    entries = [_entry(path, files[path]) for path in sorted(files)]
    return head + struct.pack(">H", len(files)) + b"".join(entries)


def unpack(image: bytes, arch: str) -> tuple[bytes, dict[str, bytes]]:
    """(version, files by path) of an image, read as a device reads it; ImageError when it would not."""
    sink = _Memory()
    unpacker = Unpacker(sink, arch)
    unpacker.feed(image)
    unpacker.finish()
    return unpacker.version, sink.files


def _entry(path: str, data: bytes) -> bytes:
    name = path.encode()
    if len(name) > MAX_PATH or not is_path(name):
        raise ValueError(f"no device takes a file of this name: {path!r}")
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"{path} has {len(data)} bytes, more than {MAX_FILE_BYTES}")
    return bytes([len(name)]) + name + struct.pack(SIZE_FORMAT, len(data)) + data


class _Memory:
    """The sink of `unpack`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._path = ""

    def begin(self, path: str, size: int) -> bool:
        if path in self.files:
            return False
        self._path = path
        self.files[path] = b""
        return size <= MAX_FILE_BYTES

    def write(self, data: bytes) -> None:
        self.files[self._path] += data

    def end(self) -> None:
        self._path = ""


__all__ = ["ImageError", "pack", "unpack"]
