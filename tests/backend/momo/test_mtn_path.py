"""A payment from `pay` to billing, over HTTP, against the MTN sandbox."""

import asyncio

import pytest

from backend.kit.errors import Unprocessable
from backend.momo.providers.mtn import MtnConfig, MtnProvider
from simulator.providers.mtn.routes import make_app
from simulator.providers.mtn.sandbox import MtnSandbox, MtnSandboxConfig
from simulator.providers.mtn.store import ApiUser
from tests.backend.momo.gateway import Gateway

PAYMENT = {
    "reference": "254543",
    "amount_subunit": 5000_00,
    "currency": "UGX",
    "business_account": "paybill",
    "provider_key": "ug_mtn_mobilemoney",
    "msisdn": "256772123456",
    "idempotency_key": "k1",
}


def gateway(url, http, billing, *, callbacks=True, approve_after_s=0.05):
    def make_sandbox(parts, _):
        user = ApiUser("user-ug", "mtnuganda", "127.0.0.1", "key-ug")
        sandbox = MtnSandbox(config=MtnSandboxConfig("sub", [user], approve_after_s), **parts)
        return sandbox, make_app(sandbox)

    def wire(parts, url):
        config = MtnConfig(url, "mtnuganda", "UGX", "user-ug", "key-ug", "sub")
        return {"providers": {"ug_mtn_mobilemoney": MtnProvider(config, **parts)}}

    parts = {"make_sandbox": make_sandbox, "wire": wire}
    return Gateway(url, http, billing, name="mtn", payment=PAYMENT, callbacks=callbacks, **parts)


@pytest.fixture
async def world(database_url, http_client, billing):
    async with gateway(database_url, http_client, billing) as world:
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
    async with gateway(database_url, http_client, billing, callbacks=False) as world:
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
    async with gateway(database_url, http_client, billing, approve_after_s=0.3) as first:
        payment = await first.client.pay(**PAYMENT)
    async with gateway(database_url, http_client, billing) as second:
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
