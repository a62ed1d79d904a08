"""Two copies of each service on one PostgreSQL database, asked for the same things at the same time."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select

from backend.kit.database import Database, open_database
from backend.kit.http import AiohttpClient
from backend.m2m.service import M2mConfig, M2mService
from backend.momo.ports import Incoming, Standing, Succeeded
from backend.momo.service import Config, MomoService
from backend.moto.generator import Refused
from backend.moto.schemas import TokenRequest
from backend.moto.service import MotoConfig, MotoService
from backend.solarium.routes import make_app
from simulator.clock import ManualClock, SeededEntropy
from tests.backend.m2m.conftest import LINK_KEY, SERIAL, Device, FixedResolver
from tests.backend.mega.rig import ProviderFake, build_mega
from tests.backend.momo.conftest import BillingFake
from tests.backend.solarium.fakes import API_KEY, FakePartners, account, make_service, payment

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)

Open = Callable[[str], Database]


@pytest.fixture
async def opened(database_url: str) -> AsyncIterator[Open]:
    """Opens a service's database once more, as another process would."""
    databases: list[Database] = []

    def open_one(service: str) -> Database:
        databases.append(open_database(database_url, service))
        return databases[-1]

    yield open_one
    for database in databases:
        await database.close()


async def test_migrations_at_a_simultaneous_start(empty_database_url: str) -> None:
    """In processes of their own, as Alembic wants it."""
    code = "import asyncio, sys, tests.postgresql as p; asyncio.run(p.migrate_all(sys.argv[1]))"
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, empty_database_url) for _ in range(3)
    ]
    assert [await process.wait() for process in processes] == [0, 0, 0]


async def test_solarium_books_a_key_once(opened: Open, clock: ManualClock) -> None:
    partners = FakePartners()
    copies = [make_service(opened("solarium"), clock, SeededEntropy(n), partners) for n in (1, 2)]
    for copy in copies:
        await copy.start()
    await copies[0].register_accounts([account(), account("2")])
    for copy in copies:
        await copy.install_key(API_KEY, client="momo")
    clients = [TestClient(TestServer(make_app(copy, copy.keys))) for copy in copies]
    for client in clients:
        await client.start_server()

    async def confirm(number: int, body: dict[str, object]) -> int:
        headers = {"API-KEY": API_KEY}
        answer = await clients[number % 2].post("/confirm_payment", json=body, headers=headers)
        return answer.status

    # Three keys, each ten times through either copy; and twenty others of the same two accounts besides.
    repeated = [payment(f"same {n % 3}") for n in range(60)]
    others = [payment(f"other {n}", reference=("254543", "2")[n % 2]) for n in range(20)]
    answers = await asyncio.gather(
        *(confirm(n, body) for n, body in enumerate([*repeated, *others])),
    )
    assert Counter(answers[:60]) == {200: 3, 409: 57}
    assert Counter(answers[60:]) == {200: 20}
    audit = await copies[1].audit()
    assert (audit.payments, audit.ledger_transactions, audit.sound) == (23, 23, True)
    assert audit.days_sold == 23 * 5 // 2, "two and a half days each; every balance moved once a payment"

    orders = len(await orders_of(copies[0]))
    await partners.until(orders, "send")
    for client in clients:
        await client.close()
    for copy in copies:
        await copy.stop()
    assert Counter(partners.calls) == {"order": orders, "create": orders, "send": orders}, "each once"


async def orders_of(service) -> list[str]:
    table = service._store.tables.token_orders
    return await service._database.read(lambda c: list(c.execute(select(table.c.id)).scalars()))


async def test_moto_never_gives_a_number_twice(opened: Open, clock: ManualClock) -> None:
    copies = [
        MotoService(
            database=opened("moto"),
            clock=clock,
            entropy=SeededEntropy(n),
            config=MotoConfig(master_key=bytes(32)),
        )
        for n in (1, 2)
    ]
    for copy in copies:
        await copy.start()
    await copies[0].register(serial="M/1", secret_hex="00112233AABBCC", family="moto", market="UG")

    async def generate(number: int, **more: object) -> int | str:
        request = TokenRequest(device="M/1", command="unlock_relative", payload=1, **more)
        try:
            answer = await copies[number % 2].generate(request, client="tester")
        except Refused as refusal:
            return refusal.detail
        return answer.sequence_number

    numbers = await asyncio.gather(*(generate(n) for n in range(40)))
    assert sorted(numbers) == list(range(min(numbers), min(numbers) + 40))
    wanted = max(numbers) + 1
    answers = await asyncio.gather(*(generate(n, sequence_number=wanted) for n in range(10)))
    assert Counter(answers) == {wanted: 1, "Sequence number already used": 9}
    tokens = await asyncio.gather(
        *(
            copies[n % 2].order(device="M/1", command="unlock_relative", payload=3, reference="one")
            for n in range(10)
        )
    )
    assert len({token.digits for token in tokens}) == 1


