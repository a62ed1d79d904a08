"""What M2M is asked: commands for devices, and sealed frames of a status, alone or as a bridge gets them."""

import base64
import itertools
import time
from collections.abc import Iterator

import msgspec

from protocols import topics
from protocols.magicbox import seal, wire
from tests.bench.bench import API_KEY, BRIDGE_FRAMES, CONNECTIONS, Answer, Turn, serial
from tests.bench.http import post

BRIDGE_PATH = "/bench/up"  # of the server process, not of the service: frames on their way to the pump
FRAMES_A_TURN = 500_000  # of one device; its sequences and records go on with the next turn
READY = 256  # frames that a connection has before the clock starts; more are made when they are used up
ROUND = 5  # commands go to so many times the devices that are registered: the others are created by the first

ANSWERS = {
    "/m2m/command": Answer(b"201", b'"status":"created"'),
    "/v1/log": Answer(b"200", b"MB"),
    "bridge": Answer(b"200", b"%d answered" % BRIDGE_FRAMES),
}


def link_key(number: int) -> bytes:
    """Of device `number`."""
    return number.to_bytes(16, "big")


def password(number: int) -> str:
    """Of device `number`."""
    return f"password-of-device-{number:012}"


def m2m_command(turn: Turn, _connection: int) -> Iterator[bytes]:
    """Tokens for devices in no order, each with a callback to a public address."""
    request = post("/m2m/command", X_API_Key=API_KEY, Content_Type="application/json")
    body = (
        b'{"identifier":{"kind":"serial","value":"%b"},"callback_url":"https://93.184.216.34/replies/%d",'
        b'"command":{"name":"unlock_token","details":{"unlock_code":"%09d"}}}'
    )
    for number in turn.numbers:
        device = number * 7919 % (ROUND * turn.devices)
        yield request(body % (serial(device).encode(), number, number % 10**9))


def v1_log(turn: Turn, connection: int) -> Iterator[bytes]:
    """Check-ins of this connection's devices in turn."""
    devices = range(connection, turn.devices, CONNECTIONS)
    requests = {
        number: post("/v1/log", Authorization=_basic(number), Content_Type="application/octet-stream")
        for number in devices
    }
    return _ready(requests[number](frame) for number, frame in _frames(turn, devices))


def bridge(turn: Turn, connection: int) -> Iterator[bytes]:
    """BRIDGE_FRAMES packets at a time, as (topic, payload)."""
    request = post(BRIDGE_PATH, Content_Type="application/msgpack")
    devices = range(connection, turn.devices, CONNECTIONS)
    packets = ((topics.up(serial(number)), frame) for number, frame in _frames(turn, devices))
    bodies = (list(itertools.islice(packets, BRIDGE_FRAMES)) for _ in itertools.count())
    return _ready((request(msgspec.msgpack.encode(body)) for body in bodies), READY // BRIDGE_FRAMES)


def _frames(turn: Turn, devices: range) -> Iterator[tuple[int, bytes]]:
    """(device, frame), each frame the device's next, with one new record."""
    keys = {number: seal.LinkKeys(link_key(number), seal.UP) for number in devices}
    now_s = int(time.time())
    for record in itertools.count(turn.number * FRAMES_A_TURN + 1):
        status = wire.Status(record, now_s, 60, 86_400, 1, 0, 3300, 6100, 250, 235, 3, b"\x01\x00\x00")
        body = wire.encode_records([status])
        for number in devices:
            yield number, seal.seal(keys[number], 0, record, body, True)


def _ready(requests: Iterator[bytes], count: int = READY) -> Iterator[bytes]:
    """The same, the first `count` made on the first `next`, before the clock starts."""
    yield from list(itertools.islice(requests, count))
    yield from requests


def _basic(number: int) -> str:
    login = f"{topics.encode_serial(serial(number))}:{password(number)}"
    return "Basic " + base64.b64encode(login.encode()).decode()
