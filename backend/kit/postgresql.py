"""PostgreSQL as a Database: asyncpg underneath, a schema for each service, any number of copies of a service.

    write   READ COMMITTED: a statement sees what others committed before it, and a row that it locks is read
            anew. What collided with another transaction is run again, up to TRIES times in all.
    read    REPEATABLE READ READ ONLY: all statements of one `work` see one snapshot
    alter   one connection of its own without a time limit, one copy at a time

A server that goes away fails what runs with DatabaseAway; the pool connects again by itself.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import structlog
from sqlalchemy import URL, Connection, bindparam, event, exc, make_url, pool, text
from sqlalchemy.engine.interfaces import AdaptedConnection, DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from backend.kit.commits import Kinds, OutboxSignal, Work
from backend.kit.errors import DatabaseAway, DatabaseClosed, DatabaseUrlError

T = TypeVar("T")
P = ParamSpec("P")

POOL = 8  # connections a process and service; batches need one, readers the rest
POOL_WAIT_S = 10.0  # for a free one: by then the caller's own time-out is near
CONNECT_S = 10.0
COMMAND_S = 30.0  # ours take milliseconds; a server that is gone without a word, for ever
TRIES = 5  # copies that stood in each other's way have let go by then
AGAIN_S = 0.01  # before the second try; twice as long before each further one

READ_ONLY = "25006"
AWAY = (  # SQLSTATE classes, and codes of classes that are mostly our own mistakes
    *("08", "28", "3D", "53"),  # connection, no entry, no such database, resources
    *("57", "58"),  # operator (shutdown, starting up, a statement's time-out), the server's own disk
    READ_ONLY,  # a standby, or a server whose disk is nearly full
    *("XX001", "XX002"),  # a damaged table or index
    "55P03",  # a lock that somebody holds for longer than the server's settings let us wait
)
COLLISIONS = frozenset(
    (
        "40001",  # serialization failure
        "40P01",  # deadlock
        "0A000",  # asyncpg: another copy's migration changed a table under a prepared statement
    )
)
TAKEN = "23505"  # a unique violation: perhaps another copy was faster, and the next try sees its row
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
OTHERS = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = current_setting('application_name') AND pid NOT IN :own)"
).bindparams(bindparam("own", expanding=True))


class _Driver(Protocol):
    """asyncpg's connection."""

    def get_server_pid(self) -> int: ...

    def is_closed(self) -> bool: ...


