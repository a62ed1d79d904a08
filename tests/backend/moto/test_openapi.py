"""moto keeps its own document: schemathesis asks, a real service with a real key answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from backend.kit.database import open_database
from backend.moto.routes import make_app
from backend.moto.service import MotoConfig, MotoService
from simulator.clock import ManualClock, SeededEntropy
from tests.backend import contract

KEY = "moto-test-key"
KNOWN = {
    "device": "M/1",
    "command": "unlock_relative",
    "payload": 1,
    "secret": "00112233AABBCC",
    "family": None,
    "serial": "M/1",
    "market": "UG",
    "state": "lost",
}


def test_the_service_keeps_its_document(database_url: str) -> None:
    @asynccontextmanager
    async def app() -> AsyncIterator[web.Application]:
        database = open_database(database_url, "moto")
        service = MotoService(
            database=database,
            clock=ManualClock(1_764_583_800_000),
            entropy=SeededEntropy(1),
            config=MotoConfig(master_key=bytes(32)),
        )
        await service.start()
        await service.install_key(key=KEY, client="tester")
        await service.registry.register(serial="M/1", secret_hex="00112233AABBCC", family="moto", market="UG")
        yield make_app(service, service.keys)
        await service.stop()
        await database.close()

    with contract.served(app) as url:
        contract.run(contract.document_of(url), headers={"API-KEY": KEY}, known=KNOWN)
