"""The store in a file: one process at a time, provisioned once, and honest when the file is gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.config import Config
from firmware.hal import Flash
from firmware.hal.unix import FileFlash, open_flash, read_flash
from firmware.store import Ring, StoreError
from tests.firmware.rig import moto_config

CONFIG: Config = moto_config()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def flash(path: str) -> Iterator[FileFlash]:
    flash = open_flash(path, CONFIG, False, True)
    yield flash
    flash.close()


def test_a_store_in_use_is_refused_until_it_is_closed(path: str, flash: FileFlash) -> None:
    with pytest.raises(StoreError, match="in use by another process: stop it, or name another file"):
        open_flash(path, CONFIG, False, True)
    flash.close()
    open_flash(path, CONFIG, False, False).close()


def test_a_store_that_is_being_provisioned_is_in_use(path: str, tmp_path: Path) -> None:
    """Whoever is at it holds the new file."""
    other = open_flash(path, CONFIG, False, True)
    (tmp_path / "store").rename(tmp_path / "store.new")
    with pytest.raises(StoreError, match="in use"):
        open_flash(path, CONFIG, False, True)
    assert not (tmp_path / "store").exists()
    other.close()
    open_flash(path, CONFIG, False, True).close()  # what it left is written again
    assert [file.name for file in tmp_path.iterdir()] == ["store"]


def test_a_look_at_a_store_in_use(path: str, flash: FileFlash) -> None:
    store = Ring(flash)
    store.load()
    store.save(b"state")
    look: Flash = read_flash(path)
    assert Ring(look).load() == b"state"


def test_a_missing_store_is_only_made_when_that_is_wanted(path: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is missing"):
        open_flash(path, CONFIG, False, False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match="create the folder"):
        open_flash(str(tmp_path / "nowhere" / "store"), CONFIG, False, True)


@pytest.mark.parametrize("name", ["/dev/null", "."])
def test_what_is_no_file_is_refused(name: str) -> None:
    with pytest.raises(StoreError, match="is not a file"):
        open_flash(name, CONFIG, False, True)


def test_a_removed_file_takes_no_record(path: str, flash: FileFlash) -> None:
    store = Ring(flash)
    store.load()
    Path(path).rename(path + ".away")
    with pytest.raises(StoreError, match="was removed"):
        store.save(b"lost")
    Path(path + ".away").rename(path)
    store.save(b"kept")
    assert Ring(flash).load() == b"kept"
