"""The second half of `make soak`: a storm of STORM_PAYMENTS (10,000) payments; its seed is printed.

STORM_SEED repeats the chances of an earlier run, STORM_PER_S is how many payments begin a second,
STORM_ENGINE=postgresql has a server of its own instead of SQLite. Exit code 1 when anything is wrong.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.storm.storm import Weather, engine, run

PAYMENTS = int(os.environ.get("STORM_PAYMENTS", "10000"))
SEED = int(os.environ.get("STORM_SEED") or int.from_bytes(os.urandom(3), "big"))


async def main() -> int:
    """The exit code."""
    weather = Weather(
        payments=PAYMENTS,
        seed=SEED,
        devices=min(120, max(20, PAYMENTS // 10)),
        per_s=float(os.environ.get("STORM_PER_S", "12")),
        kill_every_s=float(os.environ.get("STORM_KILL_EVERY_S", "10")),
        status_interval_s=6,
        calm_s=600.0,
    )
    print(f"storm of {PAYMENTS} payments, STORM_SEED={SEED}", flush=True)
    async with engine(os.environ.get("STORM_ENGINE", "sqlite")) as url:
        with tempfile.TemporaryDirectory() as folder:
            report = await run(Path(os.environ.get("STORM_DIR", folder)), weather, database_url=url)
    print(report, flush=True)
    return 0 if report.sound else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
