"""MoMoEP's routes: payments that customers begin at the provider (checklist 35)."""

import asyncio

import pytest
from structlog.testing import capture_logs

from backend.kit.errors import Forbidden, Unavailable
from tests.backend.momo.conftest import running

KEY = {"API-KEY": "key"}
VALIDATE = {
    "reference": "254543",
    "currency": "UGX",
    "business_account": "paybill",
    "provider_key": "ug_mtn_mobilemoney",
}
CONFIRM = {
    **VALIDATE,
    "amount_subunit": 5000_00,
    "sender_phone_number": "256772123456",
    "provider_tx": "TX1",
    "received_at": "2025-12-01T10:10:00Z",
}


@pytest.fixture
async def momo(build):
    async with running(build(providers={})) as momo:
        yield momo


@pytest.mark.parametrize(
    ("change", "status", "answer"),
    [
        ({}, 200, {"status": "ok", "customer_name": "John Doe"}),
        ({"additional_fields": ["customer_name"]}, 200, {"status": "ok", "customer_name": "John Doe"}),
        ({"additional_fields": []}, 200, {"status": "ok"}),
        ({"reference": "1"}, 404, {"status": "reference_not_found"}),
        ({"amount_subunit": 5}, 412, {"status": "amount_too_low"}),
    ],
)
async def test_checklist_35_validate(client, change, status, answer):
    response = await client.post("/validate_payment", json={**VALIDATE, **change}, headers=KEY)
    assert (response.status, await response.json()) == (status, answer)


async def test_checklist_35_validate_without_billing(client, billing):
    billing.down = Unavailable("away")
    assert (await client.post("/validate_payment", json=VALIDATE, headers=KEY)).status == 503
    response = await client.post("/validate_payment", json={}, headers=KEY)
    assert (response.status, "errors" in await response.json()) == (400, True)


async def confirm(client, headers=KEY, **changes):
    response = await client.post("/confirm_payment", json={**CONFIRM, **changes}, headers=headers)
    assert await response.read() == b"", "always empty (checklist 32-34)"
    return response.status


async def test_checklist_35_confirm_records_once_and_tells_billing_once(client, billing, momo):
    assert await confirm(client) == 200
    assert await confirm(client) == 409
    with capture_logs() as logs:
        assert await confirm(client, amount_subunit=1) == 409
    assert "paybill.repeat_differs" in [each["event"] for each in logs]  # resolutions 7
    while not billing.confirmed:
        await asyncio.sleep(0.01)
    (booked,) = billing.confirmed
    assert booked.pop("momoep_id")
    assert booked == CONFIRM
    assert await confirm(client, provider_key="rw_mtn_mobilemoney") == 200, (
        "the key is of both (checklist 31)"
    )


async def test_what_billing_refuses_to_book_is_an_alert(client, billing, momo, clock, monkeypatch):
    """Money was taken; it is tried on, and somebody must look: the key that billing gave us, say."""
    told, book = asyncio.Event(), billing.confirm

    async def refuse(**_):
        told.set()
        monkeypatch.setattr(billing, "confirm", book)
        raise Forbidden("not of this market")

    monkeypatch.setattr(billing, "confirm", refuse)
    with capture_logs() as logs:
        assert await confirm(client) == 200
        await told.wait()
        while not billing.confirmed:
            clock.advance(1)
            momo._dispatcher._wake.set()
            await asyncio.sleep(0.01)
    (alert,) = [each for each in logs if each["event"] == "payment.not_booked"]
    assert (alert["log_level"], alert["error"]) == ("error", "forbidden: not of this market")


async def test_of_many_concurrent_confirms_one_is_new(client, momo):
    answers = await asyncio.gather(*(confirm(client) for _ in range(40)))
    assert sorted(answers) == [200] + [409] * 39
    audit = await momo.audit()
    assert sum(audit.payments_by_state.values()) == 1


async def test_a_reference_that_nobody_knows_is_booked_all_the_same(client, billing):
    """The money has moved: billing puts it into suspense (resolutions 7)."""
    assert await confirm(client, reference="nobody") == 200
    while not billing.confirmed:
        await asyncio.sleep(0.01)
    assert billing.confirmed[0]["reference"] == "nobody"


@pytest.mark.parametrize(
    ("headers", "changes", "status"),
    [
        ({}, {}, 401),
        ({"API-KEY": "no"}, {}, 401),
        ({"API-KEY": "rw"}, {}, 403),
        (KEY, {"amount_subunit": 0}, 400),
        (KEY, {"amount_subunit": 10**30}, 400),
        (KEY, {"provider_tx": ""}, 400),
        (KEY, {"provider_tx": "a\x00"}, 400),
        (KEY, {"sender_phone_number": "+256"}, 400),
        (KEY, {"received_at": "yesterday"}, 400),
        (KEY, {"reference": "x" * 70_000}, 413),
    ],
)
async def test_bad_confirms_are_empty_and_change_nothing(client, momo, headers, changes, status):
    assert await confirm(client, headers=headers, **changes) == status
    assert (await momo.audit()).payments_by_state == {}


async def test_a_masked_sender_goes_on_as_it_came(client, billing):
    assert await confirm(client, sender_phone_number="25470****149") == 200
    while not billing.confirmed:
        await asyncio.sleep(0.01)
    assert billing.confirmed[0]["sender_phone_number"] == "25470****149"


@pytest.mark.parametrize(
    "path", ["/hooks/ke/c2b/v/" + "0" * 32, "/hooks/ke/c2b/c/" + "0" * 32, "/hooks/ke/ipn"]
)
async def test_paybill_hooks_that_are_not_wired(client, momo, path):
    assert (await client.post(path, json={})).status == 404
    table = momo._store.notices
    assert await momo._database.read(lambda c: c.execute(table.select()).all()) == []


async def test_a_key_validates_in_its_market_only(client):
    response = await client.post("/validate_payment", json=VALIDATE, headers={"API-KEY": "rw"})
    assert response.status == 403
