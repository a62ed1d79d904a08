"""SQLite as a Database: a file for each service, and one process at it.

write   BEGIN IMMEDIATE on the one writer thread; WAL, synchronous=FULL: committed is on the disk
read    BEGIN on a reader's thread: all statements of one `work` see one snapshot
inline  both on the caller's thread: deterministic, for a world in virtual time
"""

import asyncio
import os
import sqlite3
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, exc

from backend.kit.commits import Kinds, OutboxSignal, Work
from backend.kit.errors import DatabaseAway, DatabaseClosed

T = TypeVar("T")

READERS = 2  # SQLite reads are short; more threads only fight over the interpreter lock
BUSY_MS = 10_000  # an `alembic` or `sqlite3` shell beside us may hold the lock for a moment
SQLITE_AWAY = frozenset(
    (
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR),
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY),
        *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),
    )
)
WRITABLE = "let this user write it and its folder, or name another --data-dir"
DAMAGED = "restore it from a backup; what can be read of it is in: sqlite3 FILE .recover"
ADVICE = {
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_IOERR: "see whether its disk is full or fails",
    sqlite3.SQLITE_CANTOPEN: WRITABLE,
    sqlite3.SQLITE_READONLY: WRITABLE,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}
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


class SqliteDatabase(OutboxSignal):
    """See the module. The file is created if it is missing, for its owner alone."""

    one_writer = True

    def __init__(self, path: Path, *, inline: bool = False):
        super().__init__()
        self._path = path
        self._write_engine = _sqlite_engine(path, begin="BEGIN IMMEDIATE", pool_size=1)
        self._read_engine = _sqlite_engine(path, begin="BEGIN", pool_size=READERS)
        self._writer = None if inline else ThreadPoolExecutor(1, thread_name_prefix=f"{path.stem}-write")
        self._readers = (
            None if inline else ThreadPoolExecutor(READERS, thread_name_prefix=f"{path.stem}-read")
        )
        self._closed = False

    async def write(self, work: Work[T]) -> T:
        """See `Database.write`."""
        if self._closed:
            raise DatabaseClosed
        if self._writer is None:
            result, kinds = self._transact(work)
            self.committed(kinds)
            return result
        future = asyncio.get_running_loop().run_in_executor(self._writer, self._transact, work)
        return await self.told(future)

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`."""

        def run() -> T:
            with self._away_is_told(), self._read_engine.connect() as connection:
                return work(connection)

        if self._closed:
            raise DatabaseClosed
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
        self._closed = True
        for pool in (self._writer, self._readers):
            if pool is not None:
                await asyncio.get_running_loop().run_in_executor(None, pool.shutdown)
        self._write_engine.dispose()
        self._read_engine.dispose()

    def _transact(self, work: Work[T]) -> tuple[T, Kinds]:
        with self._away_is_told(), self._write_engine.begin() as connection:
            return self.marking(connection, work)

    @contextmanager
    def _away_is_told(self) -> Generator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            code = _code(error)
            if code not in SQLITE_AWAY and not isinstance(error, exc.TimeoutError):
                raise
            said = str(getattr(error, "orig", error))
            structlog.get_logger().warning("database.away", file=self._path.name, said=said)
            todo = ADVICE.get(code, "end what else uses it")
            raise DatabaseAway(f"{self._path} can't be used ({said}); {todo}") from error


def _code(error: exc.SQLAlchemyError) -> int:
    """SQLite's own; 0: it is none of SQLite's."""
    code: int = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    return code & 0xFF  # the upper bits say more


def _sqlite_engine(path: Path, *, begin: str, pool_size: int) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"check_same_thread": False},
        insertmanyvalues_page_size=500,
    )

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own implicit BEGIN would be deferred; ours is explicit (on_begin).
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def on_do_connect(*_: object) -> None:
        # SQLite would let everybody read it: customers' names and numbers are in it. What it puts beside the
        # file is as private as the file. Where it can't be made, connecting says why. Never open one that is
        # there: to close it would give up the locks that this process's connections have on it.
        with suppress(OSError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "do_connect", on_do_connect)
    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine
