"""A database, and mega built of it and of whatever providers a test wants."""

import pytest

from backend.kit.database import open_database
from tests.backend.mega.rig import build_mega


@pytest.fixture
async def database(database_url):
    database = open_database(database_url, "mega")
    yield database
    await database.close()


@pytest.fixture
def build(database, clock, entropy):
    return lambda providers, **more: build_mega(database, clock, entropy, providers, **more)
