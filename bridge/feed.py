"""The way down: leases from a service's feed, publishes, and confirms when the broker has it.

Between publish and confirm a crash or a lost connection means the item goes out again: receivers know repeats
by their sequence numbers.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from bridge import core
from bridge.backoff import Backoff
from bridge.core import Publication
from bridge.mqtt import MqttLink
from bridge.ports import Feed, FeedItem

_MAX_LEASED = 100
"""Published and confirmed well within a lease, and below paho's inflight limit."""
_WAIT_S = 10.0
"""One long poll."""

_T = TypeVar("_T")


class FeedPump:
    """Moves one feed's items to the broker."""

    def __init__(
        self,
        *,
        link: MqttLink,
        feed: Feed,
        backoff: Backoff,
        counters: Counter[str],
        log: FilteringBoundLogger,
    ) -> None:
        self._link = link
        self._feed = feed
        self._backoff = backoff
        self._counters = counters
        self._log = log

    async def run(self) -> None:
        """Move items until cancelled; nothing is leased while there is no broker."""
        failures = 0
        while True:
            await self._link.session()
            items = await self._try(self._feed.lease(limit=_MAX_LEASED, wait_s=_WAIT_S))
            if items:
                await self._link.publish(self._as_publications(items))
                if await self._try(self._confirm(items)):
                    self._counters["feed_items"] += len(items)
                else:
                    items = None
            failures = failures + 1 if items is None else 0
            if failures:
                await asyncio.sleep(self._backoff.delay_s(failures))

    def _as_publications(self, items: Sequence[FeedItem]) -> list[Publication]:
        """Skip an item that no topic fits; it is counted, and confirmed with the others."""
        publications: list[Publication] = []
        for item in items:
            try:
                publications.append(core.feed_item(item))
            except ValueError as error:
                self._counters["feed_items_dropped"] += 1
                self._log.error("feed_item_dropped", item=item.id, reason=str(error))
        return publications

    async def _confirm(self, items: Sequence[FeedItem]) -> bool:
        await self._feed.confirm([item.id for item in items])
        return True

    async def _try(self, asked: Awaitable[_T]) -> _T | None:
        """Return the answer, None after any failure of the service, which is logged."""
        (outcome,) = await asyncio.gather(asked, return_exceptions=True)
        if not isinstance(outcome, BaseException):
            return outcome
        if not isinstance(outcome, Exception):
            raise outcome
        self._counters["feed_failures"] += 1
        self._log.error("feed_failed", error=type(outcome).__name__)
        return None
