"""The broker with real clients (paho) over TCP and WebSocket."""

import asyncio
import contextlib
import struct

import pytest

from edge.broker import EmbeddedBroker
from protocols import topics
from tests.edge.broker.conftest import PASSWORD, SERIAL_A, SERIAL_B, RunningBroker
from tests.edge.broker.paho_client import PahoClient

UP_A, DOWN_A, STATE_A = topics.up(SERIAL_A), topics.down(SERIAL_A), topics.state(SERIAL_A)
UP_B, DOWN_B, STATE_B = topics.up(SERIAL_B), topics.down(SERIAL_B), topics.state(SERIAL_B)
NAME_A = topics.encode_serial(SERIAL_A)
DENIED = 128


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
async def test_device_and_bridge_talk_both_ways(running: RunningBroker, transport: str):
    bridge = await running.connected(running.client("bridge", transport=transport))
    device = await running.connected(running.device(SERIAL_A, transport=transport))
    assert await bridge.subscribe("payg/v1/dev/+/up") == 1
    assert await device.subscribe(DOWN_A, qos=0) == 0
    big = bytes(range(256)) * 512
    await device.publish(UP_A, big)
    received = await bridge.next_message()
    assert (received.topic, received.payload, received.qos) == (UP_A, big, 1)
    await bridge.publish(DOWN_A, b"ack", qos=0)
    received = await device.next_message()
    assert (received.topic, received.payload, received.qos) == (DOWN_A, b"ack", 0)


async def test_a_device_reads_and_writes_only_its_own(running: RunningBroker):
    bridge = await running.connected(running.client("bridge"))
    await bridge.subscribe("payg/v1/#")
    await bridge.publish("payg/v1/ops/UG/x/status", b"{}", retain=True)
    assert (await bridge.next_message()).topic == "payg/v1/ops/UG/x/status"
    device = await running.connected(running.device(SERIAL_A))
    for topic_filter in (DOWN_B, UP_B, UP_A, STATE_B, "payg/v1/dev/+/down", "payg/v1/#", "#", "+/+/+/+/+"):
        assert await device.subscribe(topic_filter) == DENIED
    for topic in (UP_B, STATE_B, DOWN_A, DOWN_B, "payg/v1/ops/UG/x/status", "elsewhere"):
        await device.publish(topic, b"forged", retain=True)
    await device.publish(UP_A, b"genuine")
    received = await bridge.next_message()
    assert (received.topic, received.payload) == (UP_A, b"genuine")
    assert device.received.empty()
    assert running.broker.counters["denied_publish"] == 6
    assert running.broker.counters["denied_subscribe"] == 8


async def test_ops_reads_ops_and_writes_nothing(running: RunningBroker):
    bridge = await running.connected(running.client("bridge"))
    await bridge.publish("payg/v1/ops/UG/x/status", b"old", retain=True)
    ops = await running.connected(running.client("ops", client_id="mosq-1"))
    assert await ops.subscribe("payg/v1/dev/+/up") == DENIED
    assert await ops.subscribe("payg/v1/ops/+/+/status") == 1
    received = await ops.next_message()
    assert (received.payload, received.retain) == (b"old", True)
    await ops.publish("payg/v1/ops/UG/x/status", b"forged", retain=True)
    await bridge.publish("payg/v1/ops/UG/x/status", b"new", retain=True)
    received = await ops.next_message()
    assert (received.payload, received.retain) == (b"new", False)


@pytest.mark.parametrize("code", ["bad_login", "client_id", "will"])
async def test_a_denied_login_gets_its_code_and_no_password_is_logged(running: RunningBroker, code: str):
    if code == "bad_login":
        client, expected = running.device(SERIAL_A, password="guessed-password"), 134
    elif code == "client_id":
        client, expected = running.device(SERIAL_A, client_id="another"), 133
    else:
        client, expected = running.device(SERIAL_A), 135
        client.paho.will_set(STATE_B, b"offline", 1, retain=True)
    assert await client.connect() == expected
    (entry,) = [entry for entry in running.log.entries if entry["event"] == "mqtt_login_denied"]
    assert entry["username"] == NAME_A
    assert "password" not in str(entry["reason"]) or entry["reason"] == "wrong_password"
    assert PASSWORD not in str(entry)
    assert "guessed" not in str(entry)


async def test_logins_that_cannot_tell_are_answered_unavailable(running: RunningBroker):
    running.logins.down = True
    assert await running.device(SERIAL_A).connect() == 136
    running.logins.down = False
    await running.connected(running.device(SERIAL_A))


async def test_a_stranger_does_not_disturb_a_session(running: RunningBroker):
    device = await running.connected(running.device(SERIAL_A))
    await device.subscribe(DOWN_A, qos=0)
    assert await running.device(SERIAL_A, password="wrong").connect() == 134
    assert await running.client("ops", client_id=NAME_A).connect() == 133
    bridge = await running.connected(running.client("bridge"))
    await bridge.publish(DOWN_A, b"still here")
    assert (await device.next_message()).payload == b"still here"


