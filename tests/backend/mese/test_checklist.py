"""The rows of the checklist's USSD flow, one test each (20, the provider's own SMS, is not ours to send)."""

import pytest

from backend.mese.languages.english import TEXTS
from backend.mese.schemas import Hop

NUMBER = "256772123456"
PATH = ("", "1", "1*254543", "1*254543*5000", "1*254543*5000*1")


@pytest.fixture
def walk(host):
    """Walks the seed's path up to a hop; the answer to that."""

    async def walk(hops):
        for text in PATH[:hops]:
            answer = await host.hop(Hop("s1", NUMBER, text))
        return answer

    return walk


async def test_checklist_9_a_dialled_short_code_reaches_mese(dial):
    assert (await dial("")).startswith("CON ")


async def test_checklist_10_the_welcome_menu_shows_make_payment(walk):
    assert (await walk(1)).splitlines()[:2] == ["CON Welcome", "1. Make Payment"]


async def test_checklist_11_then_the_account_is_asked_for(walk):
    assert await walk(2) == "CON Enter account number"


async def test_checklist_12_13_the_reference_is_validated_by_momo(walk, payments):
    assert await walk(3) == "CON Enter amount"
    assert payments.calls == ["resolve", "validate"]


async def test_checklist_14_then_the_amount_is_asked_for(walk):
    assert await walk(3) == "CON Enter amount"


async def test_checklist_15_then_the_payment_is_confirmed_by_name(walk):
    assert await walk(4) == "CON Confirm payment of 5000 for John Doe?\n1. Confirm 2. Cancel"


async def test_checklist_16_on_1_momo_is_told_to_pay(walk, payments):
    await walk(5)
    (payment,) = payments.paid.values()
    assert (payment["reference"], payment["amount_subunit"], payment["provider_key"]) == (
        "254543",
        5000_00,
        "ug_mtn_mobilemoney",
    )


async def test_checklist_17_18_mese_waits_while_the_provider_asks_for_the_pin(walk, payments):
    await walk(5)
    assert payments.calls[-2:] == ["pay", "wait"]


async def test_checklist_19_the_customer_sees_that_it_worked(walk):
    assert await walk(5) == "END Payment successful!"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1*254543*5000*2", "END " + TEXTS["cancelled"]),
        ("1*999999", "CON " + TEXTS["unknown_account"]),
        ("1*254543*abc", "CON " + TEXTS["bad_amount"]),
    ],
)
async def test_checklist_22_cancel_bad_reference_bad_amount(host, payments, text, told):
    parts = text.split("*")
    for hops in range(len(parts) + 1):
        answer = await host.hop(Hop("s1", NUMBER, "*".join(parts[:hops])))
    assert answer == told
    assert payments.paid == {}


@pytest.mark.parametrize(
    ("fate", "told"), [("failed", "failed"), ("pending", "pending"), ("unknown", "pending")]
)
async def test_checklist_22_provider_failure_and_timeout(walk, payments, fate, told):
    payments.fate = fate
    assert await walk(5) == "END " + TEXTS[told]
