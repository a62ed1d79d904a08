"""One database a service: synchronous SQLAlchemy Core functions, run where they block nobody.

    SQLite      a file, one writer, in threads or on the caller's own (sqlite.py)
    PostgreSQL  a schema; asyncpg carries the same functions (postgresql.py)

A unit of work is a plain function `(connection) -> result`; it is committed when it returns and rolled back
when it raises. Only store.py files contain such functions' SQL. Write batches (batch.py) and the outbox
(outbox.py) stand on this.
"""

from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import URL, Connection, exc, make_url

from backend.kit.commits import Listener, Work
from backend.kit.errors import DatabaseUrlError
from backend.kit.sqlite import SqliteDatabase

T = TypeVar("T")


class Database(Protocol):
    """Durable transactions. Every implementation gives: committed when `write` returns.

    A database that is locked, full, damaged or not there is DatabaseAway. A cancelled `write` is committed
    or not, as the database decides; its listeners hear of it in either case.
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
        """Wait for what runs and close every connection. Whatever comes later is DatabaseClosed."""
        ...


KNOWN_URLS = "use sqlite:///FOLDER or postgresql://USER@HOST/DATABASE"


def open_database(url: str, service: str, *, inline: bool = False) -> Database:
    """The database of one service.

    `url` is `sqlite:///FOLDER` (a file `SERVICE.db` in it) or `postgresql://...` (a schema named `SERVICE`).
    DatabaseUrlError for any other.
    """
    folder = sqlite_folder(url)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUrlError(f"{folder} can't be made ({error.strerror}); name another") from None
        return SqliteDatabase(folder / f"{service}.db", inline=inline)
    kind = _parsed(url).get_backend_name()
    if kind == "postgresql":
        from backend.kit.postgresql import PostgresDatabase  # asyncpg is for those who use it

        return PostgresDatabase(url, service)
    raise DatabaseUrlError(f"{kind!r} is not known; {KNOWN_URLS}")


def sqlite_folder(url: str) -> Path | None:
    """The folder of the files at `url`, where one process may run a service; None: any number may there.

    DatabaseUrlError: no database URL.
    """
    parsed = _parsed(url)
    return Path(parsed.database or ".") if parsed.get_backend_name() == "sqlite" else None


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (exc.ArgumentError, ValueError):  # ValueError: the port is no number
        raise DatabaseUrlError(f"that is no database URL; {KNOWN_URLS}") from None  # it may hold a password
