"""The load of the confirm benchmark: keep-alive connections, each paying again on the last answer.

Raw protocols on uvloop, so that the load costs little of the machine that the server needs. Prints one line
of JSON.
"""

import argparse
import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import cast

import uvloop

from tests.bench.confirm_server import ACCOUNTS, API_KEY, PRICE_SUBUNIT

WARM_UP_S = 0.5  # not counted: the first batches fill caches and compile statements


class Payer(asyncio.Protocol):
    """One connection."""

    def __init__(self, bodies: Iterator[bytes], port: int):
        head = (
            f"POST /confirm_payment HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAPI-KEY: {API_KEY}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        )
        self._head = head.encode()
        self._bodies = bodies
        self._received = b""
        self._sent_at = 0.0
        self.answers: list[tuple[float, float, bytes]] = []  # (when, seconds, status)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        now = time.perf_counter()
        self.answers.append((now, now - self._sent_at, self._received[9:12]))
        self._received = b""
        self._send()

    def _send(self) -> None:
        body = next(self._bodies)
        self._sent_at = time.perf_counter()
        self._transport.write(self._head + b"%d\r\n\r\n" % len(body) + body)


_BODY = (
    b'{"reference":"%d","amount_subunit":%d,"currency":"UGX","sender_phone_number":"256700000001",'
    b'"provider_tx":"MP%012d","provider_key":"ug_mtn_mobilemoney","momoep_id":"%d",'
    b'"business_account":"600100","received_at":"2025-12-01T10:30:00Z"}'
)


def payments(first: int) -> Iterator[bytes]:
    """Bodies of payments, each with a key of its own, going round the accounts; each buys 1 to 3 days."""
    for number in itertools.count(first):
        reference = 100_000 + number * 7919 % ACCOUNTS
        yield _BODY % (reference, PRICE_SUBUNIT * (1 + number % 3), number, number)


async def load(port: int, *, connections: int, seconds: float, first: int) -> dict[str, object]:
    """Pay for `seconds` and say how it went."""
    loop = asyncio.get_running_loop()
    bodies = payments(first)
    started = time.perf_counter()
    payers = [
        (await loop.create_connection(lambda: Payer(bodies, port), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(WARM_UP_S + seconds)
    since, until = started + WARM_UP_S, time.perf_counter()
    answers = [answer for payer in payers for answer in payer.answers]
    counted = [answer for answer in answers if since <= answer[0] <= until]
    latencies = sorted(latency for _, latency, _ in counted)
    return {
        "answered": len(answers),
        "per_s": len(counted) / (until - since),
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
        "statuses": Counter(status.decode() for _, _, status in answers),
    }


def main() -> None:
    """Parse the command line, load, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    result = uvloop.run(
        load(options.port, connections=options.connections, seconds=options.seconds, first=options.first)
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
