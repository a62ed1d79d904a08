"""Payments through Daraja, over HTTP, against its sandbox: pushes, and paybills that customers pay."""

import asyncio
import json

import pytest

from backend.kit.errors import Unavailable, Unprocessable
from backend.momo.providers.daraja import DarajaConfig, DarajaProvider
from backend.momo.providers.daraja_c2b import DarajaC2b, DarajaC2bConfig
from simulator.providers.daraja.routes import make_app
from simulator.providers.daraja.sandbox import DarajaSandbox, DarajaSandboxConfig, Urls
from tests.backend.momo.gateway import Gateway

SECRET = "0123456789abcdef" * 2
PAYMENT = {
    "reference": "254543",
    "amount_subunit": 500_00,
    "currency": "KES",
    "business_account": "174379",
    "provider_key": "ke_safaricom_mpesa",
    "msisdn": "254708374149",
    "idempotency_key": "k1",
}


def gateway(url, http, billing, *, callbacks=True, default="Cancelled", approve_after_s=0.05):
    def make_sandbox(parts, told_url):
        hooks = f"{told_url}/hooks/ke/c2b"
        urls = Urls(f"{hooks}/v/{SECRET}", f"{hooks}/c/{SECRET}", default)
        config = DarajaSandboxConfig(
            "key", "secret", "passkey", urls=urls, pull=True, approve_after_s=approve_after_s
        )
        sandbox = DarajaSandbox(config=config, **parts)
        return sandbox, make_app(sandbox)

    def wire(parts, url):
        config = DarajaConfig(url, "174379", "key", "secret", "passkey")
        provider = DarajaProvider(config, **parts)
        return {
            "providers": {"ke_safaricom_mpesa": provider},
            "statements": {"ke_safaricom_mpesa": provider},
            "paybills": {DarajaC2b.hook: DarajaC2b(DarajaC2bConfig("ke_safaricom_mpesa", SECRET))},
        }

    parts = {"make_sandbox": make_sandbox, "wire": wire}
    return Gateway(url, http, billing, name="daraja", payment=PAYMENT, callbacks=callbacks, **parts)


@pytest.fixture
async def world(database_url, http_client, billing):
    async with gateway(database_url, http_client, billing) as world:
        yield world


async def booked(world, number=1):
    """Wait until billing has that many payments."""
    while len(world.billing.booked) < number:
        await asyncio.sleep(0.01)
    return list(world.billing.booked.values())


async def test_a_push_is_confirmed_once_though_it_is_told_twice(world):
    """Its callback and the paybill's confirmation carry one receipt."""
    payment = await world.settled()
    assert payment.status == "confirmed"
    (payment_booked,) = await booked(world)
    assert payment_booked["amount_subunit"] == 500_00
    assert payment_booked["sender_phone_number"] in ("254708374149", "25470****149"), "whoever was first"
    row = await world.row(payment.payment_id)
    assert row.handle.startswith("ws_CO_")
    assert (row.provider_tx, len(row.provider_tx)) == (payment_booked["provider_tx"], 10)
    while world.sandbox.prompts._dispatcher.counters["done"] < 3:  # the decision and two calls
        await asyncio.sleep(0.01)
    audit = await world.momo.audit()
    assert audit.confirmed_subunit == {"KES": 500_00}
    assert len(world.billing.booked) == 1


@pytest.mark.parametrize(
    ("msisdn", "reason"),
    [
        ("254700000001", "1 The balance is insufficient for the transaction."),
        ("254700000002", "1032 Request cancelled by user"),
        ("254700000003", "2001 The initiator information is invalid."),
        ("254700000004", "1037 DS timeout user cannot be reached"),
        ("254700000005", "4 The transaction would exceed the daily transfer limit."),
    ],
)
async def test_a_refused_push_fails_and_books_nothing(world, msisdn, reason):
    payment = await world.settled(msisdn=msisdn)
    assert (payment.status, payment.reason) == ("failed", reason)
    assert world.billing.confirmed == []


@pytest.mark.parametrize("msisdn", ["254700000012", "254700000014", "254700000022"])
async def test_duplicates_lost_callbacks_and_rate_limits(world, msisdn):
    assert (await world.settled(msisdn=msisdn)).status == "confirmed"
    assert len(await booked(world)) == 1
    assert await world.sandbox.prompts.count() == 1


async def test_all_calls_lost_the_receipt_is_pulled(world):
    payment = await world.settled(msisdn="254700000011")
    assert payment.status == "confirmed"
    (payment_booked,) = await booked(world)
    paid = await world.sandbox.pull(0, 2**60, 0)
    assert payment_booked["provider_tx"] == paid[0].receipt


async def test_an_unreachable_callback_url_is_made_up_for(database_url, http_client, billing):
    async with gateway(database_url, http_client, billing, callbacks=False) as world:
        assert (await world.settled()).status == "confirmed"


async def test_a_push_whose_answer_is_lost_is_not_repeated(world):
    """The first try was taken: the callback brings its id, and the customer is asked once."""
    payment = await world.settled(msisdn="254700000021")
    assert payment.status == "confirmed"
    assert await world.sandbox.prompts.count() == 1
    assert len(await booked(world)) == 1


