"""Who waits for which payment: a long poll sleeps here until a commit wakes it."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager


class Watch:
    """Events by payment id, kept only while somebody waits."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def on(self, payment_id: str) -> Generator[asyncio.Event]:
        """An event that is set after every change of the payment. Read the payment after entering."""
        event = asyncio.Event()
        waiters = self._waiters.setdefault(payment_id, set())
        waiters.add(event)
        try:
            yield event
        finally:
            waiters.discard(event)
            if not waiters:
                self._waiters.pop(payment_id, None)

    def wake(self, payment_id: str) -> None:
        """The payment's change is committed."""
        for event in self._waiters.get(payment_id, ()):
            event.set()
