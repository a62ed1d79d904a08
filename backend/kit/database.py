"""One database a service: synchronous SQLAlchemy Core functions, run where they block nobody.

    SQLite      one writer thread (BEGIN IMMEDIATE, WAL, synchronous=FULL), readers apart
    inline      the same SQLite on the caller's thread: deterministic, for a world in virtual time
    PostgreSQL  asyncpg carries the same functions (postgresql.py)

A unit of work is a plain function `(connection) -> result`; it is committed when it returns and rolled back
when it raises. Only store.py files contain such functions' SQL. Write batches (batch.py) and the outbox
(outbox.py) stand on this.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection

from backend.kit.errors import CannotStart, Unavailable

T = TypeVar("T")
Work = Callable[[Connection], T]
Kinds = frozenset[str]  # of outbox rows
Listener = Callable[[Kinds], None]

READERS = 2  # SQLite reads are short; more threads only fight over the interpreter lock
BUSY_MS = 10_000  # an `alembic` or `sqlite3` shell beside us may hold the lock for a moment
SQLITE_AWAY = frozenset(
    (
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR),
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY),
    )
)
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"busy_timeout={BUSY_MS}",
    # KiB a connection. 16 MiB carry a batch as well as 64 do, and `payg up` has some fifty connections: what
    # they may hold bounds its memory. The operating system keeps the rest of a file.
    "cache_size=-16384",
    "wal_autocheckpoint=8000",  # pages, 32 MiB: what one batch after another changes again is moved once
)


class Database(Protocol):
    """Durable transactions. Every implementation gives: committed when `write` returns.

    A database that is locked, full or not there is Unavailable. A cancelled `write` is committed or not, as
    the database decides; its listeners hear of it in either case.
    """

    one_writer: bool  # transactions that write go one by one

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction and commit it."""
        ...

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a snapshot; it must not write."""
        ...

    async def alter(self, work: Work[T]) -> T:
        """`write` that changes the schema, however long it takes; of several copies one at a time."""
        ...

    def is_alone(self, connection: Connection, /) -> bool:
        """Whether no other copy of the service is at work: what is leased was leased by a dead one."""
        ...

    def on_outbox(self, listener: "Listener") -> None:
        """Call `listener` with their kinds after each commit that put rows into the outbox."""
        ...

    async def close(self) -> None:
        """Wait for what runs and close every connection."""
        ...


def why_away(error: Unavailable) -> str:
    """What the driver said, for the person who starts a process. No parameter and no password is in it."""
    cause = error.__cause__ or error
    said = getattr(cause, "orig", None) or cause
    return str(said) or type(said).__name__


def takes_copies(url: str) -> bool:
    """Whether several copies of a service may work on the database at `url`."""
    return not url.startswith("sqlite")


KNOWN_URLS = "use sqlite:///FOLDER or postgresql://USER@HOST/DATABASE"


class DatabaseUrlError(CannotStart):
    """There is no database at that URL; the text says what to give instead."""

    def __init__(self, says: str):
        super().__init__(f"--database-url: {says}")


def open_database(url: str, service: str, *, inline: bool = False) -> Database:
    """The database of one service.

    `url` is `sqlite:///FOLDER` (a file `SERVICE.db` in it) or `postgresql://...` (a schema named `SERVICE`).
    DatabaseUrlError for any other.
    """
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise DatabaseUrlError(f"that is no database URL; {KNOWN_URLS}") from None  # it may hold a password
    if parsed.get_backend_name() == "sqlite":
        folder = Path(parsed.database or ".")
        folder.mkdir(parents=True, exist_ok=True)
        return SqliteDatabase(folder / f"{service}.db", inline=inline)
    if parsed.get_backend_name() == "postgresql":
        from backend.kit.postgresql import PostgresDatabase  # which imports this module

        return PostgresDatabase(url, service)
    raise DatabaseUrlError(f"{parsed.get_backend_name()!r} is not known; {KNOWN_URLS}")


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


class SqliteDatabase(OutboxSignal):
    """See the module. The file is created if it is missing."""

    one_writer = True

    def __init__(self, path: Path, *, inline: bool = False):
        super().__init__()
        url = f"sqlite:///{path}"
        self._write_engine = _sqlite_engine(url, begin="BEGIN IMMEDIATE", pool_size=1)
        self._read_engine = _sqlite_engine(url, begin="BEGIN", pool_size=READERS)
        self._writer = None if inline else ThreadPoolExecutor(1, thread_name_prefix=f"{path.stem}-write")
        self._readers = (
            None if inline else ThreadPoolExecutor(READERS, thread_name_prefix=f"{path.stem}-read")
        )

    async def write(self, work: Work[T]) -> T:
        """See `Database.write`."""
        if self._writer is None:
            result, kinds = self._transact(work)
            self.committed(kinds)
            return result
        future = asyncio.get_running_loop().run_in_executor(self._writer, self._transact, work)
        return await self.told(future)

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`."""

        def run() -> T:
            with _away_is_unavailable(), self._read_engine.connect() as connection:
                return work(connection)

        if self._readers is None:
            return run()
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._readers, run))

    async def alter(self, work: Work[T]) -> T:
        """See `Database.alter`."""
        return await self.write(work)

    def is_alone(self, _: Connection, /) -> bool:
        """See `Database.is_alone`: a second process is refused by the folder's lock (data_dir.py)."""
        return True

    async def close(self) -> None:
        """See `Database.close`."""
        for pool in (self._writer, self._readers):
            if pool is not None:
                await asyncio.get_running_loop().run_in_executor(None, pool.shutdown)
        self._write_engine.dispose()
        self._read_engine.dispose()

    def _transact(self, work: Work[T]) -> tuple[T, Kinds]:
        with _away_is_unavailable(), self._write_engine.begin() as connection:
            return self.marking(connection, work)


@contextmanager
def _away_is_unavailable() -> Generator[None]:
    try:
        yield
    except exc.SQLAlchemyError as error:
        if not _is_away(error):
            raise
        structlog.get_logger().warning("database.away", error=type(getattr(error, "orig", error)).__name__)
        raise Unavailable("the database is busy or away; try again", retry_after_s=1) from error


def _is_away(error: exc.SQLAlchemyError) -> bool:
    """Whether it is the database that fails, and not what it was asked."""
    code: int = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    return code & 0xFF in SQLITE_AWAY or isinstance(error, exc.TimeoutError)  # the upper bits say more


def _sqlite_engine(url: str, *, begin: str, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"check_same_thread": False},
        insertmanyvalues_page_size=500,
    )

    def on_connect(connection: DBAPIConnection, _record: object) -> None:
        # The driver's own implicit BEGIN would be deferred; ours is explicit (on_begin).
        setattr(connection, "isolation_level", None)  # noqa: B010 - a driver attribute that the protocol class lacks
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine
