"""The MQTT client against bytes: in pieces, malformed, silent; and the link on top of it."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.config import ConfigError
from firmware.link import Link
from firmware.mqtt import (
    REPLY_TIMEOUT_MS,
    Acknowledged,
    Client,
    Connected,
    MqttError,
    Publication,
    Subscribed,
)
from protocols import topics
from protocols.magicbox import wire
from tests.firmware.rig import Bench, moto_bench, moto_token

CONNACK = b"\x20\x02\x00\x00"
KEEP_ALIVE_MS = 60_000


def _client() -> Client:
    client = Client("device", "secret", KEEP_ALIVE_MS // 1000)
    client.open("will/topic", b"gone", 0)
    return client


def _connected() -> Client:
    client = _client()
    client.output()
    client.received(CONNACK, 0)
    return client


def _publish(topic: str, payload: bytes, packet_id: int | None = None) -> bytes:
    body = struct.pack(">H", len(topic)) + topic.encode()
    head = 0x30
    if packet_id is not None:
        head, body = 0x32, body + struct.pack(">H", packet_id)
    body += payload
    assert len(body) < 16_384
    length = [len(body)] if len(body) < 128 else [len(body) & 0x7F | 0x80, len(body) >> 7]
    return bytes([head, *length]) + body


def test_connect_is_what_the_standard_says() -> None:
    sent = _client().output()
    assert sent == (
        b"\x10\x34\x00\x04MQTT\x04\xee\x00\x3c"
        b"\x00\x06device\x00\x0awill/topic\x00\x04gone\x00\x06device\x00\x06secret"
    )


def test_what_is_sent_after_login() -> None:
    client = _connected()
    client.subscribe("a/down", 0)
    assert client.output() == b"\x82\x0b\x00\x01\x00\x06a/down\x00"
    assert client.publish("a/up", b"x", 0) == 2
    assert client.output() == b"\x32\x09\x00\x04a/up\x00\x02x"
    client.publish("a/state", b"on", 0, retain=True)
    assert client.output() == b"\x33\x0d\x00\x07a/state\x00\x03on"
    client.close(0)
    assert client.output() == b"\xe0\x00"


def _events(pieces: list[bytes]) -> tuple[list[object], bytes]:
    client = _client()
    client.output()
    events: list[object] = []
    subscribed = published = False
    for piece in pieces:
        arrived = client.received(piece, 0)
        events += [(type(event).__name__, *map(event.__getattribute__, event.__slots__)) for event in arrived]
        if client.connected and not subscribed:
            client.subscribe("a/down", 0)
            subscribed = True
        if subscribed and not published:
            client.publish("a/up", b"x", 0)
            published = True
    return events, client.output()


ARRIVES = [
    CONNACK,
    b"\x90\x03\x00\x01\x00",
    b"\x40\x02\x00\x02",
    _publish("a/down", b"frame" * 60),
    _publish("a/down", b"at qos 1", 7),
    _publish("a/down", b""),
]


def test_events_in_pieces_of_one_byte_are_the_same() -> None:
    whole, sent = _events(ARRIVES)
    assert [event[0] for event in whole] == [
        "Connected",
        "Subscribed",
        "Acknowledged",
        "Publication",
        "Publication",
        "Publication",
    ]
    pieces = [bytes([octet]) for octet in b"".join(ARRIVES)]
    assert _events(pieces) == (whole, sent)
    assert sent.endswith(b"\x40\x02\x00\x07")


@given(st.data())
def test_events_in_any_pieces_are_the_same(data: st.DataObject) -> None:
    rest = b"".join(ARRIVES[1:])
    pieces = [CONNACK]
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pieces.append(rest[:size])
        rest = rest[size:]
    assert _events(pieces) == _events(ARRIVES)


@given(st.lists(st.binary(max_size=30), max_size=6), st.booleans())
def test_arbitrary_bytes_raise_only_the_declared_error(pieces: list[bytes], logged_in: bool) -> None:
    client = _connected() if logged_in else _client()
    with suppress(MqttError):
        for piece in pieces:
            for event in client.received(piece, 0):
                assert isinstance(event, (Connected, Subscribed, Acknowledged, Publication))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x20\x02\x00\x05", "refused_not_authorized"),
        (b"\x20\x02\x00\x04", "refused_bad_login"),
        (b"\x20\x02\x00\x09", "bad_length"),
        (b"\x20\x03\x00\x00\x00", "bad_length"),
        (b"\x30\x03\x00\x01a", "unexpected_packet"),
        (b"\x90\x03\x00\x01\x00", "unexpected_packet"),
        (b"\xff\xff\xff\xff\xff", "too_large"),
        (b"\x30\x80\x80\x80\x80", "bad_length"),
    ],
)
def test_before_login(data: bytes, reason: str) -> None:
    with pytest.raises(MqttError) as caught:
        _client().received(data, 0)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (CONNACK, "unexpected_packet"),
        (b"\x34\x05\x00\x01a\x00\x01", "bad_qos"),
        (b"\x30\x01\x00", "bad_length"),
        (b"\x30\x03\x00\x09a", "bad_length"),
        (b"\x30\x03\x00\x01\xff", "bad_topic"),
        (b"\x40\x02\x00\x63", "unexpected_packet"),
        (b"\x40\x01\x00", "bad_length"),
        (b"\x41\x02\x00\x01", "bad_flags"),
        (b"\xd0\x00", "unexpected_packet"),
        (b"\x10\x00", "unexpected_packet"),
        (b"\x30\x81\x40" + bytes(8193), "too_large"),
    ],
)
def test_after_login(data: bytes, reason: str) -> None:
    with pytest.raises(MqttError) as caught:
        _connected().received(data, 0)
    assert caught.value.reason == reason


def test_a_refused_subscription_ends_the_connection() -> None:
    client = _connected()
    client.subscribe("x", 0)
    with pytest.raises(MqttError, match="subscription_refused"):
        client.received(b"\x90\x03\x00\x01\x80", 0)


def test_keep_alive_pings_and_notices_silence() -> None:
    client = _connected()
    now_ms = client.poll(0)
    assert now_ms == KEEP_ALIVE_MS // 2
    assert client.poll(now_ms) == REPLY_TIMEOUT_MS
    assert client.output() == b"\xc0\x00"
    client.received(b"\xd0\x00", now_ms + 5)
    assert client.poll(now_ms + REPLY_TIMEOUT_MS) == KEEP_ALIVE_MS // 2 - REPLY_TIMEOUT_MS
    now_ms += KEEP_ALIVE_MS // 2
    client.poll(now_ms)
    with pytest.raises(MqttError, match="timeout"):
        client.poll(now_ms + REPLY_TIMEOUT_MS)


def test_a_broker_that_never_answers_the_login_is_left() -> None:
    client = _client()
    assert client.poll(0) == REPLY_TIMEOUT_MS
    with pytest.raises(MqttError, match="timeout"):
        client.poll(REPLY_TIMEOUT_MS)


# The link.


def _online(bench: Bench) -> Link:
    link = Link("T/1", "pw", bench.controller)
    link.opened(bench.hal.now_ms)
    assert b'{"state":"offline","boot_id":1}' in link.output()
    link.received(CONNACK, bench.hal.now_ms)
    assert topics.down("T/1").encode() in link.output()
    assert not link.online
    link.received(b"\x90\x03\x00\x01\x00", bench.hal.now_ms)
    assert link.online
    assert b'{"state":"online","boot_id":1}' in link.output()
    return link


def test_one_frame_at_a_time_goes_up() -> None:
    bench = moto_bench()
    link = _online(bench)
    link.poll(bench.hal.now_ms)
    assert topics.up("T/1").encode() in link.output()
    bench.enter(moto_token("unlock_relative", 3, 1))
    link.poll(bench.hal.now_ms)
    assert link.output() == b""
    link.received(b"\x40\x02\x00\x03", bench.hal.now_ms)
    link.poll(bench.hal.now_ms)
    assert topics.up("T/1").encode() in link.output()


def test_a_frame_down_reaches_the_controller_and_other_topics_do_not() -> None:
    bench = moto_bench()
    link = _online(bench)
    frame = bench.sealed(wire.Token(1, moto_token("unlock_relative", 3, 1).encode()))
    link.received(_publish(topics.down("other"), frame), bench.hal.now_ms)
    assert bench.hal.relay is False
    link.received(_publish(topics.down("T/1"), frame), bench.hal.now_ms)
    assert bench.hal.relay is True


def test_a_new_connection_sends_everything_again() -> None:
    bench = moto_bench()
    link = _online(bench)
    link.poll(bench.hal.now_ms)
    first = link.output()
    link.closed()
    assert (link.online, link.output()) == (False, b"")
    assert link.poll(bench.hal.now_ms) > 1000
    link = _online(bench)
    link.poll(bench.hal.now_ms)
    assert len(link.output()) == len(first)


def test_leaving_says_offline() -> None:
    bench = moto_bench()
    link = _online(bench)
    link.leave(bench.hal.now_ms)
    sent = link.output()
    assert b'"offline"' in sent
    assert sent.endswith(b"\xe0\x00")


def test_what_came_before_a_bad_packet_is_given_and_then_the_connection_ends() -> None:
    client = _connected()
    (event,) = client.received(_publish("a/down", b"frame") + b"\xff\x00", 0)
    assert isinstance(event, Publication)
    for call in (lambda: client.poll(0), lambda: client.received(b"", 0)):
        with pytest.raises(MqttError, match="bad_flags"):
            call()


def test_no_ping_while_an_answer_to_the_last_is_due() -> None:
    client = Client("device", "secret", 10)
    client.open("will/topic", b"gone", 0)
    client.received(CONNACK, 0)
    client.output()
    assert client.poll(5_000) == REPLY_TIMEOUT_MS
    assert client.output() == b"\xc0\x00"
    assert client.poll(12_000) == REPLY_TIMEOUT_MS - 7_000
    assert client.output() == b""
    client.received(b"\xd0\x00", 12_000)
    client.poll(12_000)
    assert client.output() == b"\xc0\x00"


def test_a_keep_alive_of_0_means_no_pings() -> None:
    client = Client("device", "secret", 0)
    client.open("will/topic", b"gone", 0)
    client.received(CONNACK, 0)
    client.output()
    assert client.poll(1_000_000) > 60_000
    assert client.output() == b""


@pytest.mark.parametrize("keep_alive_s", [-1, 65_536])
def test_a_keep_alive_that_the_login_cannot_say_is_refused(keep_alive_s: int) -> None:
    with pytest.raises(ConfigError, match="0 to 65535"):
        Link("T/1", "pw", moto_bench().controller, keep_alive_s)
