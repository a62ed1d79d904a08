"""mega keeps its own document: schemathesis asks, a real service with a real key and hook secret answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from backend.kit.database import open_database
from backend.mega.routes import make_app
from simulator.clock import ManualClock, SeededEntropy
from tests.backend import contract
from tests.backend.mega.rig import CONFIG, ProviderFake, TraceableFake, build_mega


def test_the_service_keeps_its_document(database_url: str) -> None:
    @asynccontextmanager
    async def app() -> AsyncIterator[web.Application]:
        database = open_database(database_url, "mega")
        providers = {"africastalking": ProviderFake(), "pindo": ProviderFake(), "infobip": TraceableFake()}
        mega = build_mega(database, ManualClock(1_764_583_800_000), SeededEntropy(1), providers)
        await mega.start()
        await mega.install_key("key", client="solarium")
        yield make_app(mega, mega.keys)
        await mega.stop()
        await database.close()

    with contract.served(app) as url:
        contract.run(
            contract.document_of(url),
            headers={"X-API-Key": "key"},
            secrets={"secret": CONFIG.dlr_secret},
            known={"to": "+256772123456", "market": "UG", "status": "delivered", "callback_url": None},
        )
