"""An update image as it comes, in pieces of any size, into one of the two slots."""

import struct

from firmware import boot, image
from firmware.slots import Slots
from tests.device.plain import MemoryFiles, raises

FILES = (("a.py", b"x = 1\n"), ("firmware/core.mpy", b"\x00" * 100), ("empty.py", b""))


def _image(files, arch=b"x64"):
    data = struct.pack(">8s3sB", b"PAYGIMG1", b"\x01\x02\x03", len(arch)) + arch
    data += struct.pack(">H", len(files))
    for path, content in files:
        data += bytes([len(path)]) + path.encode() + struct.pack(">I", len(content)) + content
    return data


def test_an_image_fills_the_slot_that_is_not_in_use():
    data = _image(FILES)
    for size in (1, 3, 64, 500):
        files = MemoryFiles()
        slots = Slots(files, "/a")
        unpacker = image.Unpacker(slots.writer(), "x64")
        for place in range(0, len(data), size):
            unpacker.feed(data[place : place + size])
        unpacker.finish()
        unpacker.close()
        assert unpacker.version == b"\x01\x02\x03"
        for path, content in FILES:
            assert files.files["/b/" + path] == content


def test_what_is_no_image_for_this_board():
    good = _image(FILES)
    for data in (
        b"X" + good[1:],
        _image(FILES, b"armv6m"),
        good + b"x",
        _image((("../x", b""),)),
        _image(()),
    ):
        unpacker = image.Unpacker(Slots(MemoryFiles(), "/a").writer(), "x64")
        assert raises(image.ImageError, unpacker.feed, data)
    unpacker = image.Unpacker(Slots(MemoryFiles(), "/a").writer(), "x64")
    unpacker.feed(good[:-50])
    assert raises(image.ImageError, unpacker.finish)


def test_a_version_on_trial_is_confirmed_or_rolled_back():
    for is_good in (True, False):
        files = MemoryFiles()
        Slots(files, "/a").install(7)
        slots = Slots(files, "/b")
        assert (slots.on_trial, slots.mark) == (True, 7)
        if is_good:
            slots.confirm()
        else:
            slots.roll_back()
        again = Slots(files, "/b" if is_good else "/a")
        assert (again.on_trial, again.phase) == (False, boot.CONFIRMED if is_good else boot.ROLLED_BACK)
