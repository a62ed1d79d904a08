"""What the services' tests stand on: a clock that is moved by hand, seeded ids, a database of their own."""

from collections.abc import AsyncIterator

import pytest

from backend.kit.http import AiohttpClient
from simulator.clock import ManualClock, SeededEntropy

START_MS = 1_764_583_800_000  # 2025-12-01T10:10:00Z


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START_MS)


@pytest.fixture
def entropy() -> SeededEntropy:
    return SeededEntropy(1)


@pytest.fixture
async def http_client() -> AsyncIterator[AiohttpClient]:
    client = AiohttpClient()
    yield client
    await client.close()
