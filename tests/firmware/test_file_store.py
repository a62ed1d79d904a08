"""The store in two files, on littlefs over the NOR model: old or new after any cut, and ten years of wear."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.file_store import FileStore
from firmware.hal import SECTOR_SIZE
from firmware.hal.files import Files
from firmware.store import MAX_PAYLOAD, StoreError
from tests.firmware.little_files import LittleFiles
from tests.firmware.rig import CUTS, NorFlash, PowerCut
from tests.firmware.test_store import ERASES_OF_FLASH, SAVES_A_DAY, STATE, TEN_YEARS_DAYS


def new_files(sectors: int = 8) -> tuple[NorFlash, LittleFiles]:
    flash = NorFlash(b"\xff" * (sectors * SECTOR_SIZE))
    return flash, LittleFiles(flash, is_new=True)


def test_a_blank_store_has_no_record() -> None:
    assert FileStore(new_files()[1]).load() is None


@given(st.lists(st.binary(max_size=MAX_PAYLOAD), min_size=1, max_size=10))
def test_the_last_record_is_read_back(payloads: list[bytes]) -> None:
    flash, files = new_files()
    store = FileStore(files)
    store.load()
    for payload in payloads:
        store.save(payload)
        assert FileStore(LittleFiles(flash)).load() == payload


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_at_any_operation_leaves_old_or_new(cut: str) -> None:
    cuts = 0
    for cut_at in range(60):
        flash, files = new_files()
        flash.cut, flash.cut_at = cut, flash.operations + cut_at
        store = FileStore(files)
        store.load()
        saved = [b""]
        with suppress(PowerCut):
            for number in range(60):
                saved.append(b"%d" % number * 200)
                store.save(saved[-1])
        cuts += len(saved) < 60
        after = FileStore(LittleFiles(flash))
        assert (after.load() or b"") in saved[-2:]
        after.save(b"goes on")
        assert FileStore(LittleFiles(flash)).load() == b"goes on"
    assert cuts == 60


def test_ten_years_of_saves_are_within_the_wear_of_flash() -> None:
    """On 64 free sectors (256 KB), a board's file system beside the firmware."""
    flash, files = new_files(64)
    store = FileStore(files)
    saves = 4_000
    for _ in range(saves):
        store.save(STATE)
    ten_years = max(flash.erases) * SAVES_A_DAY * TEN_YEARS_DAYS / saves
    print(
        f"littlefs: {sum(flash.erases) / saves:.2f} erases a save, {ten_years:.0f} of a sector in ten years"
    )
    assert ten_years < ERASES_OF_FLASH / 2


class Torn(Files):
    """A file system without littlefs's care: a cut leaves half a file."""

    def tear(self, name: str, size: int) -> None:
        with self.open(name, "rb") as file:
            data = file.read()
        with self.open(name, "wb") as file:
            file.write(data[:size])


def test_half_a_file_is_no_record(tmp_path: Path) -> None:
    files = Torn(str(tmp_path))
    store = FileStore(files)
    for payload in (b"first", b"second"):
        store.save(payload)
    for size in (0, 5, 12, 17):
        files.tear("/state.b", size)
        assert FileStore(files).load() == b"first"
    files.tear("/state.a", 3)
    assert FileStore(files).load() is None


def test_errors_are_store_errors(tmp_path: Path) -> None:
    store = FileStore(Files(str(tmp_path / "missing")))
    assert store.load() is None
    with pytest.raises(StoreError, match="cannot be written"):
        store.save(b"x")
    with pytest.raises(StoreError, match="at most"):
        store.save(bytes(MAX_PAYLOAD + 1))
    (tmp_path / "state.a").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        FileStore(Files(str(tmp_path))).load()


def test_a_full_file_system_keeps_the_old_record() -> None:
    flash, files = new_files(10)
    store = FileStore(files)
    store.save(b"old" * 300)
    store.save(b"newer" * 300)
    with suppress(OSError):
        for number in range(10):
            with files.open(f"/{number}", "wb") as filler:
                filler.write(bytes(4_000))
    with pytest.raises(StoreError, match="cannot be written"):
        store.save(b"x" * 1_900)
    assert FileStore(LittleFiles(flash)).load() == b"newer" * 300


def test_files_over_a_folder(tmp_path: Path) -> None:
    files = Files(str(tmp_path))
    with files.open("/a", "wb") as file:
        file.write(b"1234")
    with files.open("/b", "wb") as file:
        file.write(b"12345")
    assert (files.size("/a"), files.size("/b"), files.size("/c")) == (4, 5, -1)
    files.rename("/a", "/b")
    assert (files.size("/a"), files.size("/b")) == (-1, 4)
    files.mkdir("/folder")
    assert sorted(files.listdir("/")) == ["b", "folder"]
    assert files.listdir("/folder") == []
    for path in ("/b", "/folder"):
        files.remove(path)
    assert files.listdir("/") == []
    assert files.free() > 1_000_000
