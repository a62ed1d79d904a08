"""The outbox and its dispatcher: leases, retries, backoff, dead letters, restarts; and feeds."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from sqlalchemy import Connection, MetaData, select

from backend.kit.database import Database, open_database
from backend.kit.errors import Unavailable
from backend.kit.feed import RowFeed
from backend.kit.outbox import (
    LEASE_MS,
    Dead,
    Dispatcher,
    Done,
    Handler,
    Leased,
    Outbox,
    Outcome,
    Outgoing,
    Policy,
    Retry,
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
async def box(database_url: str, clock: ManualClock) -> AsyncIterator[Box]:
    database = open_database(database_url, "kit")
    box = Box(database, clock)
    await database.write(box.metadata.create_all)
    yield box
    await database.close()


def out(key: str, kind: str = "k", **payload: object) -> Outgoing:
    return Outgoing(kind, key, payload)


async def test_rows_are_leased_oldest_first_and_to_one_only(box: Box) -> None:
    await box.put(out("a", n=1), out("b"), out("c"))
    first = await box.lease(2)
    assert [(row.key, row.attempt) for row in first] == [("a", 1), ("b", 1)]
    assert first[0].payload == {"n": 1}
    assert [row.key for row in await box.lease()] == ["c"]
    assert await box.lease() == []


async def test_put_is_idempotent_by_kind_and_key(box: Box) -> None:
    await box.put(out("a", n=1))
    await box.put(out("a", n=2), out("a", kind="other"))
    assert [row.payload for row in await box.lease()] == [{"n": 1}]
    assert len(await box.lease(kind="other")) == 1


async def test_a_lease_runs_out(box: Box) -> None:
    await box.put(out("a"))
    await box.lease()
    box.clock.advance(LEASE_MS / 1000 - 0.001)
    assert await box.lease() == []
    box.clock.advance(0.001)
    assert [row.attempt for row in await box.lease()] == [2]


async def test_a_row_may_be_due_later_or_cancelled(box: Box) -> None:
    later_ms = box.clock.now_ms() + 5000
    await box.put(Outgoing("k", "a", {}, due_at_ms=later_ms), Outgoing("k", "b", {}, due_at_ms=later_ms))
    assert await box.lease() == []
    assert await box.database.read(lambda c: box.outbox.next_due_ms(c, ["k"])) == later_ms
    await box.database.write(lambda c: box.outbox.cancel(c, "k", ["a"]))
    box.clock.advance(5)
    assert [row.key for row in await box.lease()] == ["b"]


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


def dispatcher(
    box: Box,
    handlers: Mapping[str, Handler],
    policies: Mapping[str, Policy] | None = None,
    concurrency: int = 4,
) -> Dispatcher:
    return Dispatcher(
        outbox=box.outbox,
        database=box.database,
        clock=box.clock,
        handlers=handlers,
        policies=policies or {},
        service="kit",
        concurrency=concurrency,
    )


async def test_a_commit_wakes_the_dispatcher_and_done_removes_the_row(box: Box) -> None:
    answers = Answers()
    running = dispatcher(box, {"k": answers})
    await running.start()
    await box.put(out("a"), out("x", kind="feed"))
    await answers.until(1)
    async with asyncio.timeout(10):
        while running.counters["done"] < 1:
            await asyncio.sleep(0.002)
    assert [key for key, _, _ in await box.rows()] == ["x"]  # not its kind: a feed's
    await running.stop()


async def test_done_writes_what_follows_in_the_same_transaction(box: Box) -> None:
    def follow(connection: Connection) -> None:
        box.outbox.put(connection, [out("b", kind="next")], box.clock.now_ms())

    first, following = Answers(Done(follow)), Answers()
    running = dispatcher(box, {"k": first, "next": following})
    await running.start()
    await box.put(out("a"))
    await following.until(1)
    await box.empty()
    assert await box.rows() == []
    await running.stop()


async def test_a_failing_row_comes_again_by_its_policy(box: Box) -> None:
    answers = Answers(
        Retry("no", after_s=0), Unavailable("away", retry_after_s=0), Retry("free", 0, free=True)
    )
    running = dispatcher(box, {"k": answers})
    await running.start()
    await box.put(out("a"))
    await answers.until(4)
    await box.empty()
    assert [row.attempt for row in answers.seen] == [1, 2, 3, 3]  # a free one costs no attempt
    assert running.counters == {"done": 1, "retried": 2, "dead": 0, "crashed": 0}
    await running.stop()


async def test_a_crashing_handler_is_retried_and_disturbs_nobody(box: Box) -> None:
    bad, good = Answers(RuntimeError("defect")), Answers()
    running = dispatcher(box, {"k": bad, "other": good})
    await running.start()
    await box.put(out("a"), out("b", kind="other"))
    await good.until(1)
    await bad.until(1)
    async with asyncio.timeout(10):
        while running.counters["retried"] < 1:
            await asyncio.sleep(0.002)
    assert running.counters["crashed"] == 1
    assert ("a", "waiting", 1) in await box.rows()
    await running.stop()


async def test_used_up_attempts_are_a_dead_letter(box: Box) -> None:
    died: list[str] = []
    policy = Policy(attempts=3, on_dead=lambda _, row: died.append(row.key))
    answers = Answers(*[Retry("no", after_s=0)] * 5)
    running = dispatcher(box, {"k": answers}, {"k": policy})
    await running.start()
    await box.put(out("a"))
    await answers.until(3)
    await box.empty()
    assert await box.rows() == [("a", "dead", 3)]
    assert died == ["a"]
    assert len(answers.seen) == 3
    await running.stop()


async def test_dead_at_once_keeps_the_row_and_writes_what_follows(box: Box) -> None:
    followed: list[int] = []
    answers = Answers(Dead("never", lambda _: followed.append(1)))
    running = dispatcher(box, {"k": answers})
    await running.start()
    await box.put(out("a"))
    await answers.until(1)
    await box.empty()
    assert await box.rows() == [("a", "dead", 1)]
    assert followed == [1]
    await running.stop()


def test_backoff_doubles_up_to_a_minute() -> None:
    waits = [Policy().after_s(attempt) for attempt in range(1, 12)]
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert waits[-1] == 60
    assert waits == sorted(waits)


async def test_at_most_so_many_are_in_hand(box: Box) -> None:
    in_hand, most, gate = 0, 0, asyncio.Event()

    async def handle(row: Leased) -> Outcome:
        nonlocal in_hand, most
        in_hand += 1
        most = max(most, in_hand)
        await gate.wait()
        in_hand -= 1
        return Done()

    running = dispatcher(box, {"k": handle}, concurrency=3)
    await running.start()
    await box.put(*(out(str(n)) for n in range(8)))
    async with asyncio.timeout(10):
        while most < 3:
            await asyncio.sleep(0.002)
    gate.set()
    await box.empty()
    assert most == 3
    await running.stop()


async def test_a_new_start_takes_over_what_a_dead_process_held(box: Box) -> None:
    async def hang(row: Leased) -> Outcome:
        reached.set()
        await asyncio.Event().wait()
        return Done()

    reached = asyncio.Event()
    first = dispatcher(box, {"k": hang})
    await first.start()
    await box.put(out("a"))
    async with asyncio.timeout(10):
        await reached.wait()
    await first.stop()
    assert await box.lease() == []  # still leased

    answers = Answers()
    second = dispatcher(box, {"k": answers})
    await second.start()
    await answers.until(1)
    assert answers.seen[0].attempt == 2
    await second.stop()


async def test_a_feed_waits_for_its_kinds_and_leases(box: Box) -> None:
    feed = RowFeed(outbox=box.outbox, database=box.database, clock=box.clock, kinds=["k"])
    assert not await feed.wait(0)
    waiting = asyncio.create_task(feed.wait(10))
    await asyncio.sleep(0)
    await box.put(out("x", kind="other"))
    await box.put(out("a"))
    assert await waiting
    rows = await box.database.write(lambda c: feed.lease(c, 10))
    assert [row.key for row in rows] == ["a"]
    assert not await feed.wait(0)
    await box.database.write(lambda c: box.outbox.done(c, [rows[0].id]))
    assert [key for key, _, _ in await box.rows()] == ["x"]


async def test_a_feed_gives_up_after_its_wait(box: Box) -> None:
    feed = RowFeed(outbox=box.outbox, database=box.database, clock=box.clock, kinds=["k"])
    async with asyncio.timeout(5):
        assert not await feed.wait(0.05)


async def test_a_handler_that_ends_late_leaves_its_rows_successor_alone(box: Box) -> None:
    """A payment was lost this way once: a poll was replaced by a confirmation that got the poll's id."""
    await box.put(out("payment", kind="poll"))
    (late,) = await box.lease(kind="poll")

    def replace(connection: Connection) -> None:
        box.outbox.cancel(connection, "poll", ["payment"])
        box.outbox.put(connection, [out("payment", kind="confirm")], box.clock.now_ms())

    await box.database.write(replace)
    await box.database.write(lambda c: box.outbox.done(c, [late.id]))
    assert [row.key for row in await box.lease(kind="confirm")] == ["payment"]
