"""Whose turn it is: one connection at a time, since a board has memory for one TLS socket.

    order       the links as configured; the first that works is used
    failures    pauses that double from FIRST_PAUSE_MS to LONGEST_PAUSE_MS, a quarter of each by chance, until
                LONGEST_PAUSE_MS went well (a broker that logs in and throws out is not called each second);
                after FAILURES in a row the next link, and BACK_MS later the first again, for one try
    download    before the links, when the back end was reached since its last failure; a link that holds the
                connection makes room; its own pauses are longer, so that the links have the time between

pump.py asks `choose` when nobody is connected, `should_leave` while somebody is, and tells how it ended.
"""

from firmware.conversation import NEVER_MS, Conversation

FIRST_PAUSE_MS = 1_000  # not below 1 s: access points that were away refuse whoever comes back at once
LONGEST_PAUSE_MS = 60_000
FAILURES = 3
BACK_MS = 1_800_000
FIRST_DOWNLOAD_PAUSE_MS = 30_000
LONGEST_DOWNLOAD_PAUSE_MS = 1_800_000

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class _Pause:
    """Doubles with every failure."""

    __slots__ = ("_first_ms", "_longest_ms", "_next_ms", "ends_ms")

    def __init__(self, first_ms: int, longest_ms: int):
        self._first_ms = first_ms
        self._longest_ms = longest_ms
        self._next_ms = first_ms
        self.ends_ms = 0

    def begin(self, now_ms: int, chance: int) -> None:
        """`chance`: 0 to 255, for up to a quarter more. What did not fail for long begins anew."""
        if now_ms - self.ends_ms >= self._longest_ms:
            self._next_ms = self._first_ms
        self.ends_ms = now_ms + self._next_ms + self._next_ms * chance // 1024
        self._next_ms = min(2 * self._next_ms, self._longest_ms)

    def end(self) -> None:
        self._next_ms = self._first_ms


class Dialer:
    """`links` in order, at least one; `entropy(count)` gives bytes for the chance in pauses."""

    __slots__ = (
        "_at",
        "_back_at_ms",
        "_download_pause",
        "_entropy",
        "_failures",
        "_links",
        "_may_download",
        "_pause",
        "download",
    )

    def __init__(self, links: "list[Conversation]", entropy: "Callable[[int], bytes]"):
        self._entropy = entropy
        self._pause = _Pause(FIRST_PAUSE_MS, LONGEST_PAUSE_MS)
        self._download_pause = _Pause(FIRST_DOWNLOAD_PAUSE_MS, LONGEST_DOWNLOAD_PAUSE_MS)
        self._may_download = False
        self.download: Conversation | None = None  # what an update wants now
        self.order(links)

    def order(self, links: "list[Conversation]") -> None:
        """Other links, or another order: begin with the first."""
        self._links = links
        self._at = 0
        self._failures = 0
        self._back_at_ms = 0

    def choose(self, now_ms: int) -> "tuple[Conversation | None, int]":
        """Who connects now, or None and ms until the next look."""
        download_ms = self._download_ms(now_ms)
        if not download_ms and self.download is not None:
            return self.download, 0
        if self._is_time_to_go_back(now_ms):
            self._at = 0
            self._failures = FAILURES - 1
        link = self._links[self._at]
        wait_ms = max(self._pause.ends_ms - now_ms, link.due_ms(now_ms))
        if wait_ms <= 0:
            return link, 0
        return None, min(wait_ms, download_ms)

    def should_leave(self, current: Conversation, now_ms: int) -> bool:
        """Whether the one that is connected must make room."""
        if current is self.download:
            return False
        return (
            current is not self._links[self._at]
            or not self._download_ms(now_ms)
            or self._is_time_to_go_back(now_ms)
        )

    def reached(self, current: Conversation) -> None:
        """The other side answered as it should."""
        if current is self.download:
            self._download_pause.end()
            return
        self._may_download = True
        self._failures = 0

    def failed(self, current: Conversation, now_ms: int) -> None:
        """The connection did not come, or broke; also when it had been reached before."""
        chance = self._entropy(1)[0]
        if current is self.download:
            self._may_download = False
            self._download_pause.begin(now_ms, chance)
            return
        self._pause.begin(now_ms, chance)
        if current is not self._links[self._at]:
            return
        self._failures += 1
        if self._failures < FAILURES or len(self._links) == 1:
            return
        if not self._at:
            self._back_at_ms = now_ms + BACK_MS
        self._failures = 0
        self._at = (self._at + 1) % len(self._links)
        self._pause.ends_ms = now_ms + FIRST_PAUSE_MS  # what follows doubles on: it may be the network

    def _download_ms(self, now_ms: int) -> int:
        """ms until the download may begin."""
        if self.download is None or not self._may_download:
            return NEVER_MS
        return max(self._download_pause.ends_ms - now_ms, self.download.due_ms(now_ms), 0)

    def _is_time_to_go_back(self, now_ms: int) -> bool:
        return self._at > 0 and now_ms >= self._back_at_ms
