"""mese keeps its own document: schemathesis asks, a real service answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from backend.kit.database import open_database
from backend.mese.routes import make_app
from tests.backend import contract


def test_the_service_keeps_its_document(database_url: str, build_host) -> None:
    @asynccontextmanager
    async def app() -> AsyncIterator[web.Application]:
        database = open_database(database_url, "mese")
        service = build_host(database)
        await service.start()
        yield make_app(service, secret="$HOOK_SECRET", development=True)
        await service.stop()
        await database.close()

    with contract.served(app) as url:
        contract.run(contract.document_of(url), headers={})
