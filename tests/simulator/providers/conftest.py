"""A partner that keeps what the sandboxes send it, in the place of their HTTP port."""

import asyncio
import json

import pytest

from backend.kit.database import open_database
from backend.kit.http import HttpAnswer
from backend.kit.runtime import SystemClock, SystemEntropy


class PartnerFake:
    """`calls` has (url, headers, body) of every POST; `answer` is what each is answered."""

    def __init__(self):
        self.calls: asyncio.Queue = asyncio.Queue()
        self.answer = HttpAnswer(200, {}, b"{}")

    async def request(self, method, url, *, headers=None, body=b"", timeout_s=10.0):
        assert method == "POST"
        await self.calls.put((url, headers, json.loads(body)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def partner_fake():
    return PartnerFake()


@pytest.fixture
async def parts(database_url, partner_fake):
    """What a sandbox is built of."""
    database = open_database(database_url, "sandbox")
    yield {
        "database": database,
        "clock": SystemClock(),
        "entropy": SystemEntropy(),
        "http": partner_fake,
    }
    await database.close()
