"""The MQTT conversation of a controller: login, subscription, frames up one at a time, commands down."""

from firmware.link import Link
from firmware.mqtt import MqttError
from protocols import topics
from protocols.magicbox import wire
from tests.device.bench import Bench, moto_token
from tests.device.plain import raises


def _packets(data):
    """(first byte, body) of each packet; all are short."""
    packets = []
    while data:
        length = data[1] & 0x7F
        start = 2
        if data[1] & 0x80:
            length |= data[2] << 7
            start = 3
        packets.append((data[0], data[start : start + length]))
        data = data[start + length :]
    return packets


def _publish(topic, payload):
    body = bytes([len(topic) >> 8, len(topic) & 0xFF]) + topic.encode() + payload
    return b"\x30" + bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) + body


def _online(bench):
    link = Link(bench.config.serial, "secret", bench.controller)
    link.opened(0)
    assert [packet[0] for packet in _packets(link.output())] == [0x10]
    link.received(b"\x20\x02\x00\x00", 0)
    ((kind, body),) = _packets(link.output())
    assert kind == 0x82
    link.received(b"\x90\x03" + body[:2] + b"\x00", 0)
    assert link.online
    return link


def _acknowledge(link):
    """Let a broker take what comes until nothing does; how many publications that were."""
    taken = 0
    for _ in range(20):
        link.poll(0)
        for kind, body in _packets(link.output()):
            if kind & 0xF0 == 0x30:
                taken += 1
                start = 2 + (body[0] << 8 | body[1])
                link.received(b"\x40\x02" + body[start : start + 2], 0)
    return taken


def test_a_command_goes_down_and_its_answer_up():
    bench = Bench()
    link = _online(bench)
    assert _acknowledge(link) == 2  # the state, and a frame with boot and status
    token = wire.Token(5, str(moto_token("unlock_relative", 3, 1)).encode())
    frame = _publish(topics.down(bench.config.serial), bench.sealed(token))
    for place in range(0, len(frame), 7):  # in pieces
        link.received(frame[place : place + 7], 0)
    assert bench.hal.relay
    assert _acknowledge(link) == 1


def test_what_no_broker_says_ends_the_connection():
    link = Link("T/1", "secret", Bench().controller)
    for rubbish in (b"\x00\x00", b"\x20\x02\x00\x05", b"\x30\xff\xff\xff\xff\x7f", b"\xf0\x00"):
        link.opened(0)
        assert raises(MqttError, link.received, rubbish, 0)
        link.closed()


def test_a_silent_broker_is_left():
    link = _online(Bench())
    _acknowledge(link)
    link.poll(31_000)
    assert len(_packets(link.output())) == 1  # what has no answer of the back end goes again
    assert raises(MqttError, link.poll, 60_000)
