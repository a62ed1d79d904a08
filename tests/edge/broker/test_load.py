"""300 devices at once, on both event loops: all get in, all are heard, all hear."""

import asyncio
import struct

import pytest
import structlog
import uvloop

from edge.broker import EmbeddedBroker, Login
from protocols import topics
from tests.edge.broker.test_broker import connect_packet, publish, sized, text

DEVICES = 300
ROUNDS = 5


class AnyDevice:
    """Implements Logins: every name but the bridge's is a device's."""

    async def verify(self, username: str, password: str) -> Login | None:
        return Login("bridge") if username == "bridge" else Login("device", topics.decode_serial(username))


class Wire:
    """A client of a few lines; reads whole packets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def login(cls, port: int, name: str, topic_filter: str, qos: int) -> "Wire":
        wire = cls(*await asyncio.open_connection("127.0.0.1", port))
        subscribe = b"\x82" + sized(b"\x00\x01" + text(topic_filter) + bytes([qos]))
        wire.writer.write(connect_packet(name, "x") + subscribe)
        assert await wire.packet() == (0x20, b"\x00\x00")
        assert await wire.packet() == (0x90, bytes([0, 1, qos]))
        return wire

    async def packet(self) -> tuple[int, bytes]:
        first, size = await self.reader.readexactly(2)
        if size & 0x80:
            size = (size & 0x7F) | (await self.reader.readexactly(1))[0] << 7
        return first, await self.reader.readexactly(size)

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def answer_all(bridge: Wire) -> int:
    """Acknowledge each publication and answer it down."""
    for _ in range(DEVICES * ROUNDS):
        first, body = await bridge.packet()
        assert first & 0xF6 == 0x32
        (topic_size,) = struct.unpack_from(">H", body)
        topic, mid = body[2 : 2 + topic_size], body[2 + topic_size : 4 + topic_size]
        bridge.writer.write(b"\x40\x02" + mid)
        bridge.writer.write(b"\x30" + sized(text(topic[:-2] + b"down") + body[4 + topic_size :]))
    return DEVICES * ROUNDS


async def live(port: int, serial: str) -> Wire:
    wire = await Wire.login(port, topics.encode_serial(serial), topics.down(serial), 0)
    for number in range(1, ROUNDS + 1):
        payload = f"{serial} {number}".encode()
        wire.writer.write(publish(topics.up(serial), payload, mid=number))
        answers = {await wire.packet(), await wire.packet()}
        assert (0x40, struct.pack(">H", number)) in answers
        assert (0x30, text(topics.down(serial)) + payload) in answers
    return wire


async def scenario() -> None:
    broker = EmbeddedBroker(logins=AnyDevice(), log=structlog.wrap_logger(None, processors=[drop]))
    ports = await broker.start()
    bridge = await Wire.login(ports.mqtt_port, "bridge", "payg/v1/dev/+/up", 1)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        answering = group.create_task(answer_all(bridge))
        devices = [group.create_task(live(ports.mqtt_port, f"S/{number}")) for number in range(DEVICES)]
    assert answering.result() == DEVICES * ROUNDS
    assert broker.counters == {"denied_subscribe": 0}
    async with asyncio.timeout(2):
        await broker.stop()
    for wire in (bridge, *(device.result() for device in devices)):
        await wire.close()


def drop(logger, method, event):
    raise structlog.DropEvent


@pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_three_hundred_devices(new_loop):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario())
