"""The rows of the checklist's USSD flow, one test each (20, the provider's own SMS, is not ours to send)."""

import pytest

from backend.kit.errors import Unavailable
from backend.mese.languages.english import TEXTS
from backend.mese.schemas import Hop
from backend.mese.service import PACE, PACE_WINDOW_S

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


async def test_checklist_101_a_number_that_goes_too_fast_is_told_to_try_again(dial, clock, payments):
    for number in range(PACE):
        assert (await dial("", session=f"s{number}")).startswith("CON ")
    assert await dial("", session="one more") == "END " + TEXTS["unavailable"]
    assert (await dial("", session="s0")).startswith("CON ")  # a repeated hop
    assert (await dial("", session="other", phone="+256772000002")).startswith("CON ")
    clock.advance(PACE_WINDOW_S)
    assert await dial("1*254543*5000*1", session="one more") == "END Payment successful!"
    assert len(payments.paid) == 1


async def test_checklist_101_a_repeated_hop_that_pays_is_never_too_fast(dial, clock, payments):
    payments.down["wait"] = Unavailable("x")
    first = await dial("1*254543*5000*1", session="paying")
    for number in range(PACE - 1):
        await dial("", session=f"s{number}")
    assert await dial("", session="one more") == "END " + TEXTS["unavailable"]
    assert await dial("1*254543*5000*1", session="paying") == first
    assert len(payments.paid) == 1
