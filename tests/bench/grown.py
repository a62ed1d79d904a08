"""`make grown`: the services' rates on a database of years beside an empty one, and the memory of `payg up`.

    python -m tests.bench.grown [--payments 1000000] [--devices 100000] [--engine ENGINE] [NAME ...]

Each service's database is filled once (SERVICE_fill.py), its benches run on it and on an empty one in turns,
with requests for all of the devices; on SQLite, then on PostgreSQL, durable commits. Before PostgreSQL,
`payg up` runs on the filled SQLite files while payments come in, and its memory is read.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from itertools import count
from pathlib import Path

import asyncpg
import uvloop

from backend.data_dir import SECRETS, write_private
from backend.kit.database import open_database
from tests.bench.bench import BATCH, DEVICES, MASTER_KEY, Bench
from tests.bench.m2m_load import ROUND
from tests.bench.processes import Load, load, postgresql, server
from tests.bench.table import BENCHES
from tests.scenarios.up_process import running

ENGINES = ("sqlite", "postgresql")
SHARE = 0.7  # of the rate on an empty database: the goal
TURNS = 3
SECONDS = 4.0
MEMORY_S = 120.0  # a goal of flatness wants time for a leak to show
READ_EVERY_S = 5.0
SETTLED = 0.25  # of the readings: caches fill before
MORE = 1.1  # times the settled memory is still flat


def known(bench: Bench, devices: int) -> int:
    """How many devices the requests on the filled database are for: all, where they need no link key."""
    if bench.name == "/m2m/command":
        return devices // ROUND  # its requests go round so many times as many
    return DEVICES if bench.service == "m2m" else devices


def run(bench: Bench, filled: str, empty: str, *, devices: int) -> tuple[list[Load], list[Load]]:
    """Turns on the databases at these URLs; AssertionError if an answer was wrong."""
    turns: tuple[list[Load], list[Load]] = ([], [])
    with ExitStack() as servers:
        ports = [servers.enter_context(server(bench.name, url, BATCH))[1] for url in (empty, filled)]
        first = TURNS * list(BENCHES).index(bench.name)  # benches of a service share its filled database
        for turn in range(first, first + TURNS):
            for port, taken, number in zip(ports, turns, (DEVICES, known(bench, devices)), strict=True):
                result = load(bench.name, port, turn=turn, seconds=SECONDS, devices=number)
                assert not result["wrong"], f"{bench.name}: {result['wrong']}"
                taken.append(result)
    return turns


def report(bench: Bench, empty: list[Load], filled: list[Load]) -> None:
    """Print the rates and their ratio."""
    share = statistics.median(
        on_filled["per_s"] / on_empty["per_s"] for on_empty, on_filled in zip(empty, filled, strict=True)
    )
    rates = [bench.items * statistics.median(turn["per_s"] for turn in turns) for turns in (empty, filled)]
    verdict = "met" if share >= SHARE else "MISSED"
    print(
        f"{bench.name:24} empty {rates[0]:7.0f}/s   filled {rates[1]:7.0f}/s   {share:4.0%}"
        f"  goal {SHARE:.0%}: {verdict}",
        flush=True,
    )


async def fill(service: str, url: str, *, devices: int, payments: int) -> None:
    """Fill a service's database."""
    started = time.perf_counter()
    database = open_database(url, service)
    filling = import_module(f"tests.bench.{service}_fill").fill
    await filling(database, master_key=MASTER_KEY, devices=devices, payments=payments)
    await database.close()
    print(f"{service}: filled in {time.perf_counter() - started:.0f} s", flush=True)


async def memory(folder: Path, *, devices: int) -> None:
    """`payg up` on the filled databases: its memory while payments come in as fast as it takes them."""
    async with running(folder, devices=20) as up:
        assert up.process is not None
        port = int(up.credentials["http"].rpartition(":")[2])
        readings: list[float] = []
        paying = asyncio.create_task(
            asyncio.to_thread(
                load,
                "confirm_payment",
                port,
                turn=TURNS,
                seconds=MEMORY_S,
                devices=devices,
                prefix="/solarium",
            )
        )
        while not paying.done():
            await asyncio.sleep(READ_EVERY_S)
            readings.append(_resident_mb(up.process.pid))
        result = await paying
        assert not result["wrong"], result["wrong"]
    settled = readings[int(len(readings) * SETTLED)]
    shown = " ".join(f"{each:.0f}" for each in readings[:: max(1, len(readings) // 8)])
    verdict = "flat" if readings[-1] <= settled * MORE else "GROWS"
    print(f"payg up, {result['answered']} payments at {result['per_s']:.0f}/s: MB {shown}: {verdict}")


async def settle(url: str) -> None:
    """Have PostgreSQL do now what it does by itself in the years: clear up, and take statistics."""
    connection = await asyncpg.connect(url)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def compare(
    names: Sequence[str], filled: str, empty: Callable[[], str], *, devices: int, payments: int
) -> None:
    """Fill the database at `filled`, and run the benches on it and on an empty one each."""
    chosen = [BENCHES[name] for name in names or BENCHES]
    for service in dict.fromkeys(bench.service for bench in chosen):
        uvloop.run(fill(service, filled, devices=devices, payments=payments))
    if filled.startswith("postgresql"):
        uvloop.run(settle(filled))
    for bench in chosen:
        report(bench, *run(bench, filled, empty(), devices=devices))


def main() -> None:
    """Fill, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.grown")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--engine", choices=ENGINES, help="default: one after the other")
    options = parser.parse_args()
    size = {"devices": options.devices, "payments": options.payments}
    if options.engine != "postgresql":
        with tempfile.TemporaryDirectory() as temporary:
            filled = Path(temporary) / "filled"
            filled.mkdir()
            write_private(filled / SECRETS, {"master_key": MASTER_KEY.hex()})
            empty = (f"sqlite:///{temporary}/empty{number}" for number in count())
            print("SQLite", flush=True)
            compare(options.names, f"sqlite:///{filled}", lambda: next(empty), **size)
            if not options.names:
                uvloop.run(memory(filled, devices=options.devices))
    if options.engine != "sqlite":
        with postgresql() as postgres:
            print("PostgreSQL", flush=True)
            compare(options.names, postgres.create(), postgres.create, **size)


if __name__ == "__main__":
    main()
