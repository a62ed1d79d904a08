"""momo keeps its own document: schemathesis asks, a real service with a real key answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from backend.kit.database import open_database
from backend.kit.http import AiohttpClient
from backend.momo.providers.mtn import MtnConfig, MtnProvider
from backend.momo.routes import make_app
from backend.momo.service import Config, MomoService
from tests.backend import contract

KNOWN = {
    "reference": "254543",
    "market": "UG",
    "currency": "UGX",
    "business_account": "paybill",
    "provider_key": "ug_mtn_mobilemoney",
    "amount_subunit": 5000_00,
}
UNREACHABLE = "http://127.0.0.1:9"


def test_the_service_keeps_its_document(database_url: str, clock, entropy, billing) -> None:
    @asynccontextmanager
    async def app() -> AsyncIterator[web.Application]:
        database = open_database(database_url, "momo")
        client = AiohttpClient()
        mtn = MtnConfig(UNREACHABLE, "mtnuganda", "UGX", "user", "key", "sub")
        momo = MomoService(
            database=database,
            clock=clock,
            entropy=entropy,
            config=Config(UNREACHABLE, b"pepper"),
            billing=billing,
            providers={"ug_mtn_mobilemoney": MtnProvider(mtn, http=client, clock=clock)},
        )
        await momo.start()
        await momo.install_key("key", client="mese")
        yield make_app(momo, momo.keys)
        await momo.stop()
        await client.close()
        await database.close()

    with contract.served(app) as url:
        contract.run(contract.document_of(url), headers={"API-KEY": "key"}, known=KNOWN)
