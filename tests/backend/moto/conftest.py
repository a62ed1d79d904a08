"""A token service with one key and two registered devices, and its HTTP application."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.database import Database, open_database
from backend.moto.routes import make_app
from backend.moto.service import MotoConfig, MotoService
from simulator.clock import ManualClock, SeededEntropy

KEY = "moto-test-key"
MOTO_SECRET = "00112233AABBCC"
OPENPAYGO_SECRET = "dac86b1a29ab82edc5fbbc41ec9530f6"  # K2 of spec/openpaygo.md


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url, "moto")
    yield opened
    await opened.close()


@pytest.fixture
async def service(database: Database, clock: ManualClock, entropy: SeededEntropy) -> MotoService:
    started = MotoService(
        database=database, clock=clock, entropy=entropy, config=MotoConfig(master_key=bytes(32))
    )
    await started.start()
    await started.install_key(key=KEY, client="tester")
    await started.register(serial="M/1", secret_hex=MOTO_SECRET, family="moto", market="UG")
    await started.register(serial="O/1", secret_hex=OPENPAYGO_SECRET, family="openpaygo", market="UG")
    return started


@pytest.fixture
async def http(service: MotoService) -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(make_app(service, service.keys)), headers={"API-KEY": KEY}) as client:
        yield client
