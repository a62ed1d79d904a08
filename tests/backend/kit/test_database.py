"""Transactions on SQLite, on a writer thread and inline."""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, MetaData, Table, Text, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from backend.kit.commits import OutboxSignal
from backend.kit.database import Database, open_database
from backend.kit.errors import DatabaseAway, DatabaseUrlError, Unavailable

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


@pytest.mark.parametrize("inline", [False, True], ids=["threads", "inline"])
async def test_commits_are_durable(durable: None, tmp_path: Path, inline: bool) -> None:
    database = open_database(f"sqlite:///{tmp_path}/made", "kit", inline=inline)

    def pragmas(connection: Connection) -> tuple[object, ...]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return tuple(connection.execute(text(f"PRAGMA {name}")).scalar() for name in names)

    assert await database.write(pragmas) == ("wal", 2, 1)  # 2 is FULL
    await database.close()


async def test_a_cancelled_caller_does_not_undo_a_commit(database: Database) -> None:
    task = asyncio.create_task(database.write(lambda connection: put(connection, "a")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await database.write(lambda connection: put(connection, "b"))
    assert await stored(database) == ["a", "b"]


async def test_listeners_hear_of_commits_that_put_something(database: Database) -> None:
    heard: list[str] = []
    database.on_outbox(heard.extend)

    def mark(connection: Connection) -> None:
        connection.info[OutboxSignal.MARK] = {"k"}

    def mark_and_fail(connection: Connection) -> None:
        mark(connection)
        raise ValueError

    await database.write(mark)
    assert heard == ["k"]
    await database.write(lambda connection: put(connection, "a"))
    assert heard == ["k"]
    with pytest.raises(ValueError):  # noqa: PT011 - ours, just above
        await database.write(mark_and_fail)
    assert heard == ["k"]
    await database.write(lambda connection: put(connection, "b"))
    assert heard == ["k"]


async def test_a_cancelled_callers_commit_is_heard_of(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}", "kit")
    heard, begun, gate = asyncio.Event(), threading.Event(), threading.Event()
    database.on_outbox(lambda _: heard.set())

    def mark(connection: Connection) -> None:
        begun.set()
        gate.wait(10)
        connection.info[OutboxSignal.MARK] = {"k"}

    task = asyncio.create_task(database.write(mark))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gate.set()
    async with asyncio.timeout(10):
        await heard.wait()
    await database.close()


async def test_a_locked_database_is_unavailable_and_a_wrong_statement_is_not(
    database: Database, tmp_path: Path
) -> None:
    def hasty(connection: Connection) -> None:
        connection.execute(text("PRAGMA busy_timeout=1"))

    await database.write(hasty)
    other = sqlite3.connect(tmp_path / "made" / "kit.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as told:
        await database.write(lambda connection: put(connection, "a"))
    assert told.value.retry_after_s == 1
    other.execute("ROLLBACK")
    other.close()
    await database.write(lambda connection: put(connection, "a"))

    for run in (database.read, database.write):
        with pytest.raises(OperationalError):
            await run(lambda connection: connection.execute(text("SELECT * FROM nothing")))


async def test_an_error_does_not_quote_its_parameters(database: Database) -> None:
    await database.write(lambda connection: put(connection, "00427443"))
    with pytest.raises(IntegrityError) as told:
        await database.write(lambda connection: put(connection, "00427443"))
    assert "00427443" not in str(told.value)


async def test_inline_uses_the_callers_thread_and_threads_another(tmp_path: Path) -> None:
    here = threading.get_ident()
    for inline in (True, False):
        database = open_database(f"sqlite:///{tmp_path}", f"t{inline}", inline=inline)
        assert (await database.write(lambda _: threading.get_ident()) == here) == inline
        assert (await database.read(lambda _: threading.get_ident()) == here) == inline
        await database.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://x", ""])
def test_a_url_that_is_no_database_is_told_without_repeating_it(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match="use sqlite:///FOLDER or postgresql://"):
        open_database(url, "kit")


@pytest.mark.parametrize(
    "options", ["foo=bar", "sslmode=hunter2", "ssl=maybe", "port=x", "host=a&host=b&port=1,y"]
)
def test_an_option_of_a_url_that_cannot_be_is_one_line(options: str) -> None:
    with pytest.raises(DatabaseUrlError) as told:
        open_database(f"postgresql://payg:hunter2@127.0.0.1:1/payg?{options}", "kit")
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("damage", ["header", "page", "cut"])
async def test_a_damaged_file_is_told_with_what_to_do_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "kit.db"
    whole = sqlite3.connect(file)
    whole.execute("PRAGMA journal_mode=WAL")
    whole.execute("CREATE TABLE words (word TEXT PRIMARY KEY) WITHOUT ROWID")
    whole.executemany("INSERT INTO words VALUES (?)", [(f"{n:0100}",) for n in range(2000)])
    whole.commit()
    whole.close()
    content = file.read_bytes()
    noise = b"\xff" * 4096
    damaged = {
        "header": noise + content[4096:],
        "page": content[:4096] + noise * 4 + content[5 * 4096 :],
        "cut": content[: len(content) // 2],
    }[damage]
    file.write_bytes(damaged)
    database = open_database(f"sqlite:///{tmp_path}", "kit")
    for run in (database.read, database.write):
        with pytest.raises(DatabaseAway) as told:
            await run(lambda c: c.execute(text("SELECT count(*), max(word) FROM words")).one())
        assert told.value.says.startswith(f"{file} can't be used (")
        assert "restore it from a backup" in told.value.says
        assert told.value.status == 503
    await database.close()
    assert file.read_bytes() == damaged


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseUrlError, match=r"can't be made \(Not a directory\)"):
        open_database(f"sqlite:///{tmp_path}/file/data", "kit")


async def test_a_new_file_and_what_is_beside_it_are_their_owners_alone(
    database: Database, tmp_path: Path
) -> None:
    await database.write(lambda connection: put(connection, "a"))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "made").iterdir()}
    assert modes == {"kit.db": 0o600, "kit.db-wal": 0o600, "kit.db-shm": 0o600}
