"""The outside world as arguments: time and randomness. A whole world can run on one seeded, virtual clock."""

import secrets
import time
import uuid
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

FIRST_S = -62_135_596_800  # 0001-01-01T00:00:00Z
LAST_S = 253_402_300_799  # 9999-12-31T23:59:59Z


class Clock(Protocol):
    """Wall time. Durations and time-outs come from the event loop instead."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...


class Entropy(Protocol):
    """Where ids and secrets come from."""

    def token_bytes(self, size: int) -> bytes:
        """`size` random bytes."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class SystemEntropy:
    """The operating system's generator."""

    def token_bytes(self, size: int) -> bytes:
        return secrets.token_bytes(size)


def token_hex(entropy: Entropy, size: int = 16) -> str:
    """`size` random bytes in hex."""
    return entropy.token_bytes(size).hex()


def uuid4(entropy: Entropy) -> str:
    """A random (version 4) UUID, the form that provider contracts ask for."""
    return str(uuid.UUID(bytes=entropy.token_bytes(16), version=4))


def iso(at_ms: int) -> str:
    """UTC, ISO 8601 with `Z`, whole seconds: "2025-12-01T10:30:00Z" (resolutions 5).

    A time before the year 1 or after 9999, which an offset can make of a good one, is the calendar's end.
    """
    return _iso(min(max(at_ms // 1000, FIRST_S), LAST_S))


@lru_cache(1024)
def _iso(at_s: int) -> str:
    """Remembered: the rows of a batch are of the same few seconds."""
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None).isoformat() + "Z"


def parse_iso(text: str) -> int:
    """Milliseconds of an ISO 8601 time; one without an offset is taken as UTC. ValueError otherwise."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
