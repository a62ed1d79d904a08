"""What a bench of a service is: one kind of request, the modes that answer it, and what it is to reach.

A service has two modules here, found by its name:

    SERVICE_side.py   what the server process builds, and how what it stored is counted
    SERVICE_load.py   its streams of requests; light, since each load process imports it
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from backend.kit.database import Database

CONNECTIONS = 256
MASTER_KEY = bytes(32)
API_KEY = "bench-key"
DEVICES = 2_000  # what a server knows, unless its database was filled before
BRIDGE_FRAMES = 16  # of a request of the bench `bridge`; what waits is a batch, of at most 256 frames
TURN_NUMBERS = 10_000_000  # what one turn may use of the numbers that make its requests unlike all others

BATCH = "batch"  # the service as it is
ORDINARY = "ordinary"  # one transaction a request, ordinary statements
SINGLE = "single"  # the service's own statements, one request a batch
MODE_NAMES = {
    BATCH: "in batches",
    ORDINARY: "one transaction a request",
    SINGLE: "the batch's code, one request each",
}


@dataclass(frozen=True, slots=True)
class Bench:
    """A row of table.py. `seed` is what the seeds ask for.

    `items` are what one request carries, and what is counted: frames of the bridge's batches, otherwise 1.
    """

    name: str
    service: str
    goal_per_s: int
    seed: str
    goal_p99_ms: int | None = None
    modes: tuple[str, ...] = (BATCH, ORDINARY)
    items: int = 1
    connections: int = CONNECTIONS
    seconds: Mapping[str, float] = field(default_factory=lambda: {BATCH: 2.5})  # of a turn; 1.5 otherwise

    @property
    def stream(self) -> str:
        """Where SERVICE_load.py has its requests."""
        return self.name.lower().replace("/", "_").strip("_").replace(" ", "_")


@dataclass(frozen=True, slots=True)
class Turn:
    """One load: its number among those that the same server gets, and numbers that no other turn has.

    devices: how many customers and devices the server knows.
    """

    number: int
    numbers: Iterator[int]
    devices: int = DEVICES


def serial(number: int) -> str:
    """The device of customer `number`, in every service."""
    return f"SCBLNX/A/BT/{100_000 + number}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What every answer must be: this status, and this text somewhere in head or body."""

    status: bytes
    text: bytes = b""


# The requests of one of CONNECTIONS connections, each sent on the answer to the one before. What is made
# before the first `next` is made before the clock starts.
Stream = Callable[[Turn, int], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Running:
    """A service that answers, in the server process."""

    app: web.Application
    stop: Callable[[], Awaitable[None]]


class Side(Protocol):
    """What SERVICE_side.py offers."""

    async def start(self, database: Database, bench: str, mode: str) -> Running:
        """Build the service in `mode` with everything that the requests of `bench` refer to."""
        ...

    async def stored(self, database: Database, bench: str) -> int | None:
        """How many items are stored, or None if none ever are; raises if they are not sound."""
        ...
