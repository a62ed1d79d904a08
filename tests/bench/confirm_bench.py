"""confirm_payment under 256 connections: the write batch beside one transaction a request, in one run.

Two servers (confirm_server.py) of the same code, one with batches of up to 512 and one with `max_batch=1`,
each on a SQLite file of its own. The load (confirm_load.py) is a process too and goes to them in turn.
Afterwards both ledgers are audited: every answered payment must be booked.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.kit.batch import MAX_BATCH
from backend.kit.database import open_database
from backend.solarium.audit import audit
from backend.solarium.store import Store

CONNECTIONS = 256
ROUNDS = 3
STOP_S = 10.0
MODES = {"batch": MAX_BATCH, "single": 1}  # largest batch

Result = dict[str, Any]


def run(seconds: float) -> Result:
    """Medians of ROUNDS turns of `seconds` for each mode, their ratio, and what the audits found."""
    turns: dict[str, list[Result]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory() as folder:
        homes = {mode: Path(folder) / mode for mode in MODES}
        with _server(homes["batch"], MODES["batch"]) as batch, _server(homes["single"], 1) as single:
            ports = {"batch": batch, "single": single}
            for turn in range(ROUNDS):
                for mode, port in ports.items():
                    turns[mode].append(_load(port, seconds, first=turn * 10_000_000))
        result: Result = {mode: _median(turns[mode]) for mode in MODES}
        for mode in MODES:
            _check(mode, homes[mode], sum(turn["statuses"]["200"] for turn in turns[mode]), turns[mode])
    result["ratio"] = result["batch"]["per_s"] / result["single"]["per_s"]
    return result


def report(result: Result) -> None:
    """Print the figures side by side."""
    print(f"confirm_payment, {CONNECTIONS} connections, SQLite, durable commits (outbox written, not run):")
    for mode, text in (("batch", "write batch"), ("single", "one transaction a request")):
        figures = result[mode]
        print(
            f"  {text:26} {figures['per_s']:7.0f}/s  p50 {figures['p50_ms']:7.1f} ms  "
            f"p99 {figures['p99_ms']:7.1f} ms"
        )
    print(f"  the batch is {result['ratio']:.1f} times the other (goal: 12 times, and 4,000/s)")


@contextmanager
def _server(folder: Path, max_batch: int) -> Iterator[int]:
    """A server in a process of its own; its port."""
    command = [sys.executable, "-m", "tests.bench.confirm_server", str(folder), f"--max-batch={max_batch}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(STOP_S)


def _load(port: int, seconds: float, first: int) -> Result:
    command = [
        *(sys.executable, "-m", "tests.bench.confirm_load", str(port)),
        *(f"--connections={CONNECTIONS}", f"--seconds={seconds}", f"--first={first}"),
    ]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _median(turns: list[Result]) -> Result:
    return {name: statistics.median(turn[name] for turn in turns) for name in ("per_s", "p50_ms", "p99_ms")}


def _check(mode: str, folder: Path, confirmed: int, turns: list[Result]) -> None:
    """Every answer was 200, and what was answered is in a sound ledger."""
    statuses = {status for turn in turns for status in turn["statuses"]}

    async def read() -> Any:
        database = open_database(f"sqlite:///{folder}", "solarium")
        found = await database.read(lambda connection: audit(connection, Store(b"")))
        await database.close()
        return found

    found = asyncio.run(read())
    if statuses != {"200"} or not found.sound or found.payments < confirmed:
        raise AssertionError(f"{mode}: {confirmed} confirmed, statuses {statuses}, {found}")


if __name__ == "__main__":
    report(run(seconds=4.0))
