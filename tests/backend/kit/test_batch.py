"""Write batches: shared transactions, answers after the commit, one bad request fails alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import Column, Connection, MetaData, Table, Text, insert, select

from backend.kit.batch import ReadBatch, WriteBatch
from backend.kit.database import Database, open_database
from backend.kit.errors import DatabaseClosed, InternalError, Unavailable

metadata = MetaData()
words = Table("words", metadata, Column("word", Text, primary_key=True))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = open_database(database_url, "kit")
    await database.write(metadata.create_all)
    yield database
    await database.close()


class Words:
    """Stores words; remembers the batches it was given."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def decide(self, connection: Connection, requests: Sequence[str]) -> list[str]:
        self.batches.append(list(requests))
        connection.execute(insert(words), [{"word": word} for word in requests])
        if "bad" in requests:
            raise ValueError("bad")
        return [word.upper() for word in requests]


async def stored(database: Database) -> list[str]:
    return sorted(await database.read(lambda c: c.execute(select(words.c.word)).scalars().all()))


async def test_requests_that_wait_together_share_a_transaction(database: Database) -> None:
    decided = Words()
    batch = WriteBatch(database, decided.decide, max_batch=4)
    answers = await asyncio.gather(*(batch.submit(f"w{n}") for n in range(10)))
    assert answers == [f"W{n}" for n in range(10)]
    assert [len(each) for each in decided.batches] == [4, 4, 2]
    assert await stored(database) == sorted(f"w{n}" for n in range(10))


async def test_the_answer_comes_after_the_commit(database: Database) -> None:
    batch = WriteBatch(database, Words().decide)
    await batch.submit("a")
    assert await stored(database) == ["a"]
    await batch.submit("b")
    assert await stored(database) == ["a", "b"]


async def test_who_waits_while_the_database_closes_is_refused_and_opens_no_connection(
    database: Database, database_url: str
) -> None:
    """Their connection would be nobody's: a service that ends leaves none behind."""
    closing, decided = open_database(database_url, "kit"), Words()
    batch = WriteBatch(closing, decided.decide, max_batch=1)
    waiting = [asyncio.ensure_future(batch.submit(word)) for word in "abc"]
    while not decided.batches:
        await asyncio.sleep(0)
    await closing.close()
    first, *others = await asyncio.gather(*waiting, return_exceptions=True)
    assert first == "A"
    assert [type(each) for each in others] == [DatabaseClosed] * 2
    with pytest.raises(DatabaseClosed):
        await stored(closing)
    assert await stored(database) == ["a"]
    assert await database.read(database.is_alone)


async def test_one_bad_request_fails_alone(database: Database) -> None:
    batch = WriteBatch(database, Words().decide)
    answers = await asyncio.gather(
        *(batch.submit(word) for word in ("a", "bad", "b")), return_exceptions=True
    )
    assert answers[0] == "A"
    assert isinstance(answers[1], ValueError)
    assert answers[2] == "B"
    assert await stored(database) == ["a", "b"]


async def test_a_cancelled_request_is_written_and_disturbs_nobody(database: Database) -> None:
    batch = WriteBatch(database, Words().decide)
    first, second = (asyncio.create_task(batch.submit(word)) for word in ("a", "b"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "B"
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await stored(database) == ["a", "b"]


async def test_too_many_waiting_are_told_to_come_again(database: Database) -> None:
    batch = WriteBatch(database, Words().decide, max_batch=1, max_waiting=3)
    tasks = [asyncio.create_task(batch.submit(f"w{n}")) for n in range(3)]
    await asyncio.sleep(0)
    fourth, fifth = await asyncio.gather(batch.submit("w3"), batch.submit("w4"), return_exceptions=True)
    refused = [answer for answer in (fourth, fifth) if isinstance(answer, Unavailable)]
    assert [error.retry_after_s for error in refused] == [1] * len(refused)
    assert refused
    await asyncio.gather(*tasks)


async def test_a_database_that_is_away_is_told_to_all_at_once(database: Database) -> None:
    batches: list[int] = []

    def away(_connection: Connection, requests: Sequence[str]) -> list[str]:
        batches.append(len(requests))
        raise Unavailable("busy", retry_after_s=1)

    batch = WriteBatch(database, away)
    answers = await asyncio.gather(*(batch.submit(word) for word in "abc"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert batches == [3]


async def test_reads_that_wait_together_share_a_snapshot_newer_than_they(database: Database) -> None:
    asked: list[list[str]] = []

    def known(connection: Connection, requests: Sequence[str]) -> list[bool]:
        asked.append(list(requests))
        if "bad" in requests:
            raise ValueError("bad")
        found = connection.execute(select(words.c.word).where(words.c.word.in_(requests))).scalars().all()
        return [request in found for request in requests]

    write, read = WriteBatch(database, Words().decide), ReadBatch(database, known)
    assert await read.submit("a") is False
    await write.submit("a")
    assert await asyncio.gather(*(read.submit(word) for word in "abab")) == [True, False, True, False]
    assert asked == [["a"], list("abab")]
    found = await asyncio.gather(*(read.submit(word) for word in ("a", "bad", "b")), return_exceptions=True)
    assert (found[0], type(found[1]), found[2]) == (True, ValueError, False)


class Gated:
    """A database of several writers, whose transactions end when they are told to."""

    one_writer = False

    def __init__(self) -> None:
        self.open: list[asyncio.Event] = []

    async def write(self, work):
        gate = asyncio.Event()
        self.open.append(gate)
        await gate.wait()
        return work(None)


@pytest.mark.parametrize(("overlapping", "sizes"), [(True, [2, 2, 1]), (False, [4, 1])])
async def test_two_batches_overlap_where_there_are_several_writers(
    overlapping: bool, sizes: list[int]
) -> None:
    database, batches = Gated(), []

    def decide(_connection: Connection, requests: Sequence[int]) -> list[int]:
        batches.append(list(requests))
        return list(requests)

    batch = WriteBatch(database, decide, max_batch=4, overlapping=overlapping)
    answers = [asyncio.create_task(batch.submit(number)) for number in range(5)]
    for at_once in [2, 2, 1] if overlapping else [1, 1]:
        async with asyncio.timeout(10):
            while sum(not gate.is_set() for gate in database.open) < min(at_once, len(sizes) - len(batches)):
                await asyncio.sleep(0)
        assert sum(not gate.is_set() for gate in database.open) == at_once
        next(gate for gate in database.open if not gate.is_set()).set()
        wanted = len(batches) + 1
        while len(batches) < wanted:
            await asyncio.sleep(0)
    assert await asyncio.gather(*answers) == list(range(5))
    assert [len(each) for each in batches] == sizes


async def test_a_batch_works_again_after_it_was_empty(database: Database) -> None:
    batch = WriteBatch(database, Words().decide)
    for word in ("a", "b", "c"):
        assert await batch.submit(word) == word.upper()


async def test_a_decision_that_forgets_a_request_is_an_error_and_writes_nothing(database_url: str) -> None:
    database = open_database(database_url, "kit")
    batch: WriteBatch[int, int] = WriteBatch(database, lambda _connection, _requests: [])
    with pytest.raises(InternalError):
        await batch.submit(1)
    await database.close()
