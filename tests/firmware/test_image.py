"""Update images: what the packer makes the device unpacks, in any pieces; what is none stays out."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.board import image
from firmware.image import MAX_FILE_BYTES, MAX_FILES, ImageError, Unpacker, is_path, native_arch

NAMES = st.text("abcXYZ019_-", min_size=1, max_size=8)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join).map(lambda path: path + ".mpy")
FILES = st.dictionaries(PATHS, st.binary(max_size=300), min_size=1, max_size=8)


class Sink:
    """Keeps what comes; `room` bytes fit."""

    def __init__(self, room: int = 1 << 20) -> None:
        self.files: dict[str, bytes] = {}
        self.room = room
        self._path: str | None = None

    def begin(self, path: str, size: int) -> bool:
        self.room -= size
        if self.room < 0:
            return False
        assert self._path is None
        self._path = path
        self.files[path] = b""
        return True

    def write(self, data: bytes) -> None:
        assert self._path is not None
        self.files[self._path] += data

    def end(self) -> None:
        self._path = None


def _unpack(data: bytes, pieces: int = 1024, room: int = 1 << 20) -> dict[str, bytes]:
    sink = Sink(room)
    unpacker = Unpacker(sink, "x64")
    for offset in range(0, len(data), pieces):
        unpacker.feed(data[offset : offset + pieces])
    unpacker.finish()
    return sink.files


def _packed(files: dict[str, bytes], arch: str = "x64") -> bytes:
    return image.pack(version=b"\x01\x02\x03", arch=arch, files=files)


def _raw(path: bytes, size: int = 0, count: int = 1) -> bytes:
    """An image that the packer refuses."""
    entry = bytes([len(path)]) + path + struct.pack(">I", size)
    return b"PAYGIMG1\x00\x01\x00\x03x64" + struct.pack(">H", count) + entry


@given(files=FILES, pieces=st.integers(1, 700))
def test_what_was_packed_is_unpacked(files: dict[str, bytes], pieces: int) -> None:
    assert _unpack(_packed(files), pieces) == files
    assert image.unpack(_packed(files), "x64") == (b"\x01\x02\x03", files)


@given(files=FILES)
def test_the_order_of_the_files_does_not_matter(files: dict[str, bytes]) -> None:
    assert _packed(dict(reversed(files.items()))) == _packed(files)


@given(files=FILES, data=st.data())
def test_a_part_or_more_is_no_image(files: dict[str, bytes], data: st.DataObject) -> None:
    packed = _packed(files)
    with pytest.raises(ImageError, match="image too short"):
        _unpack(packed[: data.draw(st.integers(0, len(packed) - 1))])
    with pytest.raises(ImageError, match="image too long"):
        _unpack(packed + data.draw(st.binary(min_size=1, max_size=5)))


@given(files=FILES, data=st.data())
def test_a_hostile_image_stays_in_its_bounds(files: dict[str, bytes], data: st.DataObject) -> None:
    packed = bytearray(_packed(files))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    sink = Sink(5000)
    unpacker = Unpacker(sink, "x64")
    try:
        unpacker.feed(bytes(packed))
        unpacker.finish()
    except ImageError:
        pass  # it may also be another image that is sound
    assert all(is_path(path.encode()) for path in sink.files)
    assert sum(map(len, sink.files.values())) <= 5000


@pytest.mark.parametrize(
    "path",
    [
        b"/boot.py",
        b"../boot.py",
        b"a/../../boot.py",
        b"a//b",
        b"a/",
        b".hidden",
        b"a b",
        b"a\x00b",
        b"\xc3\xa9.py",
        b"a/b/c/d/e/f.py",
        b"a\\b",
        b"C:x",
    ],
)
def test_no_file_lands_outside_its_slot(path: bytes) -> None:
    with pytest.raises(ImageError, match="bad path"):
        _unpack(_raw(path))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PAYGIMG2" + _packed({"a": b""})[8:], "not an image"),
        (b"<html><body>404</body></html>", "not an image"),
        (_packed({"a": b""}, "armv6m"), "wrong arch"),
        (b"PAYGIMG1\x00\x01\x00\x00", "wrong arch"),
        (b"PAYGIMG1\x00\x01\x00\xff", "wrong arch"),
        (_raw(b"", count=0), "no files"),
        (_raw(b"a", count=MAX_FILES + 1), "too many files"),
        (_raw(b""), "bad path"),
        (_raw(b"a" * 65), "bad path"),
        (_raw(b"a", size=MAX_FILE_BYTES + 1), "file too big"),
        (_raw(b"a", size=1 << 31), "file too big"),
        (_raw(b"a", size=2000), "no room"),
    ],
)
def test_what_is_no_image_for_this_board(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as refusal:
        _unpack(data, room=1000)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("files", "arch", "version"),
    [
        ({}, "x64", b"\x00\x01\x00"),
        ({f"m{index}": b"" for index in range(MAX_FILES + 1)}, "x64", b"\x00\x01\x00"),
        ({"../a": b""}, "x64", b"\x00\x01\x00"),
        ({"a" * 65: b""}, "x64", b"\x00\x01\x00"),
        ({"a": bytes(MAX_FILE_BYTES + 1)}, "x64", b"\x00\x01\x00"),
        ({"a": b""}, "", b"\x00\x01\x00"),
        ({"a": b""}, "x" * 17, b"\x00\x01\x00"),
        ({"a": b""}, "x64", b"\x01"),
    ],
)
def test_the_packer_makes_only_what_a_device_takes(
    files: dict[str, bytes], arch: str, version: bytes
) -> None:
    with pytest.raises(ValueError, match=r"version|architecture|files|takes|bytes"):
        image.pack(version=version, arch=arch, files=files)


def test_hosts_run_source() -> None:
    assert native_arch() == "py"