async def test_a_second_push_of_a_busy_customer_fails(world):
    first = await world.client.pay(**{**PAYMENT, "msisdn": "254700000006"})
    while not await world.sandbox.prompts.count():
        await asyncio.sleep(0.01)
    second = await world.settled(msisdn="254700000006", idempotency_key="k2")
    assert second.status == "failed"
    assert second.reason.startswith("Unable to lock subscriber")
    assert (await world.client.wait(first.payment_id, wait_s=0)).status == "pending"


async def test_killed_before_the_customer_decides(database_url, http_client, billing):
    async with gateway(database_url, http_client, billing, approve_after_s=0.4) as first:
        payment = await first.client.pay(**PAYMENT)
        while not await first.sandbox.prompts.count():
            await asyncio.sleep(0.01)
    async with gateway(database_url, http_client, billing) as second:
        assert (await second.client.wait(payment.payment_id, wait_s=8)).status == "confirmed"
    assert len(billing.booked) == 1


async def test_what_the_provider_cannot_move(world):
    for change in ({"amount_subunit": 500_50}, {"currency": "UGX"}):
        with pytest.raises(Unprocessable):
            await world.client.pay(**{**PAYMENT, **change})


async def test_a_customer_pays_the_paybill(world):
    await world.sandbox.customer_pays(payer="254708374149", amount="500", reference="254543")
    (payment,) = await booked(world)
    assert payment["momoep_id"]
    assert payment["sender_phone_number"] == "25470****149", "masked, and kept as it came (resolutions 4)"
    assert (payment["business_account"], payment["provider_key"]) == ("174379", "ke_safaricom_mpesa")
    table = world.momo._store.notices
    kept = await world.momo._database.read(lambda c: c.execute(table.select()).all())
    assert [each.hook for each in kept] == ["ke/c2b", "ke/c2b"], "validation and confirmation, raw"
    assert b'"MSISDN":"25470****149"' in kept[1].body


@pytest.mark.parametrize("payer", ["254700000012", "254700000013"])
async def test_a_notice_that_comes_twice_or_late_is_booked_once(world, payer):
    await world.sandbox.customer_pays(payer=payer, amount="500", reference="254543")
    if payer.endswith("13"):
        due = world.sandbox.prompts.store.outbox.next_due_ms
        while not await world.sandbox._database.read(lambda c: due(c, ["call"])):
            await asyncio.sleep(0.01)
        return
    while world.sandbox.prompts._dispatcher.counters["done"] < 3:
        await asyncio.sleep(0.01)
    assert len(await booked(world)) == 1
    assert len(world.billing.confirmed) == 1


@pytest.mark.parametrize(("reference", "amount"), [("999", "500"), ("254543", "1")])
async def test_what_billing_does_not_take_is_rejected_before_money_moves(world, reference, amount):
    await world.sandbox.customer_pays(payer="254708374149", amount=amount, reference=reference)
    while world.sandbox.prompts._dispatcher.counters["done"] < 1:
        await asyncio.sleep(0.01)
    assert await world.sandbox.prompts.count() == 0
    assert world.billing.confirmed == []


@pytest.mark.parametrize(("default", "paid"), [("Completed", 1), ("Cancelled", 0)])
async def test_without_an_answer_the_default_of_the_registration_applies(
    database_url, http_client, billing, default, paid
):
    async with gateway(database_url, http_client, billing, callbacks=False, default=default) as world:
        await world.sandbox.customer_pays(payer="254708374149", amount="500", reference="254543")
        while world.sandbox.prompts._dispatcher.counters["done"] < 1:
            await asyncio.sleep(0.01)
        assert await world.sandbox.prompts.count() == paid


async def test_billing_away_rejects_a_validation(world, http_client):
    world.billing.down = Unavailable("away")
    url = f"{world.url}/hooks/ke/c2b/v/{SECRET}"
    body = b'{"TransID":"T1","TransAmount":"10","BusinessShortCode":"174379","MSISDN":"2547"}'
    answer = await http_client.request("POST", url, body=body)
    assert answer.json() == {"ResultCode": "C2B00016", "ResultDesc": "Rejected"}


async def test_a_lost_confirmation_is_made_good_from_the_list(world, http_client):
    """It is not guaranteed to come: the list that can be pulled has it (spec/providers.md, section 1)."""
    await world.sandbox.customer_pays(payer="254700000011", amount="500", reference="254543")
    while not await world.sandbox.prompts.count():
        await asyncio.sleep(0.01)
    request = {
        "provider_key": "ke_safaricom_mpesa",
        "since": "2020-01-01T00:00:00Z",
        "until": "2099-01-01T00:00:00Z",
        "settle": True,
    }
    url, body = f"{world.url}/reconciliation", json.dumps(request).encode()
    report = (await http_client.request("POST", url, headers={"API-KEY": "key"}, body=body)).json()
    (payment,) = await booked(world)
    assert report["settled"] == [payment["provider_tx"]]
    assert (payment["reference"], payment["business_account"]) == ("254543", "174379")
    again = (await http_client.request("POST", url, headers={"API-KEY": "key"}, body=body)).json()
    assert (again["matched"], again["settled"], len(world.billing.booked)) == (1, [], 1)
