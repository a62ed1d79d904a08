"""Runs a bench: each mode in a server process of its own on each database, a load process that goes from one
to the next in turns, and an audit after each turn of what was answered.

What is printed are medians of the turns, and of the turns' ratios, since modes that take turns share a busy
machine.
"""

import asyncio
import statistics
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, cast

from backend.kit.database import open_database
from tests.bench.bench import MODE_NAMES, Bench, Side
from tests.bench.processes import Postgres, cpu_s, load, server

TURNS = 3
OTHER_SECONDS = 1.5
SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"

Figures = Mapping[str, float]


@dataclass(slots=True)
class Contestant:
    """One mode on one database, and its turns."""

    database: str
    mode: str
    url: str
    pid: int
    port: int
    turns: list[dict[str, Any]] = field(default_factory=list)

    def median(self, name: str) -> float:
        return statistics.median(turn[name] for turn in self.turns)


def run(bench: Bench, postgres: Postgres, *, turns: int = TURNS) -> list[Contestant]:
    """All modes on both databases; AssertionError if an answer was wrong or is not stored."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        contestants: list[Contestant] = []
        for name in (SQLITE, POSTGRESQL):
            for mode in bench.modes:
                url = f"sqlite:///{folder}/{mode}" if name == SQLITE else postgres.create()
                pid, port = servers.enter_context(server(bench.name, url, mode))
                contestants.append(Contestant(name, mode, url, pid, port))
        for turn in range(turns):
            for each in contestants:
                _take_turn(bench, each, turn, postgres)
        return contestants


def _take_turn(bench: Bench, contestant: Contestant, turn: int, postgres: Postgres) -> None:
    seconds = bench.seconds.get(contestant.mode, OTHER_SECONDS)
    pids = {"service_us": contestant.pid}
    if contestant.database == POSTGRESQL:  # SQLite's part is in the service
        pids["database_us"] = postgres.pid
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    result = load(bench.name, contestant.port, turn=turn, seconds=seconds)
    for name, pid in pids.items():
        result[name] = (cpu_s(pid) - before[name]) / result["answered"] / bench.items * 1e6
    result.setdefault("database_us", 0.0)
    result["load_us"] /= bench.items
    result["per_s"] *= bench.items
    contestant.turns.append(result)
    assert not result["wrong"], f"{bench.name}, {contestant.database}, {contestant.mode}: {result['wrong']}"
    asyncio.run(_audit(bench, contestant))


async def _audit(bench: Bench, contestant: Contestant) -> None:
    """Everything that was answered is stored, and what is stored is sound."""
    side = cast(Side, import_module(f"tests.bench.{bench.service}_side"))
    database = open_database(contestant.url, bench.service)
    stored = await side.stored(database, bench.name)
    await database.close()
    answered = sum(turn["answered"] for turn in contestant.turns) * bench.items
    sent = (
        answered + bench.connections * len(contestant.turns) * bench.items
    )  # some were on their way at the end
    where = f"{bench.name}, {contestant.database}, {contestant.mode}"
    assert stored is None or answered <= stored <= sent, f"{where}: {answered} answered, {stored} stored"


def report(bench: Bench, contestants: list[Contestant]) -> None:
    """Print the figures side by side."""
    print(
        f"{bench.name}: {bench.connections} connections, durable commits, no error. "
        f"The seed asks for {bench.seed}."
    )
    print(f"  {'':46}  a second  p50 ms  p99 ms    service database load: CPU us each")
    for each in contestants:
        columns = (
            ("per_s", 10),
            ("p50_ms", 8),
            ("p99_ms", 8),
            ("service_us", 11),
            ("database_us", 9),
            ("load_us", 5),
        )
        figures = "".join(f"{each.median(name):{width}.0f}" for name, width in columns)
        print(f"  {each.database:11}{MODE_NAMES[each.mode]:35}{figures}{_verdict(bench, each)}")
    for name in (SQLITE, POSTGRESQL):
        modes = {each.mode: each for each in contestants if each.database == name}
        first = modes[bench.modes[0]]
        for mode in bench.modes[1:]:
            pairs = zip(first.turns, modes[mode].turns, strict=True)
            times = statistics.median(turn["per_s"] / other["per_s"] for turn, other in pairs)
            print(f"  {name}: {MODE_NAMES[first.mode]} {times:.1f} times {MODE_NAMES[mode]}")


def _verdict(bench: Bench, contestant: Contestant) -> str:
    if contestant.mode != bench.modes[0]:
        return ""
    slow = contestant.median("per_s") < bench.goal_per_s
    late = bench.goal_p99_ms is not None and contestant.median("p99_ms") > bench.goal_p99_ms
    goal = f"{bench.goal_per_s}/s" + (f", p99 {bench.goal_p99_ms} ms" if bench.goal_p99_ms else "")
    return f"  goal {goal}: {'MISSED' if slow or late else 'met'}"
