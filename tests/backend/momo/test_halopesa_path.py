"""Payments through Halopesa, over HTTP, against its sandbox (AzamPay's checkout)."""

import asyncio
import json

import pytest

from backend.kit.errors import Unprocessable
from backend.momo.providers.halopesa import HalopesaConfig, HalopesaProvider
from simulator.providers.halopesa.routes import make_app
from simulator.providers.halopesa.sandbox import HalopesaSandbox, HalopesaSandboxConfig
from tests.backend.momo.gateway import Gateway

PAYMENT = {
    "reference": "254543",
    "amount_subunit": 10_000_00,
    "currency": "TZS",
    "business_account": "700700",
    "provider_key": "tz_halotel_halopesa",
    "msisdn": "255621234567",
    "idempotency_key": "k1",
}


def gateway(url, http, billing, *, approve_after_s=0.05, port=None):
    def make_sandbox(parts, _):
        config = HalopesaSandboxConfig("payg", "id", "secret", "api", approve_after_s)
        sandbox = HalopesaSandbox(config=config, **parts)
        return sandbox, make_app(sandbox)

    def wire(parts, url):
        config = HalopesaConfig(url, url, "payg", "id", "secret", "api")
        return {"providers": {"tz_halotel_halopesa": HalopesaProvider(config, **parts)}}

    parts = {"make_sandbox": make_sandbox, "wire": wire}
    return Gateway(url, http, billing, name="halopesa", payment=PAYMENT, port=port, **parts)


@pytest.fixture
async def world(database_url, http_client, billing):
    async with gateway(database_url, http_client, billing) as world:
        yield world


@pytest.mark.parametrize("msisdn", ["255621234567", "255620000012", "255620000021", "255620000022"])
async def test_a_checkout_is_confirmed_once(world, msisdn):
    """Also told twice, with its answer lost, and over the rate at first: the customer is asked once."""
    payment = await world.settled(msisdn=msisdn)
    assert payment.status == "confirmed"
    (booked,) = world.billing.booked.values()
    assert (booked["amount_subunit"], booked["currency"]) == (10_000_00, "TZS")
    assert await world.sandbox.prompts.count() == 1


@pytest.mark.parametrize(
    ("msisdn", "reason"),
    [
        ("255620000001", "Insufficient balance"),
        ("255620000002", "Transaction cancelled by customer"),
        ("255620000004", "Transaction timed out"),
    ],
)
async def test_a_refused_checkout_fails(world, msisdn, reason):
    payment = await world.settled(msisdn=msisdn)
    assert (payment.status, payment.reason) == ("failed", reason)
    assert world.billing.confirmed == []


async def test_a_lost_callback_and_a_forged_one_change_nothing(world, http_client):
    payment = await world.client.pay(**{**PAYMENT, "msisdn": "255620000011"})
    while not await world.sandbox.prompts.count():
        await asyncio.sleep(0.01)
    row = await world.row(payment.payment_id)
    forged = {
        "utilityref": row.provider_ref,
        "externalreference": "x",
        "transactionstatus": "success",
        "operator": "Halopesa",
        "amount": "10000",
        "signature": "AAAA",
    }
    url = world.momo._callback_paths.url("halopesa", row.id)
    answer = await http_client.request("POST", url, body=json.dumps(forged).encode())
    assert answer.status == 200
    assert (await world.client.wait(payment.payment_id, wait_s=0.5)).status == "pending"
    assert world.billing.confirmed == []


async def test_killed_before_the_customer_decides(database_url, http_client, billing):
    """Both come up again at the addresses they had."""
    async with gateway(database_url, http_client, billing, approve_after_s=1.0) as first:
        payment = await first.client.pay(**PAYMENT)
        while not (await first.row(payment.payment_id)).handle:
            await asyncio.sleep(0.01)
    async with gateway(database_url, http_client, billing, port=first.port) as second:
        assert (await second.client.wait(payment.payment_id, wait_s=8)).status == "confirmed"
    assert len(billing.booked) == 1


async def test_what_the_provider_cannot_move(world):
    for change in ({"amount_subunit": 10_000_50}, {"currency": "KES"}):
        with pytest.raises(Unprocessable):
            await world.client.pay(**{**PAYMENT, **change})
