"""Payments through Airtel, over HTTP, against its sandbox."""

import asyncio
import json

import pytest

from backend.kit.errors import Unprocessable
from backend.kit.runtime import SystemEntropy
from backend.momo.providers.airtel import AirtelConfig, AirtelProvider
from simulator.providers.airtel.routes import make_app
from simulator.providers.airtel.sandbox import AirtelSandbox, AirtelSandboxConfig
from tests.backend.momo.gateway import Gateway

SECRET = "0123456789abcdef" * 2
PAYMENT = {
    "reference": "254543",
    "amount_subunit": 5000_00,
    "currency": "UGX",
    "business_account": "600100",
    "provider_key": "ug_airtel_money",
    "msisdn": "256752604392",
    "idempotency_key": "k1",
}


def gateway(url, http, billing, *, callbacks=True, approve_after_s=0.05):
    def make_sandbox(parts, told_url):
        config = AirtelSandboxConfig(
            "id", "secret", f"{told_url}/hooks/airtel/{SECRET}", approve_after_s=approve_after_s
        )
        sandbox = AirtelSandbox(config=config, **parts)
        return sandbox, make_app(sandbox)

    def wire(parts, url):
        config = AirtelConfig(url, "UG", "UGX", "256", "id", "secret", SECRET)
        provider = AirtelProvider(config, entropy=SystemEntropy(), **parts)
        return {"providers": {"ug_airtel_money": provider}, "shared_hooks": {"airtel": provider}}

    parts = {"make_sandbox": make_sandbox, "wire": wire}
    return Gateway(url, http, billing, name="airtel", payment=PAYMENT, callbacks=callbacks, **parts)


@pytest.fixture
async def world(database_url, http_client, billing):
    async with gateway(database_url, http_client, billing) as world:
        yield world


@pytest.mark.parametrize(
    "msisdn", ["256752604392", "256750000011", "256750000012", "256750000021", "256750000022"]
)
async def test_a_payment_is_confirmed_once(world, msisdn):
    """Also with its callback lost or doubled, its answer lost, and over the rate at first."""
    payment = await world.settled(msisdn=msisdn)
    assert payment.status == "confirmed"
    (booked,) = world.billing.booked.values()
    row = await world.row(payment.payment_id)
    prompt = await world.sandbox.prompts.prompt(row.provider_ref)
    assert booked["provider_tx"] == prompt.receipt
    assert (booked["amount_subunit"], prompt.amount) == (5000_00, "5000")
    assert await world.sandbox.prompts.count() == 1


async def test_the_callback_to_the_shared_address_is_kept_with_its_payment(world):
    payment = await world.settled()
    kept = await world.momo._database.read(lambda c: world.momo._store.callbacks_of(c, payment.payment_id))
    assert [json.loads(body)["transaction"]["status_code"] for body in kept] == ["TS"]


@pytest.mark.parametrize(
    ("msisdn", "reason"),
    [
        ("256750000001", "User wallet does not have enough money."),
        ("256750000002", "The transaction was refused."),
        ("256750000003", "Incorrect pin has been entered."),
        ("256750000004", "Transaction has been expired."),
        ("256750000005", "The User has exceeded their wallet transaction limit."),
    ],
)
async def test_a_refused_payment_fails(world, msisdn, reason):
    payment = await world.settled(msisdn=msisdn)
    assert (payment.status, payment.reason) == ("failed", reason)
    assert world.billing.confirmed == []


async def test_an_ambiguous_answer_is_no_failure(world):
    payment = await world.client.pay(**{**PAYMENT, "msisdn": "256750000020"})
    while (await world.client.wait(payment.payment_id, wait_s=0.05)).status != "unknown":
        await asyncio.sleep(0)
    assert world.billing.confirmed == []


async def test_killed_before_the_customer_decides(database_url, http_client, billing):
    async with gateway(database_url, http_client, billing, approve_after_s=0.4) as first:
        payment = await first.client.pay(**PAYMENT)
        while not await first.sandbox.prompts.count():
            await asyncio.sleep(0.01)
    async with gateway(database_url, http_client, billing) as second:
        assert (await second.client.wait(payment.payment_id, wait_s=8)).status == "confirmed"
    assert len(billing.booked) == 1


async def test_strangers_at_the_shared_address(world, http_client):
    payment = await world.client.pay(**{**PAYMENT, "msisdn": "256750000006"})
    row = await world.row(payment.payment_id)
    forged = json.dumps({"transaction": {"id": row.provider_ref, "status_code": "TS"}, "hash": "AAAA"})
    for secret in (SECRET, "1" * 32):
        url = f"{world.url}/hooks/airtel/{secret}"
        assert (await http_client.request("POST", url, body=forged.encode())).status == 404
    assert (await world.client.wait(payment.payment_id, wait_s=0)).status == "pending"


async def test_what_the_provider_cannot_move(world):
    for change in ({"amount_subunit": 5000_50}, {"currency": "KES"}):
        with pytest.raises(Unprocessable):
            await world.client.pay(**{**PAYMENT, **change})
