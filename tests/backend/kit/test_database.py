"""Transactions on SQLite, on a writer thread and inline."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, MetaData, Table, Text, insert, select, text

from backend.kit.database import Database, OutboxSignal, open_database

metadata = MetaData()
words = Table("words", metadata, Column("word", Text, primary_key=True))


@pytest.fixture(params=[False, True], ids=["threads", "inline"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/made", "kit", inline=request.param)
    await database.write(metadata.create_all)
    yield database
    await database.close()


def put(connection: Connection, word: str) -> None:
    connection.execute(insert(words).values(word=word))


async def stored(database: Database) -> list[str]:
    return sorted(await database.read(lambda c: c.execute(select(words.c.word)).scalars().all()))


async def test_what_returns_is_committed_and_what_raises_is_not(database: Database) -> None:
    def fail(connection: Connection) -> None:
        put(connection, "b")
        raise ValueError

    await database.write(lambda connection: put(connection, "a"))
    with pytest.raises(ValueError):  # noqa: PT011 - ours, just above
        await database.write(fail)
    assert await stored(database) == ["a"]


async def test_commits_are_durable(database: Database) -> None:
    def pragmas(connection: Connection) -> tuple[object, ...]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return tuple(connection.execute(text(f"PRAGMA {name}")).scalar() for name in names)

    assert await database.write(pragmas) == ("wal", 2, 1)  # 2 is FULL


async def test_a_cancelled_caller_does_not_undo_a_commit(database: Database) -> None:
    task = asyncio.create_task(database.write(lambda connection: put(connection, "a")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await database.write(lambda connection: put(connection, "b"))
    assert await stored(database) == ["a", "b"]


async def test_listeners_hear_of_commits_that_put_something(database: Database) -> None:
    heard: list[int] = []
    database.on_outbox(lambda: heard.append(1))

    def mark(connection: Connection) -> None:
        connection.info[OutboxSignal.MARK] = True

    def mark_and_fail(connection: Connection) -> None:
        mark(connection)
        raise ValueError

    await database.write(mark)
    assert heard == [1]
    await database.write(lambda connection: put(connection, "a"))
    assert heard == [1]
    with pytest.raises(ValueError):  # noqa: PT011 - ours, just above
        await database.write(mark_and_fail)
    assert heard == [1]
    await database.write(lambda connection: put(connection, "b"))
    assert heard == [1]


async def test_inline_uses_the_callers_thread_and_threads_another(tmp_path: Path) -> None:
    here = threading.get_ident()
    for inline in (True, False):
        database = open_database(f"sqlite:///{tmp_path}", f"t{inline}", inline=inline)
        assert (await database.write(lambda _: threading.get_ident()) == here) == inline
        assert (await database.read(lambda _: threading.get_ident()) == here) == inline
        await database.close()


def test_another_database_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="use sqlite:///FOLDER or postgresql://"):
        open_database("mysql://host/name", "kit")
