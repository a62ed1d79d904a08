"""The server of the confirm benchmark: the real Solarium on SQLite with durable commits, in its own process.

Everything is wired as in production, the dispatcher included, but Moto never answers: the first orders stay
in the dispatcher's hands, all others in the outbox. What is measured is what confirm_payment itself writes.
"""

import argparse
import asyncio
import signal
from pathlib import Path

import structlog
import uvloop
from aiohttp import web

from backend.kit import collector
from backend.kit.batch import MAX_BATCH
from backend.kit.database import open_database
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.solarium.orders import Partners
from backend.solarium.routes import make_app
from backend.solarium.service import NewAccount, Solarium, SolariumConfig
from tests.bench.confirm_ordinary import OneByOne

API_KEY = "bench-key"
ACCOUNTS = 2_000
PRICE_SUBUNIT = 50_000


class Silent:
    """Partners that never answer."""

    async def order(self, **_: object) -> object:
        return await asyncio.Event().wait()

    create = send = order


def accounts() -> list[NewAccount]:
    """Customers of one business account."""
    return [
        NewAccount(
            reference=f"{100_000 + number}",
            business_account="600100",
            provider_key="ug_mtn_mobilemoney",
            currency="UGX",
            market="UG",
            customer_name="John Doe",
            msisdn=f"2567{number:08}",
            device=f"SCBLNX/A/BT/{100_000 + number}",
            price_per_day_subunit=PRICE_SUBUNIT,
        )
        for number in range(ACCOUNTS)
    ]


async def serve(folder: Path, mode: str) -> None:
    """Serve until SIGTERM; the port goes to standard output."""
    database = open_database(f"sqlite:///{folder}", "solarium")
    silent = Silent()
    service = Solarium(
        database=database,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        config=SolariumConfig(
            master_key=bytes(32),
            callback_base="http://127.0.0.1:1",
            callback_secret=bytes(32),
            max_batch=1 if mode == "single" else MAX_BATCH,
        ),
        partners=Partners(tokens=silent, commands=silent, sms=silent),  # type: ignore[arg-type]
    )
    if mode == "ordinary":
        service.book = OneByOne(service).book  # type: ignore[method-assign]
    await service.start()
    await service.register_accounts(accounts())
    await service.install_key(API_KEY, client="bench")
    runner = web.AppRunner(make_app(service, service.keys), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    collector.settle()
    print(runner.addresses[0][1], flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await runner.cleanup()
    await service.stop()
    await database.close()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("mode", choices=("batch", "single", "ordinary"))
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    uvloop.run(serve(options.folder, options.mode))


if __name__ == "__main__":
    main()