async def test_a_newcomer_takes_over_and_the_older_will_comes_first(running: RunningBroker):
    bridge = await running.connected(running.client("bridge"))
    await bridge.subscribe("payg/v1/dev/+/state")
    older, newcomer = running.device(SERIAL_A), running.device(SERIAL_A)
    for client, boot in ((older, b"1"), (newcomer, b"2")):
        client.paho.will_set(STATE_A, b"offline " + boot, 1, retain=True)
        await running.connected(client)
        await client.publish(STATE_A, b"online " + boot, retain=True)
    await older.wait_gone()
    seen = [(await bridge.next_message()).payload for _ in range(3)]
    assert seen == [b"online 1", b"offline 1", b"online 2"]


async def test_a_device_that_is_killed_gets_in_again_and_its_will_is_retained(running: RunningBroker):
    device = running.device(SERIAL_A)
    device.paho.will_set(STATE_A, b"offline", 1, retain=True)
    await running.connected(device)
    device.cut()
    again = await running.connected(running.device(SERIAL_A))
    assert await again.subscribe(DOWN_A) == 1
    bridge = await running.connected(running.client("bridge"))
    await bridge.subscribe(STATE_A)
    assert (await bridge.next_message()).payload == b"offline"


async def test_no_will_after_a_disconnect(running: RunningBroker):
    bridge = await running.connected(running.client("bridge"))
    await bridge.subscribe("payg/v1/dev/#")
    device = running.device(SERIAL_A)
    device.paho.will_set(STATE_A, b"offline", 1, retain=True)
    await running.connected(device)
    await device.close()
    other = await running.connected(running.device(SERIAL_B))
    await other.publish(UP_B, b"later")
    assert (await bridge.next_message()).payload == b"later"


async def test_what_was_published_before_the_end_arrives(running: RunningBroker):
    bridge = await running.connected(running.client("bridge"))
    await bridge.subscribe("payg/v1/dev/+/up")
    reader, writer = await asyncio.open_connection("127.0.0.1", running.ports.mqtt_port)
    burst = b"".join(publish(UP_A, b"%d" % number, mid=number) for number in range(1, 101))
    writer.write(connect_packet(NAME_A, PASSWORD) + burst + b"\xe0\x00")
    writer.write_eof()
    assert [(await bridge.next_message()).payload for _ in range(100)] == [b"%d" % n for n in range(1, 101)]
    writer.close()
    await writer.wait_closed()
    assert (await reader.read())[:4] == b"\x20\x02\x00\x00"


async def test_the_will_comes_when_the_keep_alive_runs_out(running: RunningBroker):
    bridge = await running.connected(running.client("bridge"))
    await bridge.subscribe(STATE_A)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.ports.mqtt_port)
    writer.write(connect_packet(NAME_A, PASSWORD, keep_alive_s=1, will=(STATE_A, b"offline")))
    assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
    assert (await bridge.next_message()).payload == b"offline"
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_unacknowledged_publications_wait_for_a_persistent_session(running: RunningBroker):
    reader, writer = await asyncio.open_connection("127.0.0.1", running.ports.mqtt_port)
    writer.write(connect_packet("bridge", PASSWORD, clean_session=False))
    writer.write(b"\x82" + sized(b"\x00\x01" + text(UP_A) + b"\x01"))
    assert await reader.readexactly(9) == b"\x20\x02\x00\x00" + b"\x90\x03\x00\x01\x01"
    device = await running.connected(running.device(SERIAL_A))
    await device.publish(UP_A, b"first")
    assert (await reader.readexactly(4))[0] >> 4 == 3  # delivered, and not acknowledged
    writer.close()
    await writer.wait_closed()
    await device.publish(UP_A, b"second")
    bridge = await running.connected(running.client("bridge", clean_session=False))
    assert [(await bridge.next_message()).payload for _ in range(2)] == [b"first", b"second"]


async def test_an_oversized_packet_ends_only_its_connection(running: RunningBroker):
    bridge = await running.connected(running.client("bridge"))
    await bridge.subscribe("payg/v1/dev/+/up")
    device = await running.connected(running.device(SERIAL_A))
    device.paho.publish(UP_A, bytes(256 * 1024), 1)
    await device.wait_gone()
    again = await running.connected(running.device(SERIAL_A))
    await again.publish(UP_A, b"small")
    assert (await bridge.next_message()).payload == b"small"
    assert running.broker.counters["broken_packet_too_large"] == 1


GARBAGE = [
    bytes(range(256)),
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x10\xff\xff\xff\xff\xff",
    b"\x10\x02\x00\x04",
    b"\x30\x05\x00\x03abc",
    b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x3c\x00\x00",
    b"\x10",
    b"",
]


