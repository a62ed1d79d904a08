"""Who hears of a commit that put rows into the outbox: both kinds of database tell it alike (database.py)."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")
Work = Callable[[Connection], T]
Kinds = frozenset[str]  # of outbox rows
Listener = Callable[[Kinds], None]


class OutboxSignal:
    """Remembers who wants to know of new outbox rows; `Outbox.put` marks the transaction."""

    MARK = "payg.outbox"

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def on_outbox(self, listener: Listener) -> None:
        """See `Database.on_outbox`."""
        self._listeners.append(listener)

    def marking(self, connection: Connection, work: Work[T]) -> tuple[T, Kinds]:
        """Run `work`; its result, and the kinds of the rows that it put."""
        connection.info.pop(self.MARK, None)  # of a transaction that was rolled back on this connection
        result = work(connection)
        return result, frozenset(connection.info.pop(self.MARK, ()))

    def committed(self, kinds: Kinds) -> None:
        """Tell everybody, if the transaction put something."""
        if kinds:
            for listener in self._listeners:
                listener(kinds)

    async def told(self, transaction: "asyncio.Future[tuple[T, Kinds]]") -> T:
        """The result of a running `marking`. If the caller is cancelled, it runs on and everybody is told."""
        transaction.add_done_callback(self._ended)
        result, _ = await asyncio.shield(transaction)
        return result

    def _ended(self, transaction: "asyncio.Future[tuple[Any, Kinds]]") -> None:
        if not transaction.cancelled() and transaction.exception() is None:
            self.committed(transaction.result()[1])
