"""The server process: one service on a database of its own, over HTTP on loopback.

    python -m tests.bench.server BENCH DATABASE_URL MODE

The port goes to standard output; SIGTERM ends it.
"""

import argparse
import asyncio
import signal
from importlib import import_module
from typing import cast

import structlog
import uvloop
from aiohttp import web

from backend.kit import collector
from backend.kit.database import open_database
from tests.bench.bench import CONNECTIONS, MODE_NAMES, Side
from tests.bench.table import BENCHES

CLOSE_S = 0.5  # then whatever is left is cancelled: nobody waits for its answer


async def serve(bench: str, database_url: str, mode: str) -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    service = BENCHES[bench].service
    side = cast(Side, import_module(f"tests.bench.{service}_side"))
    database = open_database(database_url, service)
    running = await side.start(database, bench, mode)
    runner = web.AppRunner(running.app, access_log=None, shutdown_timeout=CLOSE_S)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4 * CONNECTIONS).start()
    collector.settle()
    print(runner.addresses[0][1], flush=True)
    await stopped.wait()
    await runner.cleanup()
    await running.stop()
    await database.close()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bench", choices=BENCHES)
    parser.add_argument("database_url")
    parser.add_argument("mode", choices=MODE_NAMES)
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    uvloop.run(serve(options.bench, options.database_url, options.mode))


if __name__ == "__main__":
    main()
