"""Payments through Equity, over HTTP, against its sandbox: pushes, and a till that customers pay."""

import asyncio
import base64

import pytest

from backend.kit import rsa
from backend.kit.errors import Unprocessable
from backend.momo.providers.equity import EquityConfig, EquityProvider, ref_of
from backend.momo.providers.equity_ipn import EquityIpn, EquityIpnConfig
from simulator.providers.equity.routes import make_app
from simulator.providers.equity.sandbox import EquitySandbox, EquitySandboxConfig
from tests.backend.momo.gateway import Gateway

KEY = rsa.new_key()
PAYMENT = {
    "reference": "254543",
    "amount_subunit": 500_50,
    "currency": "KES",
    "business_account": "247247",
    "provider_key": "ke_equity_eazzypay",
    "msisdn": "254763000111",
    "idempotency_key": "k1",
}


def gateway(url, http, billing, *, approve_after_s=0.05, port=None):
    def make_sandbox(parts, told_url):
        config = EquitySandboxConfig(
            api_key="api",
            merchant_code="M1",
            consumer_secret="secret",
            account_number="1450160649886",
            public_key=rsa.public_pem(KEY),
            ipn_url=f"{told_url}/hooks/ke/ipn",
            ipn_username="equity",
            ipn_password="ipn-pass",
            approve_after_s=approve_after_s,
        )
        sandbox = EquitySandbox(config=config, **parts)
        return sandbox, make_app(sandbox)

    def wire(parts, url):
        config = EquityConfig(
            base_url=url,
            merchant_code="M1",
            account_number="1450160649886",
            merchant_name="payg",
            api_key="api",
            consumer_secret="secret",
            private_key=KEY,
        )
        ipn = EquityIpnConfig("ke_equity_eazzypay", "247247", "equity", "ipn-pass")
        return {
            "providers": {"ke_equity_eazzypay": EquityProvider(config, **parts)},
            "paybills": {EquityIpn.hook: EquityIpn(ipn)},
        }

    parts = {"make_sandbox": make_sandbox, "wire": wire}
    return Gateway(url, http, billing, name="equity", payment=PAYMENT, port=port, **parts)


@pytest.fixture
async def world(database_url, http_client, billing):
    async with gateway(database_url, http_client, billing) as world:
        yield world


async def booked(world):
    while not world.billing.booked:
        await asyncio.sleep(0.01)
    return list(world.billing.booked.values())


@pytest.mark.parametrize(
    ("msisdn", "telco"),
    [
        ("254763000111", "Equitel"),
        ("254733123456", "Airtel"),
        ("254708374149", "Safaricom"),
        ("254700000012", "Safaricom"),  # told twice
        ("254700000021", "Safaricom"),  # the answer is lost: the second try is a duplicate
        ("254700000022", "Safaricom"),  # over the rate at first
    ],
)
async def test_a_push_is_confirmed_once(world, msisdn, telco):
    payment = await world.settled(msisdn=msisdn)
    assert payment.status == "confirmed"
    row = await world.row(payment.payment_id)
    prompt = await world.sandbox.prompts.prompt(ref_of(row.provider_ref))
    assert prompt.detail("telco") == telco
    (once,) = await booked(world)
    assert (once["provider_tx"], once["amount_subunit"]) == (prompt.receipt, 500_50)
    assert await world.sandbox.prompts.count() == 1


@pytest.mark.parametrize(
    ("msisdn", "reason"),
    [
        ("254700000001", "1 Insufficient funds"),
        ("254700000002", "5 Request cancelled by user"),
        ("254700000003", "1 Wrong PIN"),
        ("254700000004", "6 Request cancelled: no response from user"),
        ("254700000005", "7 Transaction rejected: limit exceeded"),
    ],
)
async def test_a_refused_push_fails(world, msisdn, reason):
    payment = await world.settled(msisdn=msisdn)
    assert (payment.status, payment.reason) == ("failed", reason)
    assert world.billing.confirmed == []


async def test_a_lost_callback_is_no_failure(world):
    """There is no query: the payment waits, unknown after its minute, for a callback or reconciliation."""
    payment = await world.client.pay(**{**PAYMENT, "msisdn": "254700000011"})
    while not await world.sandbox.prompts.count():
        await asyncio.sleep(0.01)
    assert (await world.client.wait(payment.payment_id, wait_s=0.3)).status == "pending"
    assert world.billing.confirmed == []


async def test_killed_before_the_customer_decides(database_url, http_client, billing):
    """Both come up again at the addresses they had."""
    async with gateway(database_url, http_client, billing, approve_after_s=1.0) as first:
        payment = await first.client.pay(**PAYMENT)
        while not await first.sandbox.prompts.count():
            await asyncio.sleep(0.01)
    async with gateway(database_url, http_client, billing, port=first.port) as second:
        assert (await second.client.wait(payment.payment_id, wait_s=8)).status == "confirmed"
    assert len(billing.booked) == 1


async def test_a_customer_pays_the_till(world, http_client):
    await world.sandbox.customer_pays(payer="254700000012", amount="150", reference="254543")
    (payment,) = await booked(world)
    assert (payment["reference"], payment["amount_subunit"]) == ("254543", 150_00)
    assert (payment["business_account"], payment["sender_phone_number"]) == ("247247", "254700000012")
    while world.sandbox.prompts._dispatcher.counters["done"] < 2:  # told twice
        await asyncio.sleep(0.01)
    assert len(world.billing.confirmed) == 1
    table = world.momo._store.notices
    kept = await world.momo._database.read(lambda c: c.execute(table.select()).all())
    assert [each.hook for each in kept] == ["ke/ipn", "ke/ipn"]


@pytest.mark.parametrize("login", ["", "equity:no", "no:ipn-pass"])
async def test_strangers_notify_nothing(world, http_client, login):
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    url = f"{world.url}/hooks/ke/ipn"
    assert (await http_client.request("POST", url, headers=headers, body=b"{}")).status == 404


async def test_what_the_provider_cannot_move(world):
    with pytest.raises(Unprocessable):
        await world.client.pay(**{**PAYMENT, "currency": "UGX"})
