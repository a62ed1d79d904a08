"""One database a service: synchronous SQLAlchemy Core functions, run where they block nobody.

    SQLite      a file, one writer, in threads or on the caller's own (sqlite.py)
    PostgreSQL  a schema; asyncpg carries the same functions (postgresql.py)

A unit of work is a plain function `(connection) -> result`; it is committed when it returns and rolled back
when it raises. Only store.py files contain such functions' SQL. Write batches (batch.py) and the outbox
(outbox.py) stand on this.
"""

from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection, exc, make_url

from backend.kit.commits import Listener, Work
from backend.kit.errors import CannotStart, Unavailable
from backend.kit.sqlite import SqliteDatabase

T = TypeVar("T")


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

    def on_outbox(self, listener: Listener) -> None:
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
        from backend.kit.postgresql import PostgresDatabase  # asyncpg is for those who use it

        return PostgresDatabase(url, service)
    raise DatabaseUrlError(f"{parsed.get_backend_name()!r} is not known; {KNOWN_URLS}")
