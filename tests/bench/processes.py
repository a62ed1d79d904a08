"""The processes of a bench: servers, loads, a PostgreSQL server, and the CPU time that they use."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from tests.bench.bench import DEVICES
from tests.postgresql import Databases, Server

STOP_S = 60.0  # a busy machine; usually a second
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


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL server with its own defaults: commits are durable."""

    pid: int
    create: Callable[[], str]  # the URL of a new, empty database


@contextmanager
def postgresql() -> Generator[Postgres]:
    """A server of its own; its folder's path is short, for its socket's sake."""
    with tempfile.TemporaryDirectory(prefix="payg") as folder:
        server = Server(Path(folder) / "pg", hasty=False)
        try:
            asyncio.run(_check_durable(server.url))
            yield Postgres(server.pid, partial(Databases(server.url).create, empty=True))
        finally:
            server.close()


async def _check_durable(url: str) -> None:
    connection = await asyncpg.connect(url)
    for name in DURABLE:
        assert await connection.fetchval(f"SHOW {name}") == "on", name
    await connection.close()


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
