"""One database a service: synchronous SQLAlchemy Core functions, run where they block nobody.

    SQLite      one writer thread (BEGIN IMMEDIATE, WAL, synchronous=FULL), readers apart
    inline      the same SQLite on the caller's thread: deterministic, for a world in virtual time
    PostgreSQL  asyncpg; `run_sync` carries the same functions

A unit of work is a plain function `(connection) -> result`; it is committed when it returns and rolled back
when it raises. Only store.py files contain such functions' SQL. Write batches (batch.py) and the outbox
(outbox.py) stand on this.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import create_async_engine

T = TypeVar("T")
Work = Callable[[Connection], T]

READERS = 2  # SQLite reads are short; more threads only fight over the interpreter lock
PG_POOL = 8  # connections a process; batches need one, readers the rest
BUSY_MS = 10_000  # an `alembic` or `sqlite3` shell beside us may hold the lock for a moment
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"busy_timeout={BUSY_MS}",
    "cache_size=-65536",  # KiB; SQLite's own 2 MiB make a batch read the index pages of the last one again
)


class Database(Protocol):
    """Durable transactions. Every implementation gives: committed when `write` returns."""

    exclusive: bool  # no other process writes here, so what is leased at start was leased by a dead one

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction and commit it."""
        ...

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a snapshot; it must not write."""
        ...

    def on_outbox(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each commit that put rows into the outbox."""
        ...

    async def close(self) -> None:
        """Wait for what runs and close every connection."""
        ...


def open_database(url: str, service: str, *, inline: bool = False) -> Database:
    """The database of one service.

    `url` is `sqlite:///FOLDER` (a file `SERVICE.db` in it) or `postgresql://...` (a schema named `SERVICE`).
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        folder = Path(parsed.database or ".")
        folder.mkdir(parents=True, exist_ok=True)
        return SqliteDatabase(folder / f"{service}.db", inline=inline)
    if parsed.get_backend_name() == "postgresql":
        return PostgresDatabase(url, service)
    raise ValueError(
        f"--database-url: {parsed.get_backend_name()!r} is not known; use sqlite:///FOLDER or postgresql://..."
    )


class OutboxSignal:
    """Remembers who wants to know of new outbox rows; `Outbox.put` marks the transaction."""

    MARK = "payg.outbox"

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def on_outbox(self, listener: Callable[[], None]) -> None:
        """See `Database.on_outbox`."""
        self._listeners.append(listener)

    def marking(self, connection: Connection, work: Work[T]) -> tuple[T, bool]:
        """Run `work`; its result, and whether it put rows."""
        connection.info.pop(self.MARK, None)  # of a transaction that was rolled back on this connection
        result = work(connection)
        return result, bool(connection.info.pop(self.MARK, False))

    def committed(self, marked: bool) -> None:
        """Tell everybody, if the transaction put something."""
        if marked:
            for listener in self._listeners:
                listener()


class SqliteDatabase(OutboxSignal):
    """See the module. The file is created if it is missing."""

    exclusive = True

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
        result, marked = await self._run(self._writer, lambda: self._transact(work))
        self.committed(marked)
        return result

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`."""

        def run() -> T:
            with self._read_engine.connect() as connection:
                return work(connection)

        return await self._run(self._readers, run)

    async def close(self) -> None:
        """See `Database.close`."""
        for pool in (self._writer, self._readers):
            if pool is not None:
                await asyncio.get_running_loop().run_in_executor(None, pool.shutdown)
        self._write_engine.dispose()
        self._read_engine.dispose()

    def _transact(self, work: Work[T]) -> tuple[T, bool]:
        with self._write_engine.begin() as connection:
            return self.marking(connection, work)

    @staticmethod
    async def _run(pool: ThreadPoolExecutor | None, call: Callable[[], T]) -> T:
        if pool is None:
            return call()
        # Shielded: a cancelled caller must not make a commit that happens look as if it did not.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(pool, call))


class PostgresDatabase(OutboxSignal):
    """See the module. The schema is created if it is missing."""

    exclusive = False

    def __init__(self, url: str, schema: str):
        super().__init__()
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=PG_POOL,
            connect_args={"server_settings": {"search_path": schema}},
        )
        self._schema = schema
        self._ready = False

    async def write(self, work: Work[T]) -> T:
        """See `Database.write`."""

        await self._ensure_schema()
        async with self._engine.begin() as connection:
            result, marked = await connection.run_sync(self.marking, work)
        self.committed(marked)
        return result

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`."""
        await self._ensure_schema()
        async with self._engine.connect() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        """See `Database.close`."""
        await self._engine.dispose()

    async def _ensure_schema(self) -> None:
        if not self._ready:
            async with self._engine.begin() as connection:
                await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"'))
            self._ready = True


def _sqlite_engine(url: str, *, begin: str, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
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
