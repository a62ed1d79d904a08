"""A feed: outbox rows that somebody else (the bridge) pulls, by long poll, and confirms.

The same lease as for a handler: an unconfirmed item comes again. See bridge/feed.py for the other end.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from backend.kit.commits import Kinds
from backend.kit.database import Database
from backend.kit.outbox import Leased, Outbox
from backend.kit.runtime import Clock

MAX_ITEMS = 256  # one lease: what the bridge can publish well within LEASE_MS


@dataclass(frozen=True, slots=True)
class FeedItem:
    """What goes out: on a device's `down` topic or, by its kind, on an ops topic; final bytes."""

    id: int
    serial: str
    market: str
    channel: str  # "down", or a kind of ops topic
    payload: bytes


@dataclass(frozen=True, slots=True)
class OpsEvent:
    """A JSON document for the ops topics of one device."""

    serial: str
    market: str
    kind: str
    payload: bytes


class RowFeed:
    """Leases rows of `kinds` and waits for new ones. Services turn rows into FeedItems."""

    def __init__(self, *, outbox: Outbox, database: Database, clock: Clock, kinds: Sequence[str]):
        self._outbox = outbox
        self._database = database
        self._clock = clock
        self._kinds = tuple(kinds)
        self._wake = asyncio.Event()
        database.on_outbox(self._put)

    def _put(self, kinds: Kinds) -> None:
        if not kinds.isdisjoint(self._kinds):
            self._wake.set()

    async def wait(self, wait_s: float) -> bool:
        """Whether a row is due, waiting up to `wait_s` seconds for one."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while True:
            self._wake.clear()
            due_at_ms = await self._database.read(lambda c: self._outbox.next_due_ms(c, self._kinds))
            now_ms = self._clock.now_ms()
            if due_at_ms is not None and due_at_ms <= now_ms:
                return True
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                return False
            until_due_s = left_s if due_at_ms is None else (due_at_ms - now_ms) / 1000
            try:
                async with asyncio.timeout(min(left_s, until_due_s)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def lease(self, connection: Connection, limit: int) -> list[Leased]:
        """Due rows of this feed's kinds, in the caller's transaction."""
        return self._outbox.lease(connection, self._kinds, min(limit, MAX_ITEMS), self._clock.now_ms())
