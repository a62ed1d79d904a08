"""Billing and provider as fakes of momo's ports, and a loop in virtual time."""

import asyncio
import selectors
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.database import open_database
from backend.kit.runtime import parse_iso
from backend.momo.routes import make_app
from backend.momo.schedule import Plan
from backend.momo.service import Config, MomoService
from tests.backend.momo.provider import ProviderFake

START_MS = 1_764_583_800_000
ANSWER_S = 10.0  # real ones, for a database


@dataclass
class Validated:
    status: str
    customer_name: str | None = None


@dataclass
class Route:
    reference: str
    business_account: str = "paybill"
    currency: str = "UGX"
    provider_keys: tuple[str, ...] = ("ug_airtel_money", "ug_mtn_mobilemoney")
    customer_name: str | None = "John Doe"


@dataclass
class Booked:
    id: int
    provider_tx: str
    amount_subunit: int
    currency: str
    at_ms: int


@dataclass
class BillingFake:
    """Books every (provider_tx, provider_key) once; `confirmed` lists every call."""

    booked: dict[tuple[str, str], dict[str, object]] = field(default_factory=dict)
    confirmed: list[dict[str, object]] = field(default_factory=list)

    down: Exception | None = None

    async def validate(self, *, reference, amount_subunit=None, **_):
        if self.down is not None:
            raise self.down
        if reference != "254543":
            return Validated("reference_not_found")
        if amount_subunit is not None and amount_subunit < 100_00:
            return Validated("amount_too_low")
        return Validated("ok", "John Doe")

    async def resolve(self, *, reference, market):
        return Route(reference) if (reference, market) == ("254543", "UG") else None

    async def booked_payments(self, provider_key, transactions):
        return [each for each in self._ledger(provider_key) if each.provider_tx in transactions]

    async def booked_between(self, provider_key, *, first_ms, last_ms, after=0):
        ledger = self._ledger(provider_key)
        return [each for each in ledger if first_ms <= each.at_ms <= last_ms and each.id > after][:2]

    def _ledger(self, provider_key):
        if self.down is not None:
            raise self.down
        return [
            Booked(number, tx, paid["amount_subunit"], paid["currency"], parse_iso(paid["received_at"]))
            for number, ((tx, key), paid) in enumerate(self.booked.items(), 1)
            if key == provider_key
        ]

    async def confirm(self, **payment):
        self.confirmed.append(payment)
        key = (payment["provider_tx"], payment["provider_key"])
        if key in self.booked:
            return False
        self.booked[key] = payment
        return True


@pytest.fixture
def billing() -> BillingFake:
    return BillingFake()


class _JumpingSelector(selectors.SelectSelector):
    loop: "VirtualLoop"

    def select(self, timeout=None):
        events = super().select(0)
        if not events and self.loop.asked:
            events = super().select(ANSWER_S if timeout is None or timeout > 0 else 0)
        elif not events:
            if timeout is None:
                raise RuntimeError("every task waits for something that never comes")
            self.loop.now += timeout
        return events


class Timeless:
    """momo's database; what it takes to answer is no time on the virtual clock."""

    def __init__(self, loop, url):
        self._loop = loop
        self._database = open_database(url, "momo", inline=True)

    def __getattr__(self, name):
        return getattr(self._database, name)

    async def write(self, work):
        return await self._answer(self._database.write(work))

    async def alter(self, work):
        return await self._answer(self._database.alter(work))

    async def read(self, work):
        return await self._answer(self._database.read(work))

    async def close(self):
        await self._answer(self._database.close())

    async def _answer(self, asking):
        self._loop.asked += 1
        try:
            return await asking
        finally:
            self._loop.asked -= 1


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time jumps to the next timer whenever nothing else is to do, and no database has been asked."""

    def __init__(self):
        self.now = 0.0
        self.asked = 0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self):
        return self.now

    def database(self, url) -> Timeless:
        """A momo database for this loop."""
        return Timeless(self, url)

    def now_ms(self) -> int:
        """It is the `Clock` as well."""
        return START_MS + int(self.now * 1000)


@pytest.fixture
def virtually() -> Callable[[Callable[[VirtualLoop], Awaitable[None]]], None]:
    """Runs an async function on a loop in virtual time."""

    def run(main):
        loop = VirtualLoop()
        try:
            loop.run_until_complete(main(loop))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    return run


@pytest.fixture
async def database(database_url) -> AsyncIterator[object]:
    database = open_database(database_url, "momo")
    yield database
    await database.close()


@pytest.fixture
def provider() -> ProviderFake:
    return ProviderFake()


def make_momo(*, plan=None, **parts) -> MomoService:
    """A momo that no provider can call back."""
    return MomoService(config=Config("http://127.0.0.1:9", b"pepper", reconcile=plan or Plan()), **parts)


@pytest.fixture
def build(database, clock, entropy, billing):
    """`make_momo` on the one database, with the one billing."""
    return partial(make_momo, database=database, clock=clock, entropy=entropy, billing=billing)


@asynccontextmanager
async def running(momo: MomoService) -> AsyncGenerator[MomoService]:
    """Started, with a key for every market and two for one."""
    await momo.start()
    await momo.install_key("key", client="operator")
    await momo.install_key("ug", client="uganda", markets=["UG"])
    await momo.install_key("rw", client="rwanda", markets=["RW"])
    yield momo
    await momo.stop()


@pytest.fixture
async def client(momo: MomoService) -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(make_app(momo, momo.keys))) as client:
        yield client
