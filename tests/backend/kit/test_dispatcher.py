"""The dispatcher: outcomes, retries, dead letters, limits, restarts."""

import asyncio
from collections.abc import Mapping

import tenacity
from sqlalchemy import Connection
from structlog.testing import capture_logs

from backend.kit.dispatcher import HANDLER_S, LATE, Dispatcher
from backend.kit.errors import Unavailable
from backend.kit.outbox import (
    LEASE_MS,
    Dead,
    Done,
    Handler,
    Leased,
    Outcome,
    Policy,
    Retry,
)
from tests.backend.kit.conftest import Answers, Box, out


def dispatcher(
    box: Box,
    handlers: Mapping[str, Handler],
    policies: Mapping[str, Policy] | None = None,
    concurrency: int = 4,
    handler_s: float = HANDLER_S,
) -> Dispatcher:
    return Dispatcher(
        outbox=box.outbox,
        database=box.database,
        clock=box.clock,
        handlers=handlers,
        policies=policies or {},
        service="kit",
        concurrency=concurrency,
        handler_s=handler_s,
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
    async with asyncio.timeout(10):
        while not running.counters["done"]:  # counted after the commit that removes the row
            await asyncio.sleep(0.002)
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


async def test_a_row_that_is_tried_still_after_an_hour_is_told(box: Box) -> None:
    answers = Answers(*[Retry("no", after_s=0)] * LATE)
    with capture_logs() as logs:
        running = dispatcher(box, {"k": answers})
        await running.start()
        await box.put(out("a"))
        await answers.until(LATE + 1)
        await box.empty()
        await running.stop()
    told = [(log["event"], log["log_level"], log["attempts"]) for log in logs]
    assert [entry for entry in told if entry[1] == "error"] == [("outbox.late", "error", LATE)]


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


async def test_a_slow_kind_does_not_hold_up_another(box: Box) -> None:
    async def hang(row: Leased) -> Outcome:
        await asyncio.Event().wait()
        return Done()

    fast = Answers()
    running = dispatcher(box, {"slow": hang, "fast": fast}, concurrency=2)
    await running.start()
    await box.put(*(out(str(n), kind="slow") for n in range(10)), out("a", kind="fast"))
    await fast.until(1)
    await running.stop()


async def test_a_handler_that_hangs_is_ended_and_tried_again(box: Box) -> None:
    answers = Answers()

    async def hang_once(row: Leased) -> Outcome:
        if row.attempt == 1:
            await asyncio.Event().wait()
        return await answers(row)

    policy = Policy(wait=tenacity.wait_none())
    running = dispatcher(box, {"k": hang_once}, {"k": policy}, handler_s=0.01)
    await running.start()
    await box.put(out("a"))
    await answers.until(1)
    assert [row.attempt for row in answers.seen] == [2]
    await running.stop()


def test_a_handler_ends_well_before_its_lease() -> None:
    assert HANDLER_S * 1000 <= LEASE_MS * 2 / 3


async def test_a_row_in_hand_is_not_started_twice(box: Box) -> None:
    gate, held, other = asyncio.Event(), Answers(), Answers()

    async def handle(row: Leased) -> Outcome:
        await held(row)
        await gate.wait()
        return Done()

    running = dispatcher(box, {"k": handle, "other": other})
    await running.start()
    await box.put(out("a"))
    await held.until(1)
    box.clock.advance(LEASE_MS / 1000 + 1)  # the wall clock was set
    await box.put(out("b", kind="other"), out("c"))  # wakes it
    await other.until(1)
    await held.until(2)
    gate.set()
    await box.empty()
    assert sorted((row.key, row.attempt) for row in held.seen) == [("a", 1), ("c", 1)]
    await running.stop()


async def test_an_outcome_counts_only_while_the_row_is_ours(box: Box) -> None:
    followed: list[str] = []

    async def late(row: Leased) -> Outcome:
        if row.key == "cancelled":
            await box.database.write(lambda c: box.outbox.cancel(c, "k", [row.key]))
        else:  # another process has it
            box.clock.advance(LEASE_MS / 1000)
            await box.lease()
        return Done(lambda _: followed.append(row.key))

    running = dispatcher(box, {"k": late})
    await running.start()
    await box.put(out("cancelled"))
    async with asyncio.timeout(10):
        while await box.rows():
            await asyncio.sleep(0.002)
    await box.put(out("taken"))
    async with asyncio.timeout(10):
        while await box.rows() != [("taken", "waiting", 2)] or any(running._running.values()):
            await asyncio.sleep(0.002)
    assert (followed, running.counters["done"]) == ([], 0)
    await running.stop()


async def test_a_row_that_takes_its_process_along_is_buried_in_the_end(box: Box) -> None:
    died: list[str] = []
    answers = Answers()
    await box.put(out("a"))
    for _ in range(3):  # three processes that died
        await box.lease()
        box.clock.advance(LEASE_MS / 1000)
    policy = Policy(attempts=3, on_dead=lambda _, row: died.append(row.key))
    running = dispatcher(box, {"k": answers}, {"k": policy})
    await running.start()
    await box.empty()
    assert (died, answers.seen) == (["a"], [])
    assert await box.rows() == [("a", "dead", 4)]
    await running.stop()


async def test_what_cannot_be_written_is_tried_again_and_then_buried(box: Box) -> None:
    def fail(*_: object) -> None:
        raise ValueError("defect")

    def fail_rarely(connection: Connection) -> None:
        box.outbox.put(connection, [out("never", kind="next")], box.clock.now_ms())
        fail()

    answers = Answers(*[Done(fail_rarely)] * 5)
    policy = Policy(attempts=2, wait=tenacity.wait_none(), on_dead=fail)
    running = dispatcher(box, {"k": answers}, {"k": policy})
    await running.start()
    await box.put(out("a"))
    await box.empty()
    assert await box.rows() == [("a", "dead", 2)]
    async with asyncio.timeout(10):
        while not running.counters["dead"]:
            await asyncio.sleep(0.002)
    assert running.counters == {"done": 0, "retried": 1, "dead": 1, "crashed": 3}
    await running.stop()


async def test_counters_count_what_is_committed(box: Box) -> None:
    """A batch that is rolled back is decided again, one at a time: nothing is counted twice."""
    gate = asyncio.Event()

    def fail(_connection: Connection) -> None:
        raise ValueError("defect")

    async def handle(row: Leased) -> Outcome:
        await gate.wait()
        return Done(fail if row.key == "bad" else None)

    running = dispatcher(box, {"k": handle})
    await running.start()
    await box.put(out("a"), out("bad"), out("b"))
    async with asyncio.timeout(10):
        while len(running._running["k"]) < 3:
            await asyncio.sleep(0.002)
    gate.set()
    async with asyncio.timeout(10):
        while any(running._running.values()):
            await asyncio.sleep(0.002)
    assert (running.counters["done"], running.counters["retried"]) == (2, 1)
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