class PostgresDatabase(OutboxSignal):
    """See the module. The schema is created if it is missing. DatabaseUrlError: `url` has a wrong option."""

    one_writer = False

    def __init__(self, url: str, schema: str):
        super().__init__()
        self._schema = schema
        self._engine = self._connecting(url, pool_size=POOL, max_overflow=0, pool_timeout=POOL_WAIT_S)
        self._reading = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._altering = self._connecting(url, poolclass=pool.NullPool, command_s=None)
        self._own: set[int] = set()
        self._ready = False
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False
        for engine in (self._engine, self._altering):
            event.listen(engine.sync_engine, "connect", self._connected)
        event.listen(self._engine.sync_engine, "checkout", _usable)

    async def write(self, work: Work[T]) -> T:
        """See `Database.write`."""
        return await self._run(self._engine, work)

    async def alter(self, work: Work[T]) -> T:
        """See `Database.alter`."""

        def alone(connection: Connection) -> T:
            self._lock_schema(connection)
            return work(connection)

        return await self._run(self._altering, alone)

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`."""
        return await asyncio.shield(self._started(self._look, work))

    def is_alone(self, connection: Connection, /) -> bool:
        """See `Database.is_alone`: a copy that lives has a connection, one that was killed has none."""
        return not connection.execute(OTHERS, {"own": sorted(self._own)}).scalar_one()

    async def close(self) -> None:
        """See `Database.close`. The pool would connect anew for a batch that still waits."""
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        for engine in (self._engine, self._altering):
            await engine.dispose()

    async def _run(self, engine: AsyncEngine, work: Work[T]) -> T:
        return await self.told(self._started(self._transact, engine, work))

    def _started(
        self, run: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **named: P.kwargs
    ) -> asyncio.Task[T]:
        """A task that goes on when its caller is cancelled: its connection comes back to the pool."""
        if self._closed:
            raise DatabaseClosed
        task = asyncio.create_task(run(*args, **named), name=f"{self._schema}-database")
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # its caller is gone, perhaps: nobody else asks

    async def _look(self, work: Work[T]) -> T:
        with _away_is_unavailable(READ_ONLY):
            await self._ensure_schema()
            async with self._reading.connect() as connection:
                return await connection.run_sync(work)

    async def _transact(self, engine: AsyncEngine, work: Work[T]) -> tuple[T, Kinds]:
        with _away_is_unavailable():
            await self._ensure_schema()
            for number in range(1, TRIES):
                try:
                    async with engine.begin() as connection:
                        return await connection.run_sync(self.marking, work)
                except exc.DBAPIError as error:
                    if _state(error) not in (*COLLISIONS, TAKEN):
                        raise
                    structlog.get_logger().info(
                        "database.again", schema=self._schema, sqlstate=_state(error), tries=number
                    )
                await asyncio.sleep(AGAIN_S * 2 ** (number - 1))
            async with engine.begin() as connection:
                return await connection.run_sync(self.marking, work)

    async def _ensure_schema(self) -> None:
        if not self._ready:
            async with self._altering.begin() as connection:
                await connection.run_sync(self._create_schema)
            self._ready = True

    def _create_schema(self, connection: Connection) -> None:
        """A role that may not create schemas can be given one."""
        there = text("SELECT to_regnamespace(quote_ident(:name)) IS NOT NULL")
        if not connection.execute(there, {"name": self._schema}).scalar_one():
            self._lock_schema(connection)
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"'))

    def _lock_schema(self, connection: Connection) -> None:
        """Let one transaction at a time change the schema, of copies that start together."""
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"payg:{self._schema}"}
        )

    def _connecting(self, url: str, *, command_s: float | None = COMMAND_S, **options: Any) -> AsyncEngine:
        return create_async_engine(
            _with_options(make_url(url)),
            hide_parameters=True,
            connect_args={
                "timeout": CONNECT_S,
                "command_timeout": command_s,
                "server_settings": {"search_path": self._schema, "application_name": f"payg:{self._schema}"},
            },
            **options,
        )

    def _connected(self, connection: DBAPIConnection, _record: object) -> None:
        """A number is kept when its connection closes: the server may list it for a moment still."""
        self._own.add(_driver(connection).get_server_pid())


def _with_options(url: URL) -> URL:
    """libpq's `sslmode` is asyncpg's `ssl`; what asyncpg does not know it would only tell in a traceback."""
    options = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
    if unknown := options.keys() - {"host", "port", "ssl"}:
        raise DatabaseUrlError(f"{min(unknown)!r} is no option of it; host, port and sslmode are")
    if not str(options.get("port", 0)).isdecimal():
        raise DatabaseUrlError("its port is no number")
    if options.get("ssl", SSL_MODES[0]) not in SSL_MODES:
        raise DatabaseUrlError(f"its sslmode is none; take one of {', '.join(SSL_MODES)}")
    return url.set(drivername="postgresql+asyncpg", query=options)


def _usable(connection: DBAPIConnection, _record: object, _proxy: object) -> None:
    """A server that went away has closed its connections: the pool makes new ones before anybody fails."""
    if _driver(connection).is_closed():
        raise exc.InvalidatePoolError


def _driver(connection: DBAPIConnection) -> _Driver:
    """Below SQLAlchemy's adapter."""
    return cast(AdaptedConnection, connection).driver_connection


@contextmanager
def _away_is_unavailable(besides: str = "") -> Generator[None]:
    """`besides`: an SQLSTATE that is a mistake of ours all the same."""
    try:
        yield
    except (exc.SQLAlchemyError, OSError) as error:  # OSError: no server there, or it does not answer
        if not _is_away(error) or (besides and _state(error) == besides):
            raise
        structlog.get_logger().warning(
            "database.away", error=type(getattr(error, "orig", error)).__name__, sqlstate=_state(error)
        )
        # What the driver says quotes no parameter and no password.
        said = str(getattr(error, "orig", None) or error) or type(error).__name__
        raise DatabaseAway(f"--database-url: no database answers there: {said}") from error


def _is_away(error: Exception) -> bool:
    """Whether it is the database that fails, and not what it was asked."""
    if isinstance(error, exc.DBAPIError):
        return error.connection_invalidated or _state(error).startswith(AWAY) or _state(error) in COLLISIONS
    return isinstance(error, OSError | exc.TimeoutError)  # exc.TimeoutError: no free connection in the pool


def _state(error: Exception) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")
