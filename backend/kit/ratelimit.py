"""A rate limit: so many requests a window and caller; the window starts with a caller's first request."""

from backend.kit.errors import TooManyRequests
from backend.kit.runtime import Clock

# Of an address at paths that need no key. Carriers put thousands of devices behind one address, and a device
# asks for firmware a few times a day; a host answers thousands a second, so one stranger has a small part.
OPEN, OPEN_WINDOW_S = 200, 1
MAX_CALLERS = 10_000  # remembered at once; beyond it the oldest window is forgotten


class RateLimit:
    """`limit` requests in `window_s` seconds for each caller, in this process."""

    def __init__(self, *, limit: int, window_s: int, clock: Clock):
        self.policy = f"{limit};w={window_s}"  # as the RateLimit-Policy header says it
        self._limit = limit
        self._window_ms = window_s * 1000
        self._clock = clock
        self._windows: dict[str, tuple[int, int]] = {}  # caller: (start, requests), oldest start first

    @classmethod
    def of_strangers(cls, clock: Clock) -> "RateLimit":
        """What an address may ask of paths that need no key."""
        return cls(limit=OPEN, window_s=OPEN_WINDOW_S, clock=clock)

    def take(self, caller: str) -> None:
        """Count a request of `caller`. Raises TooManyRequests, with when to come back, beyond the limit."""
        now_ms = self._clock.now_ms()
        start_ms, taken = self._windows.get(caller, (now_ms, 0))
        if not 0 <= now_ms - start_ms < self._window_ms:  # over, or the clock was set back
            start_ms, taken = now_ms, 0
        if taken >= self._limit:
            left_ms = start_ms + self._window_ms - now_ms
            raise TooManyRequests(
                f"over {self._limit} requests in {self._window_ms // 1000} s; slow down",
                retry_after_s=max(1, -(-left_ms // 1000)),
            )
        if taken == 0:
            self._windows.pop(caller, None)
            if len(self._windows) >= MAX_CALLERS:
                del self._windows[next(iter(self._windows))]
        self._windows[caller] = (start_ms, taken + 1)
