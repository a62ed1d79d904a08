"""A payment from `pay` to billing, over HTTP, against the MTN sandbox."""

import asyncio

import pytest
from aiohttp.test_utils import TestServer, unused_port

from backend.kit.database import open_database
from backend.kit.errors import Unprocessable
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.momo.client import MomoClient
from backend.momo.providers.mtn import MtnConfig, MtnProvider
from backend.momo.routes import make_app
from backend.momo.service import Config, MomoService
from simulator.providers.mtn.routes import make_app as mtn_app
from simulator.providers.mtn.sandbox import MtnSandbox, MtnSandboxConfig
from simulator.providers.mtn.store import ApiUser

PAYMENT = {
    "reference": "254543",
    "amount_subunit": 5000_00,
    "currency": "UGX",
    "business_account": "paybill",
    "provider_key": "ug_mtn_mobilemoney",
    "msisdn": "256772123456",
    "idempotency_key": "k1",
}


class World:
    """The sandbox and momo on real sockets; `callbacks`: whether the sandbox can reach momo."""

    def __init__(self, url, http, billing, *, callbacks=True, approve_after_s=0.05):
        self.billing = billing
        clock, entropy = SystemClock(), SystemEntropy()
        user = ApiUser("user-ug", "mtnuganda", "127.0.0.1", "key-ug")
        self.sandbox_database = open_database(url, "mtn")
        self.sandbox = MtnSandbox(
            database=self.sandbox_database,
            clock=clock,
            entropy=entropy,
            http=http,
            config=MtnSandboxConfig("sub", [user], approve_after_s),
        )
        self.sandbox_server = TestServer(mtn_app(self.sandbox), port=unused_port())
        momo_port = unused_port()
        config = MtnConfig(
            f"http://127.0.0.1:{self.sandbox_server.port}", "mtnuganda", "UGX", "user-ug", "key-ug", "sub"
        )
        self.database = open_database(url, "momo")
        self.momo = MomoService(
            database=self.database,
            clock=clock,
            entropy=entropy,
            config=Config(f"http://127.0.0.1:{momo_port if callbacks else unused_port()}", b"pepper"),
            billing=billing,
            providers={"ug_mtn_mobilemoney": MtnProvider(config, http=http, clock=clock)},
        )
        self.server = TestServer(make_app(self.momo, self.momo.keys), port=momo_port)
        self.client = MomoClient(http=http, base_url=f"http://127.0.0.1:{momo_port}", api_key="key")

    async def __aenter__(self):
        await self.sandbox.start()
        await self.momo.start()
        await self.momo.install_key("key", client="mese")
        await self.sandbox_server.start_server()
        await self.server.start_server()
        return self

    async def __aexit__(self, *_):
        await self.momo.stop()
        await self.sandbox.stop()
        await self.server.close()
        await self.sandbox_server.close()
        await self.database.close()
        await self.sandbox_database.close()


@pytest.fixture
async def world(database_url, http_client, billing):
    async with World(database_url, http_client, billing) as world:
        yield world


async def test_checklist_16_to_19_a_payment_is_confirmed_once(world):
    payment = await world.client.pay(**PAYMENT)
    assert payment.status == "pending"
    again = await world.client.pay(**PAYMENT)
    assert again.payment_id == payment.payment_id

    settled = await world.client.wait(payment.payment_id, wait_s=5)
    assert (settled.payment_id, settled.status) == (payment.payment_id, "confirmed")
    (booked,) = world.billing.confirmed
    assert booked.pop("provider_tx").isdigit()
    assert booked.pop("received_at").endswith("Z")
    assert booked == {
        "reference": "254543",
        "amount_subunit": 5000_00,
        "currency": "UGX",
        "sender_phone_number": "256772123456",
        "provider_key": "ug_mtn_mobilemoney",
        "momoep_id": payment.payment_id,
        "business_account": "paybill",
    }
    assert await world.sandbox.collections() == 1
    audit = await world.momo.audit()
    assert audit.payments_by_state == {"confirmed": 1}
    assert audit.confirmed_subunit == {"UGX": 5000_00}
    assert (audit.stuck, audit.dead_letters) == ((), 0)


async def test_a_lost_callback_is_made_up_for_by_a_poll(database_url, http_client, billing):
    async with World(database_url, http_client, billing, callbacks=False) as world:
        payment = await world.client.pay(**PAYMENT)
        assert (await world.client.wait(payment.payment_id, wait_s=5)).status == "confirmed"
    assert len(billing.confirmed) == 1


@pytest.mark.parametrize(
    ("msisdn", "reason"),
    [
        ("46733123450", "INTERNAL_PROCESSING_ERROR"),
        ("46733123451", "APPROVAL_REJECTED"),
        ("46733123452", "EXPIRED"),
        ("46733123455", "PAYER_NOT_FOUND"),
        ("46733123456", "PAYEE_NOT_ALLOWED_TO_RECEIVE"),
        ("46733123457", "NOT_ALLOWED"),
        ("46733123460", "INVALID_CURRENCY"),
        ("46733123463", "COULD_NOT_PERFORM_TRANSACTION"),
    ],
)
async def test_a_refused_payment_fails_and_books_nothing(world, msisdn, reason):
    payment = await world.client.pay(**{**PAYMENT, "msisdn": msisdn})
    settled = await world.client.wait(payment.payment_id, wait_s=5)
    assert (settled.status, settled.reason) == ("failed", reason)
    assert world.billing.confirmed == []


async def test_an_ongoing_payment_stays_pending(world):
    payment = await world.client.pay(**{**PAYMENT, "msisdn": "46733123453"})
    assert (await world.client.wait(payment.payment_id, wait_s=0.2)).status == "pending"


async def test_everything_is_killed_before_the_customer_decides(database_url, http_client, billing):
    async with World(database_url, http_client, billing, approve_after_s=0.3) as first:
        payment = await first.client.pay(**PAYMENT)
    async with World(database_url, http_client, billing) as second:
        settled = await second.client.wait(payment.payment_id, wait_s=5)
    assert settled.status == "confirmed"
    assert len(billing.booked) == 1


async def test_many_payments_at_once_wake_their_own_waiters(world):
    async def one(number: int) -> str:
        payment = await world.client.pay(**{**PAYMENT, "idempotency_key": f"k{number}"})
        return (await world.client.wait(payment.payment_id, wait_s=10)).status

    assert set(await asyncio.gather(*(one(number) for number in range(30)))) == {"confirmed"}
    assert len(world.billing.booked) == 30


@pytest.mark.parametrize(
    "change",
    [
        {"amount_subunit": 5000_50},
        {"currency": "RWF"},
        {"provider_key": "ke_safaricom_mpesa"},
    ],
)
async def test_what_the_provider_cannot_move_is_refused_at_once(world, change):
    with pytest.raises(Unprocessable):
        await world.client.pay(**{**PAYMENT, **change})
    assert (await world.momo.audit()).payments_by_state == {}
