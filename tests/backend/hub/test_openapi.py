"""The hub keeps its own document: schemathesis asks, the real services answer."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from backend.hub.routes import make_app
from backend.hub.service import Hub
from backend.kit.database import open_database
from backend.kit.http import AiohttpClient
from simulator.clock import ManualClock, SeededEntropy
from tests.backend import contract
from tests.backend.hub.conftest import KEY, SERIAL, started

KNOWN = {"identifier": SERIAL, "serial_number": SERIAL, "days": 3, "hours": 0, "command": {"name": "sync"}}


class Patient(ManualClock):
    """Each look at it is a second later, so that no rate limit is ever reached."""

    def now_ms(self) -> int:
        self.advance(1)
        return super().now_ms()


def test_the_hub_keeps_its_document(database_url: str) -> None:
    @asynccontextmanager
    async def app() -> AsyncIterator[web.Application]:
        async with AsyncExitStack() as stack:
            http = AiohttpClient()
            stack.push_async_callback(http.close)
            clock = Patient(1_764_583_800_000)
            world = await stack.enter_async_context(started(database_url, clock, SeededEntropy(1), http))
            database = open_database(database_url, "hub")
            stack.push_async_callback(database.close)
            hub = Hub(database=database, clock=clock, pepper=bytes(32), partners=world.local())
            await hub.start()
            await hub.install_key(key=KEY, client="partner")
            yield make_app(hub)

    with contract.served(app) as url:
        contract.run(contract.document_of(url), headers={"X-API-Key": KEY}, known=KNOWN)
