"""Data directories: one process a service, secrets made once and readable by their owner alone."""

import stat
from pathlib import Path

import pytest

from backend.data_dir import SECRETS, DataDir, DataDirError, write_private
from simulator.clock import SeededEntropy


def test_a_second_process_on_the_same_folder_is_told(tmp_path: Path) -> None:
    first = DataDir(tmp_path, ("moto",), SeededEntropy(1))
    with pytest.raises(DataDirError, match=r"in use.*--data-dir"):
        DataDir(tmp_path, ("m2m", "moto"), SeededEntropy(2))
    assert DataDir(tmp_path, ("mega",), SeededEntropy(3)).path == first.path


def test_a_second_process_on_the_same_sqlite_files_is_told_wherever_its_secrets_are(tmp_path: Path) -> None:
    files = tmp_path / "files"
    DataDir(tmp_path / "a", ("moto",), SeededEntropy(1), database=files)
    for other in (tmp_path / "b", files):
        with pytest.raises(DataDirError, match=r"files is in use.*runs moto"):
            DataDir(other, ("moto",), SeededEntropy(2), database=files)
    DataDir(tmp_path / "c", ("moto",), SeededEntropy(3), database=tmp_path / "c" / ".." / "c")


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    made = DataDir(folder, ("a",), SeededEntropy(1)).secret("key")
    other = DataDir(folder, ("b",), SeededEntropy(2))
    assert other.secret("key") == made
    assert other.secret("second", 32) != made
    assert len(other.secret("second")) == 64
    assert stat.S_IMODE((folder / SECRETS).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_two_processes_that_start_together_agree(tmp_path: Path) -> None:
    first = DataDir(tmp_path, ("a",), SeededEntropy(1))
    second = DataDir(tmp_path, ("b",), SeededEntropy(2))
    assert first.secret("key") == second.secret("key")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"master_key": 5}', b"\xff\xfe{}", b"[" * 100_000]
)
def test_a_damaged_secrets_file_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SECRETS).write_bytes(content)
    with pytest.raises(DataDirError, match="damaged; restore it"):
        DataDir(tmp_path, ("a",), SeededEntropy(1))
    assert (tmp_path / SECRETS).read_bytes() == content


@pytest.mark.parametrize("name", [SECRETS, ".a.lock"])
def test_what_cannot_be_used_is_told_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(DataDirError, match=rf"{name} can't be used \(Is a directory\); let this user"):
        DataDir(tmp_path, ("a",), SeededEntropy(1))


def test_a_secret_that_cannot_be_written_is_told_and_the_others_stay(tmp_path: Path) -> None:
    folder = DataDir(tmp_path, ("a",), SeededEntropy(1))
    first = folder.secret("first")
    (tmp_path / f".{SECRETS}.new").mkdir()  # in the place of the file that becomes it
    with pytest.raises(DataDirError, match=f"{SECRETS} can't be used"):
        folder.secret("second")
    assert DataDir(tmp_path, ("b",), SeededEntropy(2)).secret("first") == first


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirError, match="--data-dir"):
        DataDir(tmp_path / "file" / "data", ("a",), SeededEntropy(1))


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    write_private(file, {"a": 1})
    write_private(file, {"b": 2})
    assert file.read_text() == '{\n  "b": 2\n}\n'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_an_rsa_key_is_made_once(tmp_path: Path) -> None:
    first = DataDir(tmp_path, ("a",), SeededEntropy(1))
    key = first.rsa_key("signing")
    assert key.startswith("-----BEGIN PRIVATE KEY-----")
    assert first.rsa_key("signing") == key
    assert DataDir(tmp_path, ("b",), SeededEntropy(1)).rsa_key("signing") == key
