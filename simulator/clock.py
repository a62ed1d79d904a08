"""A clock that stands still until it is moved, and entropy from a seed: what makes a run repeatable."""

import random


class ManualClock:
    """A `Clock` that moves only by `advance`."""

    def __init__(self, now_ms: int):
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return self._now_ms

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self._now_ms += int(seconds * 1000)


class SeededEntropy:
    """An `Entropy` that gives the same bytes for the same seed."""

    def __init__(self, seed: int):
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose; never in production

    def token_bytes(self, size: int) -> bytes:
        """`size` bytes."""
        return self._random.randbytes(size)
