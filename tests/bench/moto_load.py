"""What Moto is asked: tokens of devices that the registry knows, and of as many that nobody registered."""

from collections.abc import Iterator

from tests.bench.bench import API_KEY, Answer, Turn, serial
from tests.bench.http import post

ANSWERS = {"stateless token": Answer(b"200", b'"status":"ok","token":"')}


def stateless_token(turn: Turn, _connection: int) -> Iterator[bytes]:
    """Days for devices in no order."""
    request = post("/api/v1/tokens/stateless/generate", API_KEY=API_KEY, Content_Type="application/json")
    body = (
        b'{"device":"%b","command":"unlock_relative","payload":%d,"sequence_number":%d,'
        b'"secret":"00112233AABBCC"}'
    )
    for number in turn.numbers:
        device = serial(number * 7919 % (2 * turn.devices))
        yield request(body % (device.encode(), 1 + number % 90, 1 + number % 8000))
