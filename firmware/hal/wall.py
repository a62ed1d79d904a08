"""The board's time of day, which the check of a certificate needs: asked over SNTP while it is not set.

A board wakes up in the year 2000 or 2021. Without an answer within PATIENCE_MS the connection is tried
all the same: the TLS of some boards knows no time. Credit never looks at this clock.
"""

import time

from firmware import datagrams
from firmware.hal.udp import Lookup, Udp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_MS = 6_000  # three questions
AGAIN_MS = 600_000
FIRST_SANE_YEAR = 2025

_NONCE_BYTES = 8


class Wall:
    """Asks `host` while the clock is not set, and gives what it says to `set_clock(unix_s)`."""

    __slots__ = ("_again_ms", "_asking_since_ms", "_entropy", "_host", "_lookup", "_question", "_set", "_udp")

    def __init__(self, host: str, set_clock: "Callable[[int], None]", entropy: "Callable[[int], bytes]"):
        self._host = host
        self._set = set_clock
        self._entropy = entropy
        self._lookup: Lookup | None = None
        self._udp: Udp | None = None
        self._question = b""
        self._asking_since_ms = -1
        self._again_ms = 0

    def poll(self, now_ms: int, dns: str) -> bool:
        """Whether connections may be made: the clock is set, or nobody says what time it is."""
        if now_ms < self._again_ms or is_set():
            return True
        if self._asking_since_ms < 0:
            self._asking_since_ms = now_ms
        try:
            self._ask(now_ms, dns)
        except OSError:
            self._give_up(now_ms)
            return True
        if not is_set() and now_ms - self._asking_since_ms < PATIENCE_MS:
            return self._again_ms > 0  # later questions end no connection that stands
        self._give_up(now_ms)
        return True

    def _ask(self, now_ms: int, dns: str) -> None:
        if self._udp is None:
            address = self._address(now_ms, dns)
            if not address:
                return
            self._udp = Udp(address, datagrams.NTP_PORT)
            self._question = datagrams.time_question(self._entropy(_NONCE_BYTES))
        unix_s = datagrams.time_answer(self._question, self._udp.exchange(self._question, now_ms))
        if unix_s:
            self._set(unix_s)

    def _address(self, now_ms: int, dns: str) -> str:
        if not dns:
            return self._host
        if self._lookup is None:
            self._lookup = Lookup(dns, self._host)
        return self._lookup.poll(now_ms)

    def _give_up(self, now_ms: int) -> None:
        """Or be done: the sockets are closed, and if the clock is still not set it is tried later."""
        self._again_ms = now_ms + AGAIN_MS
        self._asking_since_ms = -1
        for asked in (self._lookup, self._udp):
            if asked is not None:
                asked.close()
        self._lookup = self._udp = None


def is_set() -> bool:
    """Whether the system's time of day can be right."""
    return time.gmtime()[0] >= FIRST_SANE_YEAR