@pytest.mark.parametrize("port", ["mqtt_port", "ws_port"])
async def test_garbage_changes_nothing(running: RunningBroker, port: str):
    device = await running.connected(running.device(SERIAL_A))
    for garbage in GARBAGE:
        reader, writer = await asyncio.open_connection("127.0.0.1", getattr(running.ports, port))
        writer.write(garbage)
        writer.write_eof()
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()
        await writer.wait_closed()
    assert await device.subscribe(DOWN_A) == 1


@pytest.mark.parametrize(
    "packet",
    [
        b"\xf0\x00",
        b"\x00\x00",
        b"\x82\x02\x00\x01",
        b"\x30\x02\x00\x09",
        b"\x34\x07\x00\x03a/b\x00\x01",
        b"\x82\x04\x00\x01\x00\x09",
        b"\x40\x00",
        b"\x30\x05\x00\x03a/#",
    ],
    ids=lambda packet: packet.hex(),
)
async def test_a_broken_packet_ends_its_connection(running: RunningBroker, packet: bytes):
    reader, writer = await asyncio.open_connection("127.0.0.1", running.ports.mqtt_port)
    writer.write(connect_packet(NAME_A, PASSWORD) + packet)
    async with asyncio.timeout(5):
        assert (await reader.read())[:4] == b"\x20\x02\x00\x00"
    writer.close()
    await writer.wait_closed()
    await running.connected(running.device(SERIAL_A))


async def test_a_device_that_came_back_is_not_expired(running: RunningBroker):
    device = await running.connected(running.device(SERIAL_A))
    assert running.broker._engine is not None
    await running.broker._engine._cleanup_session(NAME_A)  # as amqtt's monitor does, a moment too late
    assert await device.subscribe(DOWN_A, qos=0) == 0


async def test_mqtt_5_is_refused_with_its_code(running: RunningBroker):
    reader, writer = await asyncio.open_connection("127.0.0.1", running.ports.mqtt_port)
    writer.write(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00")
    async with asyncio.timeout(5):
        assert await reader.read() == b"\x20\x02\x00\x01"
    writer.close()
    await writer.wait_closed()


async def test_stop_is_quick_and_leaves_nothing_behind(running: RunningBroker):
    broker = EmbeddedBroker(logins=running.logins, log=running.broker._log)
    before = asyncio.all_tasks()
    ports = await broker.start()
    browser = PahoClient(ports.ws_port, "ops", PASSWORD, "browser", transport="websockets")
    assert await browser.connect() == 0
    streams = [await asyncio.open_connection("127.0.0.1", ports.mqtt_port) for _ in range(20)]
    for number, (reader, writer) in enumerate(streams):
        if number % 2:
            writer.write(connect_packet("ops", PASSWORD, client_id=f"ops-{number}"))
            assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
    async with asyncio.timeout(2):
        await broker.stop()
    assert asyncio.all_tasks() == before
    await browser.wait_gone()
    await browser.close()
    for reader, writer in streams:
        with contextlib.suppress(ConnectionResetError):  # an abort may show as a reset
            assert await reader.read() == b""
        writer.close()


async def test_stop_does_not_wait_for_one_who_never_reads(running: RunningBroker):
    broker = EmbeddedBroker(logins=running.logins, log=running.broker._log)
    ports = await broker.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", ports.mqtt_port, limit=1)
    subscribe = b"\x82" + sized(b"\x00\x01" + text("payg/v1/ops/#") + b"\x00")
    writer.write(connect_packet("ops", PASSWORD) + subscribe)
    assert await reader.readexactly(9)
    bridge = PahoClient(ports.mqtt_port, "bridge", PASSWORD, "bridge")
    assert await bridge.connect() == 0
    for _ in range(100):
        await bridge.publish("payg/v1/ops/UG/x/event", bytes(200_000))
    async with asyncio.timeout(2):
        await broker.stop()
    await bridge.wait_gone()
    await bridge.close()
    writer.close()


async def test_a_taken_port_is_an_error(running: RunningBroker):
    for taken in ({"mqtt_port": running.ports.mqtt_port}, {"ws_port": running.ports.ws_port}):
        broker = EmbeddedBroker(logins=running.logins, log=running.broker._log, **taken)
        with pytest.raises(OSError, match="address already in use"):
            await broker.start()


def sized(body: bytes) -> bytes:
    length, size = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        size += bytes([digit | (0x80 if length else 0)])
        if not length:
            return size + body


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(data)) + data


def publish(topic: str, payload: bytes, *, mid: int) -> bytes:
    return b"\x32" + sized(text(topic) + struct.pack(">H", mid) + payload)


def connect_packet(
    username: str,
    password: str,
    *,
    client_id: str | None = None,
    keep_alive_s: int = 60,
    clean_session: bool = True,
    will: tuple[str, bytes] | None = None,
) -> bytes:
    flags = 0xC0 | (0x02 if clean_session else 0) | (0x2C if will else 0)
    body = text("MQTT") + bytes([4, flags]) + struct.pack(">H", keep_alive_s) + text(client_id or username)
    body += b"".join(text(part) for part in will or ())
    return b"\x10" + sized(body + text(username) + text(password))
