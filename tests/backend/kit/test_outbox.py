"""The outbox: leases, backoff, dead letters; and feeds."""

import asyncio

from sqlalchemy import Connection

from backend.kit.feed import RowFeed
from backend.kit.outbox import (
    LEASE_MS,
    Leased,
    Outgoing,
    Policy,
)
from tests.backend.kit.conftest import Box, out


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


def test_backoff_doubles_up_to_a_minute() -> None:
    waits = [Policy().after_s(attempt) for attempt in range(1, 12)]
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert waits[-1] == 60
    assert waits == sorted(waits)


async def test_only_the_holder_gives_back_and_buries(box: Box) -> None:
    await box.put(out("a"))
    (late,) = await box.lease()
    box.clock.advance(LEASE_MS / 1000)
    (holder,) = await box.lease()

    def write(connection: Connection, row: Leased) -> None:
        box.outbox.again(connection, row, "again", 0, free=False)
        box.outbox.bury(connection, row, "dead")
        box.outbox.left(connection, [row])

    await box.database.write(lambda c: write(c, late))
    assert await box.rows() == [("a", "waiting", 2)]
    await box.database.write(lambda c: box.outbox.left(c, [holder]))
    assert await box.rows() == []


async def test_a_poll_given_back_is_not_of_who_held_it_before(box: Box) -> None:
    """A free retry takes its attempt off, so that the count alone is that of a holder who is long late."""
    await box.put(out("a"))
    (late,) = await box.lease()
    box.clock.advance(LEASE_MS / 1000)
    (holder,) = await box.lease()
    later_ms = box.clock.now_ms() + 60_000
    await box.database.write(lambda c: box.outbox.again(c, holder, "", later_ms, free=True))

    def write(connection: Connection) -> set[int]:
        ours = box.outbox.ours(connection, [late])
        box.outbox.again(connection, late, "", 0, free=False)
        box.outbox.bury(connection, late, "dead")
        box.outbox.left(connection, [late])
        return ours

    assert await box.database.write(write) == set()
    assert await box.rows() == [("a", "waiting", 1)]
    assert await box.database.read(lambda c: box.outbox.next_due_ms(c, ["k"])) == later_ms


async def test_a_put_brings_a_dead_row_to_life_again(box: Box) -> None:
    await box.put(out("a", n=1))
    (row,) = await box.lease()
    await box.database.write(lambda c: box.outbox.bury(c, row, "no"))
    await box.put(out("a", n=2), out("b"), out("a", n=3))
    assert [(row.key, row.payload, row.attempt) for row in await box.lease()] == [
        ("a", {"n": 2}, 1),
        ("b", {}, 1),
    ]


async def test_the_longest_due_goes_first(box: Box) -> None:
    now_ms = box.clock.now_ms()
    await box.put(out("new"), Outgoing("k", "old", {}, due_at_ms=now_ms - 5), out("newer"))
    assert [row.key for row in await box.lease(1)] == ["old"]
    assert [row.key for row in await box.lease(1)] == ["new"]


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
