"""Solarium on a database of its own, with fake partners, and over HTTP."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.database import Database, open_database
from backend.kit.http import AiohttpClient
from backend.solarium.client import SolariumClient
from backend.solarium.routes import make_app
from backend.solarium.service import Solarium
from simulator.clock import ManualClock, SeededEntropy
from tests.backend.solarium.fakes import API_KEY, FakePartners, account, make_service


@pytest.fixture
def partners() -> FakePartners:
    return FakePartners()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = open_database(database_url, "solarium")
    yield database
    await database.close()


@pytest.fixture
async def service(
    database: Database, clock: ManualClock, entropy: SeededEntropy, partners: FakePartners
) -> AsyncIterator[Solarium]:
    service = make_service(database, clock, entropy, partners)
    await service.start()
    await service.register_accounts([account()])
    await service.install_key(API_KEY, client="momo")
    await service.install_client("shop", "shop-secret")
    yield service
    await service.stop()


@pytest.fixture
async def http(service: Solarium) -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(make_app(service, service.keys))) as client:
        yield client


@pytest.fixture
def client(http: TestClient, http_client: AiohttpClient) -> SolariumClient:
    return SolariumClient(http=http_client, base_url=str(http.make_url("")), api_key=API_KEY)
