"""confirm_payment under 256 connections, in one run: the write batch, and one transaction a request.

Each in a server of its own (confirm_server.py) on a SQLite file of its own; the load (confirm_load.py) is a
process too and goes to one after the other, in turns. "One transaction a request" is what a service without
write batches does (confirm_ordinary.py); besides it the batch's own set-based code with one request a batch.
Afterwards each ledger is audited: every answered payment must be booked.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from backend.kit.database import open_database
from backend.solarium.audit import audit
from backend.solarium.store import Store

CONNECTIONS = 256
ROUNDS = 3
STOP_S = 10.0
MODES = {
    "batch": "write batch",
    "ordinary": "one transaction a request",
    "single": "the batch's code, one request a batch",
}

Result = dict[str, Any]


def run(seconds: float) -> Result:
    """Medians of ROUNDS turns of `seconds` for each mode, and of the batch's ratios to the others."""
    turns: dict[str, list[Result]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory() as folder:
        homes = {mode: Path(folder) / mode for mode in MODES}
        with ExitStack() as servers:
            ports = {mode: servers.enter_context(_server(homes[mode], mode)) for mode in MODES}
            for turn in range(ROUNDS):
                for mode, port in ports.items():
                    turns[mode].append(_load(port, seconds, first=turn * 10_000_000))
        for mode in MODES:
            _check(mode, homes[mode], turns[mode])
    result: Result = {mode: _median(turns[mode]) for mode in MODES}
    for mode in ("ordinary", "single"):
        pairs = zip(turns["batch"], turns[mode], strict=True)
        result[f"times_{mode}"] = statistics.median(batch["per_s"] / other["per_s"] for batch, other in pairs)
    return result


def report(result: Result) -> None:
    """Print the figures side by side."""
    print(f"confirm_payment, {CONNECTIONS} connections, SQLite, durable commits, outbox rows written:")
    for mode, text in MODES.items():
        figures = result[mode]
        print(
            f"  {text:38} {figures['per_s']:6.0f}/s  p50 {figures['p50_ms']:6.1f} ms  "
            f"p99 {figures['p99_ms']:6.1f} ms"
        )
    print(
        f"  the batch is {result['times_ordinary']:.1f} times one transaction a request (goal: 12), "
        f"{result['times_single']:.1f} times its own code without batches"
    )


@contextmanager
def _server(folder: Path, mode: str) -> Iterator[int]:
    """A server in a process of its own; its port."""
    command = [sys.executable, "-m", "tests.bench.confirm_server", str(folder), mode]
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


def _check(mode: str, folder: Path, turns: list[Result]) -> None:
    """Every answer was 200, and what was answered is in a sound ledger."""
    statuses = {status for turn in turns for status in turn["statuses"]}
    confirmed = sum(turn["statuses"]["200"] for turn in turns)

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
