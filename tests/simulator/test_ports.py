"""The ports of a world: wanted, any, remembered, taken."""

import socket
from pathlib import Path

import pytest

from simulator.diary import Diary
from simulator.ports import PortError, Wanted, claim

HOST = "127.0.0.1"
ANY = Wanted(0, 0, 0)


def test_any_ports_are_the_same_again_at_the_next_start(tmp_path: Path) -> None:
    with claim(tmp_path, HOST, ANY) as first:
        numbers = (first.http, first.mqtt, first.ws)
        assert all(numbers)
    with claim(tmp_path, HOST, ANY) as second:
        assert (second.http, second.mqtt, second.ws) == numbers


def test_a_remembered_port_that_is_taken_gives_way(tmp_path: Path) -> None:
    with claim(tmp_path, HOST, ANY) as first:
        taken = first.http
    with socket.create_server((HOST, taken)), claim(tmp_path, HOST, ANY) as second:
        assert second.http not in (0, taken)


def test_a_wanted_port_that_is_taken_is_told_by_its_option(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=f"--mqtt-port {port}"), claim(tmp_path, HOST, Wanted(0, port, 0)):
            pytest.fail("claimed")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"http": "x"}', b'{"http": 99999999}', b"\xff"])
def test_remembered_ports_that_are_damaged_are_forgotten(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ports.json").write_bytes(content)
    with claim(tmp_path, HOST, ANY) as ports:
        assert ports.last_http == 0
        assert ports.http


@pytest.mark.parametrize("content", [b"", b'["x"]', b'{"starts": "1"}'])
def test_a_damaged_diary_begins_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "diary.json").write_bytes(content)
    diary = Diary(tmp_path)
    diary.started()
    assert (Diary(tmp_path).starts, diary.clean_stops) == (1, 0)
