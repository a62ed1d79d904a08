"""The load process: keep-alive connections, each sending its next request on the last answer.

    python -m tests.bench.load BENCH PORT --turn N --seconds S [--devices N] [--prefix PATH]

Raw protocols on uvloop, so that the load costs little of the machine that the server needs. Each answer's
status and text are checked. Prints one line of JSON.
"""

import argparse
import asyncio
import itertools
import json
import resource
import time
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from typing import cast

import uvloop

from tests.bench.bench import DEVICES, TURN_NUMBERS, Answer, Stream, Turn
from tests.bench.table import BENCHES

WARM_UP_S = 0.5  # not counted: the first batches fill caches and compile statements
LENGTH = b"\r\nContent-Length: "


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: Iterator[bytes], expected: Answer, wrong: Counter[str]):
        self._requests = requests
        self._request = next(requests)
        self._expected = expected
        self._wrong = wrong
        self._received = b""
        self._sent_at = 0.0
        self.answers: list[tuple[float, float]] = []  # (when, seconds)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def start(self) -> None:
        """Send the first request."""
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def stop(self) -> None:
        """Send no more; what is on its way is not waited for."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data if self._received else data
        head = received.find(b"\r\n\r\n")
        if head < 0 or len(received) < head + 4 + _length(received, head):
            return
        now = time.perf_counter()
        self.answers.append((now, now - self._sent_at))
        if received[9:12] != self._expected.status or self._expected.text not in received:
            self._wrong[received.decode("utf-8", "replace")] += 1
        self._received = b""
        request = next(self._requests)
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def _length(received: bytes, head: int) -> int:
    at = received.find(LENGTH, 0, head)
    if at < 0:
        return 0  # such as 204
    return int(received[at + len(LENGTH) : received.index(b"\r\n", at + len(LENGTH))])


async def load(
    bench: str, port: int, *, turn: int, seconds: float, devices: int, prefix: str
) -> dict[str, object]:
    """Send for `seconds` and say how it went."""
    service = import_module(f"tests.bench.{BENCHES[bench].service}_load")
    stream: Stream = getattr(service, BENCHES[bench].stream)
    expected: Answer = service.ANSWERS[bench]
    numbers = Turn(turn, itertools.count(turn * TURN_NUMBERS), devices)
    wrong: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    connections = [
        Connection(_below(prefix, stream(numbers, index)), expected, wrong)
        for index in range(BENCHES[bench].connections)
    ]
    for each in connections:
        await loop.create_connection(lambda each=each: each, "127.0.0.1", port)
    started, cpu = time.perf_counter(), _cpu_s()
    for each in connections:
        each.start()
    await asyncio.sleep(WARM_UP_S + seconds)
    since, until = started + WARM_UP_S, time.perf_counter()
    cpu = _cpu_s() - cpu
    for each in connections:
        each.stop()
    answers = [answer for each in connections for answer in each.answers]
    latencies = sorted(latency for at, latency in answers if since <= at <= until)
    return {
        "answered": len(answers),
        "per_s": len(latencies) / (until - since),
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
        "load_us": cpu / len(answers) * 1e6,
        "wrong": dict(wrong.most_common(3)),
    }


def _below(prefix: str, requests: Iterator[bytes]) -> Iterator[bytes]:
    """The requests to a service that is mounted below `prefix`."""
    if not prefix:
        return requests
    return (request.replace(b" /", b" %b/" % prefix.encode(), 1) for request in requests)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Parse the command line, load, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bench", choices=BENCHES)
    parser.add_argument("port", type=int)
    parser.add_argument("--turn", type=int, default=0)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--devices", type=int, default=DEVICES)
    parser.add_argument("--prefix", default="")
    options = parser.parse_args()
    result = uvloop.run(
        load(
            options.bench,
            options.port,
            turn=options.turn,
            seconds=options.seconds,
            devices=options.devices,
            prefix=options.prefix,
        )
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