async def test_m2m_creates_a_command_and_stores_a_record_once(
    opened: Open, clock: ManualClock, http_client: AiohttpClient
) -> None:
    copies = [
        M2mService(
            database=opened("m2m"),
            clock=clock,
            entropy=SeededEntropy(n),
            config=M2mConfig(
                master_key=bytes(32), webhook_secret=bytes(32), allowed_callback_hosts=frozenset()
            ),
            http=http_client,
            resolver=FixedResolver(),
        )
        for n in (1, 2)
    ]
    for copy in copies:
        await copy.start()
    await copies[0].register(serial=SERIAL, market="UG", link_key_hex=LINK_KEY.hex(), password="p")

    async def create(number: int, serial: str, reference: str) -> str:
        return await copies[number % 2].create(
            identifier=serial,
            name="unlock_token",
            details={"unlock_code": "1000"},
            callback_url=None,
            reference=reference,
        )

    await asyncio.gather(
        *(create(n, SERIAL, f"r{n % 4}") for n in range(20)),
        # One reference for two devices that nobody has registered: one of them gets it.
        *(create(n, f"new {n % 2}", "either") for n in range(10)),
    )
    assert sum((await copies[0].audit()).commands.values()) == 5

    leased = await asyncio.gather(*(copy.feed.lease(limit=3, wait_s=0) for copy in copies * 3))
    ids = [item.id for items in leased for item in items]
    assert len(ids) == len(set(ids)), "no row in two hands"

    device = Device(SERIAL, LINK_KEY)
    device.status()
    frame = device.frame()
    answers = await asyncio.gather(*(copies[n % 2].ingest([(SERIAL, frame)]) for n in range(10)))
    assert [answer.refused for (answer,) in answers] == [None] * 10
    down = [seen for (answer,) in answers for seen in answer.down] + [
        item.payload for items in leased for item in items if item.serial == SERIAL and item.channel == "down"
    ]
    assert len(down) == len(set(down)), "no sequence down twice"
    records = (await copies[1].audit()).records[SERIAL]
    assert (records.stored, records.missing) == (1, 0)
    for copy in copies:
        await copy.stop()


async def test_mega_sends_a_reference_once(opened: Open, clock: ManualClock, entropy: SeededEntropy) -> None:
    provider = ProviderFake()
    copies = [build_mega(opened("mega"), clock, entropy, provider) for _ in range(2)]
    for copy in copies:
        await copy.start()
    queued = await asyncio.gather(
        *(
            copies[n % 2].send(to="+256772123456", text="Hello", reference=f"r{n % 3}", client="solarium")
            for n in range(30)
        )
    )
    assert len({each.message_id for each in queued}) == 3
    async with asyncio.timeout(10):
        while (await copies[0].audit()).messages_by_status != {"sent": 3}:
            await asyncio.sleep(0.01)
    for copy in copies:
        await copy.stop()
    assert len(provider.sent) == 3


class Customer:
    """A provider whose customer pays at once."""

    base_url = "http://provider"
    hook = "mtn"
    callback_answer = None
    repeatable = True

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def check(self, *, amount_subunit: int, currency: str) -> None:
        return None

    async def request(self, debit) -> Standing:
        self.asked[debit.provider_ref] += 1
        await asyncio.sleep(0.01)
        return Standing.PENDING

    async def status(self, debit, heard) -> Succeeded:
        return Succeeded(f"tx-{debit.provider_ref}", 5000_00, "UGX")


async def test_momo_asks_and_books_a_payment_once(opened: Open, clock: ManualClock) -> None:
    provider, billing = Customer(), BillingFake()
    copies = [
        MomoService(
            database=opened("momo"),
            clock=clock,
            entropy=SeededEntropy(n),
            config=Config("http://momo", b"pepper"),
            billing=billing,
            providers={"ug_mtn_mobilemoney": provider},
        )
        for n in (1, 2)
    ]
    for copy in copies:
        await copy.start()
    wanted = {
        "reference": "254543",
        "amount_subunit": 5000_00,
        "currency": "UGX",
        "business_account": "paybill",
        "provider_key": "ug_mtn_mobilemoney",
        "msisdn": "256772123456",
    }
    paid = await asyncio.gather(
        *(copies[n % 2].pay(**wanted, idempotency_key=f"k{n % 3}") for n in range(30))
    )
    payment_ids = {each.payment_id for each in paid}
    assert len(payment_ids) == 3
    incoming = Incoming(
        provider_tx="C2B1",
        provider_key="ug_mtn_mobilemoney",
        reference="254543",
        business_account="paybill",
        amount_subunit=700_00,
        currency="UGX",
        sender="256772123456",
    )
    told = await asyncio.gather(*(copies[n % 2].inbound.confirm(incoming) for n in range(10)))
    assert Counter(told) == {True: 1, False: 9}
    async with asyncio.timeout(20):
        while len(billing.booked) < 4:
            clock.advance(5)  # to the next poll
            for copy in copies:
                copy._dispatcher._wake.set()
            await asyncio.sleep(0.02)
    for copy in copies:
        await copy.stop()
    assert list(provider.asked.values()) == [1, 1, 1], "nobody is asked for money twice"
