"""Payments and accounts as fakes of mese's ports, and a host on a database of its own."""

import asyncio
from dataclasses import dataclass, field

import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.database import open_database
from backend.kit.errors import NotFound, Unavailable
from backend.mese.routes import make_app
from backend.mese.service import MeseService

PHONE = "+256772123456"


@dataclass
class Answer:
    """Route, validation and payment in one; a test double needs no more."""

    business_account: str = "paybill"
    currency: str = "UGX"
    provider_key: str = "ug_mtn_mobilemoney"
    status: str = "ok"
    customer_name: str | None = "John Doe"
    payment_id: str = ""


@dataclass
class PaymentsFake:
    """Accounts 254543 (John Doe) and 777 (no name) in UG; 1,000 to 1,000,000. `paid` by idempotency key."""

    paid: dict[str, dict[str, object]] = field(default_factory=dict)
    fate: str = "confirmed"
    calls: list[str] = field(default_factory=list)
    down: dict[str, Exception] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)

    async def resolve(self, *, reference, market, msisdn):
        await self._called("resolve")
        assert msisdn
        return Answer() if reference in ("254543", "777") and market == "UG" else None

    async def validate(self, *, reference, amount_subunit=None, **_):
        await self._called("validate")
        if amount_subunit is not None and amount_subunit < 1_000_00:
            return Answer(status="amount_too_low")
        if amount_subunit is not None and amount_subunit > 1_000_000_00:
            return Answer(status="amount_too_high")
        return Answer(customer_name="John Doe" if reference == "254543" else None)

    async def pay(self, *, idempotency_key, **payment):
        await self._called("pay")
        self.paid.setdefault(idempotency_key, payment)
        return Answer(status="pending", payment_id=idempotency_key)

    async def wait(self, payment_id, *, wait_s):
        await self._called("wait")
        self.waits.append(wait_s)
        if payment_id not in self.paid:
            raise NotFound("no such payment")
        return Answer(status=self.fate, payment_id=payment_id)

    async def find(self, idempotency_key):
        await self._called("find")
        known = idempotency_key in self.paid
        return Answer(status=self.fate, payment_id=idempotency_key) if known else None

    async def _called(self, name):
        self.calls.append(name)
        await asyncio.sleep(0)  # others may come in between
        if name in self.down:
            raise self.down[name]


@dataclass
class Own:
    """An account as Solarium tells its owner."""

    reference: str
    balance_subunit: int = 500_00
    days_left: int = 3


@dataclass
class AccountsFake:
    """Who calls from 256772123456 has 254543; from 256772000002 has two; each `market msisdn` its own."""

    owned: dict[str, list[Own]] = field(
        default_factory=lambda: {
            "UG 256772123456": [Own("254543")],
            "UG 256772000002": [Own("254543", 12_50, 0), Own("777", 0, 1)],
            "RW 250788300001": [Own("254544")],
        }
    )
    made: dict[str, list[str]] = field(default_factory=lambda: {"254543": ["*00 427 443 49#"]})
    asked: list[tuple[str, str]] = field(default_factory=list)
    down: Exception | None = None

    async def accounts(self, *, msisdn, market):
        await self._called("accounts", market)
        return self.owned.get(f"{market} {msisdn}", [])

    async def tokens(self, *, msisdn, market, reference):
        await self._called("tokens", market)
        owned = self.owned.get(f"{market} {msisdn}", [])
        return self.made.get(reference, []) if reference in [each.reference for each in owned] else []

    async def _called(self, name, market):
        self.asked.append((name, market))
        await asyncio.sleep(0)
        if self.down:
            raise self.down


@dataclass
class SmsFake:
    """What was sent, by reference."""

    sent: dict[str, str] = field(default_factory=dict)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: Exception | None = None

    async def send(self, *, to, text, market, reference):
        if self.refusal:
            raise self.refusal
        self.sent[reference] = f"{market} {to}: {text}"
        self.heard.set()


@pytest.fixture
def sms() -> SmsFake:
    return SmsFake()


@pytest.fixture
def payments() -> PaymentsFake:
    return PaymentsFake()


@pytest.fixture
def accounts() -> AccountsFake:
    return AccountsFake()


@pytest.fixture(scope="session")
def accounts_fake() -> type[AccountsFake]:
    return AccountsFake


@pytest.fixture
def build_host(clock, entropy, payments, accounts, sms):
    """Builds a host on a database, with the fakes of the test."""

    def build(database):
        return MeseService(
            database=database, clock=clock, entropy=entropy, payments=payments, accounts=accounts, sms=sms
        )

    return build


@pytest.fixture
async def database(database_url):
    database = open_database(database_url, "mese")
    yield database
    await database.close()


@pytest.fixture
def host(database, build_host):
    return build_host(database)


@pytest.fixture
async def dial(host):
    await host.start()
    async with TestClient(TestServer(make_app(host, secret="hook-secret", development=True))) as client:

        async def dial(text, *, session="s1", phone=PHONE):
            form = {
                "sessionId": session,
                "phoneNumber": phone,
                "networkCode": "99999",
                "serviceCode": "*384*1#",
                "text": text,
            }
            answer = await client.post("/ussd", data=form)
            assert answer.status == 200
            assert answer.content_type == "text/plain"
            return await answer.text()

        dial.client = client
        yield dial
    await host.stop()


@pytest.fixture(scope="session")
def payments_fake() -> type[PaymentsFake]:
    return PaymentsFake


@pytest.fixture(scope="session")
def away() -> Exception:
    return Unavailable("away")
