"""An outbox on a database of its own, and a handler with prepared outcomes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import MetaData, select

from backend.kit.database import Database, open_database
from backend.kit.outbox import (
    Done,
    Leased,
    Outbox,
    Outcome,
    Outgoing,
)
from simulator.clock import ManualClock


class Box:
    """An outbox on a database of its own."""

    def __init__(self, database: Database, clock: ManualClock):
        metadata = MetaData()
        self.outbox = Outbox(metadata)
        self.metadata = metadata
        self.database = database
        self.clock = clock

    async def put(self, *rows: Outgoing) -> None:
        await self.database.write(lambda c: self.outbox.put(c, rows, self.clock.now_ms()))

    async def lease(self, limit: int = 10, kind: str = "k") -> list[Leased]:
        return await self.database.write(lambda c: self.outbox.lease(c, [kind], limit, self.clock.now_ms()))

    async def rows(self) -> list[tuple[str, str, int]]:
        table = self.outbox.table
        statement = select(table.c.key, table.c.state, table.c.attempts).order_by(table.c.id)
        return [tuple(row) for row in await self.database.read(lambda c: c.execute(statement).all())]

    async def empty(self) -> None:
        async with asyncio.timeout(10):
            while any(state == "waiting" for _, state, _ in await self.rows()):
                await asyncio.sleep(0.002)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = open_database(database_url, "kit")
    yield database
    await database.close()


@pytest.fixture
async def box(database: Database, clock: ManualClock) -> Box:
    box = Box(database, clock)
    await database.write(box.metadata.create_all)
    return box


def out(key: str, kind: str = "k", **payload: object) -> Outgoing:
    return Outgoing(kind, key, payload)


class Answers:
    """A handler that gives prepared outcomes, then Done."""

    def __init__(self, *outcomes: Outcome | Exception):
        self.outcomes = list(outcomes)
        self.seen: list[Leased] = []
        self.called = asyncio.Event()

    async def __call__(self, row: Leased) -> Outcome:
        self.seen.append(row)
        self.called.set()
        outcome = self.outcomes.pop(0) if self.outcomes else Done()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.seen) < count:
                self.called.clear()
                await self.called.wait()
