"""The first packet and the borders of all others: whatever arrives, only PacketError."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.broker import engine
from edge.broker.handshake import MAX_PACKET_BYTES, Connect, PacketError, Will, packet_size, parse_connect
from edge.broker.links import Packets

TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=20)
WILLS = st.builds(Will, TEXTS, st.binary(max_size=20), st.integers(0, 2), st.booleans())


@st.composite
def connects(draw: st.DrawFn) -> Connect:
    username = draw(st.none() | TEXTS)
    return Connect(
        protocol_level=4,
        clean_session=draw(st.booleans()),
        keep_alive_s=draw(st.integers(0, 65535)),
        client_id=draw(TEXTS),
        will=draw(st.none() | WILLS),
        username=username,
        password=draw(st.none() | TEXTS) if username is not None else None,
    )


def encode(connect: Connect) -> bytes:
    """Write a CONNECT field by field as section 3.1 says."""
    flags = connect.clean_session << 1
    fields = [connect.client_id.encode()]
    if connect.will is not None:
        flags |= 0x04 | connect.will.qos << 3 | connect.will.retain << 5
        fields += [connect.will.topic.encode(), connect.will.payload]
    for bit, value in ((0x80, connect.username), (0x40, connect.password)):
        if value is not None:
            flags |= bit
            fields.append(value.encode())
    body = b"\0\4MQTT\4" + bytes([flags]) + connect.keep_alive_s.to_bytes(2, "big")
    body += b"".join(len(part).to_bytes(2, "big") + part for part in fields)
    return b"\x10" + length(len(body)) + body


def length(value: int) -> bytes:
    digits = b""
    while True:
        value, digit = divmod(value, 128)
        digits += bytes([digit | (0x80 if value else 0)])
        if not value:
            return digits


@given(connects())
def test_a_connect_is_read_as_written(connect: Connect):
    packet = encode(connect)
    assert packet_size(packet) == len(packet)
    assert parse_connect(packet) == connect


@given(connects(), st.data())
def test_a_damaged_connect_raises_only_packet_errors(connect: Connect, data: st.DataObject):
    packet = bytearray(encode(connect))
    at = data.draw(st.integers(0, len(packet) - 1))
    packet[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PacketError):
        if packet_size(packet) == len(packet):
            assert parse_connect(bytes(packet)).protocol_level in range(256)


@given(connects(), st.data())
def test_a_cut_connect_is_truncated(connect: Connect, data: st.DataObject):
    body = encode(connect)[2 if len(encode(connect)) < 130 else 3 :]
    cut = body[: data.draw(st.integers(7, len(body) - 1))]
    with pytest.raises(PacketError):
        parse_connect(b"\x10" + length(len(cut)) + cut)


def test_what_a_login_says_stays_out_of_its_text():
    connect = Connect(4, True, 0, "id", Will("t", b"secret-will", 0, False), "user", "secret-password")
    assert "secret" not in repr(connect)


@given(st.binary(min_size=1, max_size=8))
def test_packet_size_raises_only_packet_errors(data: bytes):
    try:
        size = packet_size(data)
    except PacketError:
        return
    assert size is None or 2 <= size <= MAX_PACKET_BYTES


@pytest.mark.parametrize(("size", "accepted"), [(MAX_PACKET_BYTES, True), (MAX_PACKET_BYTES + 1, False)])
def test_the_size_limit(size: int, accepted: bool):
    header = b"\x30" + length(size - 4)
    if accepted:
        assert packet_size(header) == size
    else:
        with pytest.raises(PacketError, match="packet_too_large"):
            packet_size(header)


class Pieces:
    """A link whose bytes come in the given pieces."""

    peer = ("test", 0)

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def receive(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    async def send(self, data: bytes) -> None:
        raise ConnectionResetError

    async def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._pieces.clear()


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 50))
def test_packets_are_cut_wherever_the_pieces_end(bodies: list[bytes], piece: int):
    wire = b"".join(b"\x30" + length(len(body)) + body for body in bodies)
    packets = Packets(Pieces([wire[at : at + piece] for at in range(0, len(wire), piece)]))

    async def collect() -> list[bytes]:
        collected: list[bytes] = []
        while (packet := await packets.next(None)) is not None:
            collected.append(packet)
        return collected

    assert [
        packet[-len(body) :] if body else b""
        for packet, body in zip(asyncio.run(collect()), bodies, strict=True)
    ] == bodies


@given(st.integers(0, 255), st.binary(max_size=60))
def test_amqtt_decodes_or_says_what_the_reader_expects(first: int, body: bytes):
    with contextlib.suppress(*engine.BAD_PACKET):
        run(engine.decode(bytes([first]) + length(len(body)) + body))


def run(coroutine):
    """Run what never waits, without a loop of its own for each example."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    finally:
        coroutine.close()
    raise AssertionError("it waited")


def test_a_silent_client_is_given_up():
    class Silent(Pieces):
        async def receive(self) -> bytes:
            return await asyncio.get_running_loop().create_future()

    assert asyncio.run(Packets(Silent([])).next(0.01)) is None
