"""Questions over UDP to servers of the test's own: an address, and the time."""

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from firmware import datagrams
from firmware.hal import wall
from firmware.hal.udp import REPEAT_MS, Lookup, is_address
from firmware.hal.wall import AGAIN_MS, PATIENCE_MS, Wall

LOCAL = "127.0.0.1"
UNIX_S = 1_800_000_000


class Server:
    """A UDP socket that answers by hand."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOCAL, 0))
        self._socket.settimeout(5)
        self.port: int = self._socket.getsockname()[1]
        self._sender = (LOCAL, 0)

    def question(self) -> bytes:
        data, self._sender = self._socket.recvfrom(600)
        return data

    def answer(self, data: bytes) -> None:
        self._socket.sendto(data, self._sender)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def _address_of(question: bytes, address: bytes) -> bytes:
    answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + address
    return question[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + question[12:] + answer


def _until(poll: Lookup, now_ms: int) -> str:
    ends = time.monotonic() + 5
    while time.monotonic() < ends:
        address = poll.poll(now_ms)
        if address:
            return address
    raise AssertionError("no answer")


def test_a_name_is_asked_again_until_somebody_answers(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "DNS_PORT", server.port)
    lookup = Lookup(LOCAL, "broker.example.org")
    assert lookup.poll(0) == ""
    question = server.question()
    assert lookup.poll(REPEAT_MS - 1) == ""
    assert lookup.poll(REPEAT_MS) == ""
    assert server.question() == question
    server.answer(b"\x00" * 40)  # not to this question
    server.answer(_address_of(question, bytes([192, 0, 2, 9])))
    assert _until(lookup, REPEAT_MS) == "192.0.2.9"
    lookup.close()


def test_a_name_that_does_not_exist_is_an_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "DNS_PORT", server.port)
    lookup = Lookup(LOCAL, "nobody.example.org")
    lookup.poll(0)
    question = server.question()
    server.answer(question[:2] + b"\x81\x83" + question[4:])
    with pytest.raises(OSError, match=r"no address for nobody\.example\.org"):
        _until(lookup, 0)
    lookup.close()


def test_an_address_needs_no_question() -> None:
    lookup = Lookup(LOCAL, "192.0.2.9")
    assert lookup.poll(0) == "192.0.2.9"
    lookup.close()
    assert not is_address("1.2.3")
    assert not is_address("a.b.c.d")


def test_a_name_that_none_can_have_is_an_error() -> None:
    with pytest.raises(OSError, match="no host name"):
        Lookup(LOCAL, "x" * 64)


class Clock:
    """The board's time of day, not set before somebody says it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.unix_s = 0
        monkeypatch.setattr(wall, "is_set", lambda: self.unix_s > 0)

    def set(self, unix_s: int) -> None:
        self.unix_s = unix_s


def test_the_time_is_asked_before_the_first_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "NTP_PORT", server.port)
    clock = Clock(monkeypatch)
    asking = Wall(LOCAL, clock.set, bytes)
    assert asking.poll(0, "") is False
    question = server.question()
    seconds = struct.pack(">II", UNIX_S + 2_208_988_800, 0)
    server.answer(b"\x24\x02" + bytes(22) + question[40:48] + bytes(8) + seconds)
    ends = time.monotonic() + 5
    while not asking.poll(10, "") and time.monotonic() < ends:
        pass
    assert clock.unix_s == UNIX_S
    assert asking.poll(20, "") is True


def test_when_nobody_knows_the_time_connections_are_tried_anyway(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "NTP_PORT", server.port)
    clock = Clock(monkeypatch)
    asking = Wall(LOCAL, clock.set, bytes)
    assert asking.poll(0, "") is False
    assert asking.poll(PATIENCE_MS - 1, "") is False
    assert asking.poll(PATIENCE_MS, "") is True
    assert asking.poll(PATIENCE_MS + AGAIN_MS - 1, "") is True
    assert len(server.question()) == 48
    assert asking.poll(PATIENCE_MS + AGAIN_MS, "") is True  # and no connection that stands ends for it
    assert len(server.question()) == 48
    assert asking.poll(2 * PATIENCE_MS + AGAIN_MS, "") is True


def test_the_clock_of_a_host_is_set() -> None:
    assert wall.is_set() is True
