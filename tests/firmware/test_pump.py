"""The pump between a conversation and a network of the test's own: what it does when either fails."""

from collections.abc import Callable

import pytest

from firmware.conversation import NEVER_MS, Conversation, ConversationError
from firmware.dialer import FIRST_PAUSE_MS, Dialer
from firmware.pump import CONNECT_TIMEOUT_MS, NO_NETWORK_MS, READS, SEND_TIMEOUT_MS, Pump


class Talk(Conversation):
    """Says hello, and keeps what it hears."""

    def __init__(self) -> None:
        super().__init__("host", 1, True)
        self.heard: list[bytes] = []
        self.to_say = b""
        self.closes = 0
        self.left = 0

    def due_ms(self, now_ms: int) -> int:
        return 0

    def opened(self, now_ms: int) -> None:
        self.to_say = b"hello"

    def received(self, data: bytes, now_ms: int) -> None:
        if data == b"nonsense":
            raise ConversationError("bad_talk")
        self.heard.append(data)
        self.reached = True

    def poll(self, now_ms: int) -> int:
        return NEVER_MS

    def output(self) -> bytes:
        said, self.to_say = self.to_say, b""
        return said

    def leave(self, now_ms: int) -> None:
        self.to_say = b"bye"

    def closed(self) -> None:
        self.closes += 1


class Wire:
    """A transport and its network."""

    def __init__(self) -> None:
        self.is_up = True
        self.stands = True
        self.arrived: list[bytes] = []
        self.sent = b""
        self.room = 1 << 20
        self.waiting = b""
        self.is_open = False
        self.fails: OSError | None = None
        self.connects: list[tuple[str, int, bool]] = []

    def up(self, now_ms: int) -> bool:
        return self.is_up

    def connect(self, host: str, port: int, tls: bool) -> "Wire":
        self.connects.append((host, port, tls))
        self.is_open = True
        return self

    def poll(self, now_ms: int) -> bool:
        return self.stands

    def receive(self) -> bytes | None:
        if self.fails is not None:
            raise self.fails
        return self.arrived.pop(0) if self.arrived else None

    @property
    def unsent(self) -> bool:
        return bool(self.waiting)

    def send(self, data: bytes) -> None:
        self.waiting += data
        self.sent += self.waiting[: self.room]
        self.waiting = self.waiting[self.room :]

    def close(self) -> None:
        self.is_open = False


class Rig:
    def __init__(self) -> None:
        self.talk, self.wire = Talk(), Wire()
        self.ends: list[str] = []
        self.dialer = Dialer([self.talk], bytes)
        self.pump = Pump(self.dialer, self.wire, self.ends.append)  # pyright: ignore

    def turns(self, now_ms: int, count: int = 3) -> int:
        wait_ms = 0
        for _ in range(count):
            wait_ms = self.pump.poll(now_ms)
        return wait_ms


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_what_is_said_goes_out_and_what_comes_is_heard(rig: Rig) -> None:
    assert rig.turns(0) == NEVER_MS
    assert (rig.wire.connects, rig.wire.sent) == ([("host", 1, True)], b"hello")
    rig.wire.arrived += [b"a", b"b"]
    assert rig.turns(10, 1) == NEVER_MS
    assert rig.talk.heard == [b"a", b"b"]


def test_a_flood_leaves_time_for_the_keypad(rig: Rig) -> None:
    rig.turns(0)
    rig.wire.arrived += [b"x"] * (READS + 3)
    assert rig.pump.poll(0) == 1
    assert len(rig.talk.heard) == READS


def _refused(rig: Rig) -> None:
    rig.wire.fails = OSError("refused")


def _lost(rig: Rig) -> None:
    rig.wire.is_up = False


def _nonsense(rig: Rig) -> None:
    rig.wire.arrived.append(b"nonsense")


@pytest.mark.parametrize(
    ("breaks", "says"), [(_refused, "refused"), (_lost, "no network"), (_nonsense, "bad_talk")]
)
def test_whatever_breaks_closes_both_sides_and_pauses(
    rig: Rig, breaks: Callable[[Rig], None], says: str
) -> None:
    rig.turns(0)
    breaks(rig)
    rig.pump.poll(1000)
    assert (rig.ends, rig.talk.closes, rig.wire.is_open) == ([says], 1, False)
    rig.wire.is_up = True
    rig.wire.fails = None
    assert rig.pump.poll(1000) == FIRST_PAUSE_MS
    rig.pump.poll(1000 + FIRST_PAUSE_MS)
    assert len(rig.wire.connects) == 2


def test_without_a_network_nobody_is_called(rig: Rig) -> None:
    rig.wire.is_up = False
    assert rig.turns(0) == NO_NETWORK_MS
    assert rig.wire.connects == []


def test_a_connection_that_never_stands_is_given_up(rig: Rig) -> None:
    rig.wire.stands = False
    rig.turns(0)
    rig.pump.poll(CONNECT_TIMEOUT_MS - 1)
    assert rig.ends == []
    rig.pump.poll(CONNECT_TIMEOUT_MS)
    assert rig.ends == ["no answer from host:1"]
    assert rig.wire.sent == b""


def test_a_peer_that_takes_nothing_is_given_up(rig: Rig) -> None:
    rig.wire.room = 2
    rig.pump.poll(0)
    rig.pump.poll(0)
    rig.wire.room = 0
    rig.pump.poll(1)
    rig.pump.poll(SEND_TIMEOUT_MS - 1)
    assert rig.ends == []
    rig.pump.poll(SEND_TIMEOUT_MS)
    assert rig.ends == ["the peer takes nothing"]


def test_an_end_in_order_is_no_failure(rig: Rig) -> None:
    rig.turns(0)
    rig.talk.done = True
    rig.pump.poll(0)
    assert (rig.ends, rig.talk.closes, rig.wire.is_open) == ([], 1, False)
    rig.talk.done = False
    rig.turns(0, 2)
    rig.talk.is_idle = True
    rig.wire.fails = OSError("closed by the peer")
    rig.pump.poll(0)
    assert (rig.ends, rig.talk.closes) == ([], 2)


def test_who_makes_room_says_goodbye(rig: Rig) -> None:
    rig.turns(0)
    rig.wire.arrived.append(b"welcome")
    rig.turns(0, 1)
    download = Talk()
    rig.dialer.download = download
    rig.turns(0, 1)
    assert (rig.wire.sent, rig.talk.closes, rig.ends) == (b"hellobye", 1, [])
    rig.turns(0)
    assert rig.pump.current is download


def test_memory_that_is_short_ends_the_connection_not_the_device(rig: Rig) -> None:
    rig.turns(0)

    def short(*_: object) -> None:
        raise MemoryError

    rig.wire.send = short  # pyright: ignore
    rig.pump.poll(0)
    assert rig.wire.is_open is False
