"""The boot record and the slots: which version starts, and what a trial that fails leaves."""

import errno
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import boot
from firmware.slots import RESERVED_BYTES, Slots
from tests.firmware.little_files import LittleFiles
from tests.firmware.update_rig import empty_files


def _boots(files: LittleFiles, count: int) -> list[str]:
    return [boot.choose(files.open) for _ in range(count)]


def test_without_a_record_slot_a_starts() -> None:
    files = empty_files()
    assert _boots(files, 5) == ["/a"] * 5
    assert files.listdir("/") == []


def test_three_starts_on_trial_then_the_old_one() -> None:
    files = empty_files()
    Slots(files, "/a").install(77)
    assert _boots(files, 6) == ["/b", "/b", "/b", "/a", "/a", "/a"]
    slots = Slots(files, "/a")
    assert (slots.phase, slots.mark, slots.on_trial) == (boot.ROLLED_BACK, 77, False)


def test_a_confirmed_version_stays_and_the_next_trial_is_in_the_other_slot() -> None:
    files = empty_files()
    Slots(files, "/a").install(1)
    assert boot.choose(files.open) == "/b"
    slots = Slots(files, "/b")
    assert slots.on_trial
    slots.confirm()
    assert (slots.phase, slots.mark, slots.on_trial) == (boot.CONFIRMED, 1, False)
    assert _boots(files, 5) == ["/b"] * 5
    Slots(files, "/b").install(2)
    assert _boots(files, 4) == ["/a", "/a", "/a", "/b"]


def test_a_version_that_is_not_on_trial_does_not_confirm_another() -> None:
    files = empty_files()
    Slots(files, "/a").install(1)
    for running in ("/a", "", ".frozen"):
        assert not Slots(files, running).on_trial
    slots = Slots(files, "/a")
    slots.roll_back()
    assert _boots(files, 2) == ["/a", "/a"]


def test_a_start_that_cannot_be_counted_is_the_old_version() -> None:
    files = empty_files()
    Slots(files, "/a").install(1)

    def read_only(path: str, mode: str):
        if mode != "rb":
            raise OSError(errno.EROFS, "read only")
        return files.open(path, mode)

    assert boot.choose(read_only) == "/a"
    assert boot.choose(files.open) == "/b"


@given(damage=st.binary(max_size=40), which=st.integers(0, 1))
def test_a_damaged_record_does_not_count(damage: bytes, which: int) -> None:
    files = empty_files()
    slots = Slots(files, "/a")
    slots.install(1)  # sequence 1
    slots.roll_back()  # sequence 2
    good = files.content(boot.RECORDS[which])
    files.write(boot.RECORDS[which], damage)
    record = boot.load(files.open)
    if damage != good:
        assert record.sequence == 1 + which
    assert boot.choose(files.open) == ("/b" if record.sequence == 1 else "/a")


def test_emptying_leaves_only_the_running_slot() -> None:
    files = empty_files()
    for slot in boot.SLOTS:
        for folder in (slot, slot + "/x", slot + "/x/y"):
            files.mkdir(folder)
        for name in ("/m.mpy", "/x/n.mpy", "/x/y/o.mpy"):
            files.write(slot + name, b"1")
    slots = Slots(files, "/a")
    steps = 0
    while not slots.empty_step():
        steps += 1
    assert steps == 5
    assert files.tree("/b") == {}
    assert len(files.tree("/a")) == 3


def test_an_image_leaves_room_for_the_store() -> None:
    files = empty_files()
    writer = Slots(files, "/a").writer()
    assert not writer.begin("big.mpy", files.free() - RESERVED_BYTES + 1)
    assert files.tree("/b") == {}


def test_a_file_that_comes_twice_is_refused() -> None:
    writer = Slots(empty_files(), "/a").writer()
    for taken in (True, False):
        assert writer.begin("x/y.mpy", 2) == taken
        writer.write(b"12")
        writer.end()


def test_the_slot_comes_first_on_the_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", "/a", ".frozen", "/lib"])
    boot.use("/b")
    assert sys.path == ["/b", "", ".frozen", "/lib"]
