"""From a paid day to the device: outbox handlers, M2M's callback, the ops feed; and kills between them."""

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from backend.kit.database import Database
from backend.kit.errors import Forbidden, Unavailable, Unprocessable
from backend.kit.outbox import Leased
from backend.solarium.orders import ORDER_TOKEN, SEND_COMMAND, SEND_SMS, Orders, Partners
from backend.solarium.service import Solarium
from simulator.clock import ManualClock, SeededEntropy
from tests.backend.solarium.fakes import (
    PRICE,
    FakePartners,
    account,
    confirm,
    make_service,
    payment,
    settled,
)
from tests.databases import everything_in


async def test_resolutions_27_the_same_token_goes_by_command_and_by_sms(
    service: Solarium, partners: FakePartners
) -> None:
    await confirm(service)
    await partners.until(1, "create")
    await partners.until(1, "send")
    ((order_id, order),) = partners.orders.items()
    assert order == ("SCBLNX/A/BT/254543", "unlock_relative", 2)
    assert partners.commands[order_id] == {
        "identifier": "SCBLNX/A/BT/254543",
        "name": "unlock_token",
        "details": {"unlock_code": "42744349"},
        "url": f"http://solarium.test/base/m2m/callback/{order_id}",
    }
    assert partners.messages[order_id] == {
        "to": "256700000001",
        "text": "Payment received, thank you. Type this on the keypad: *00 427 443 49#",
        "market": "UG",
    }


async def test_openpaygo_digits_are_typed_as_they_are(service: Solarium, partners: FakePartners) -> None:
    await service.register_accounts([account("2", token_family="openpaygo")])
    await confirm(service, reference="2")
    await partners.until(1, "send")
    (message,) = partners.messages.values()
    assert message["text"].endswith("on the keypad: 42744349")


async def test_resolutions_27_days_above_995_are_several_tokens(
    service: Solarium, partners: FakePartners
) -> None:
    await confirm(service, amount_subunit=2_000 * PRICE)
    await settled(service, sent=3)
    assert sorted(days for _, _, days in partners.orders.values()) == [10, 995, 995]
    assert len(set(partners.tokens_made.values())) == 3


async def test_less_than_a_day_buys_nothing_yet(service: Solarium, partners: FakePartners) -> None:
    await confirm(service, "A", amount_subunit=PRICE - 1)
    assert not any((await service.audit()).orders.values())
    await confirm(service, "B", amount_subunit=1)
    await settled(service, sent=1)
    assert [days for _, _, days in partners.orders.values()] == [1]


async def test_a_partner_that_is_away_is_asked_again(
    service: Solarium, partners: FakePartners, clock: ManualClock
) -> None:
    partners.failing = {name: [Unavailable("away", retry_after_s=0)] for name in ("order", "create", "send")}
    await confirm(service)
    for name in ("order", "create", "send"):
        await partners.until(2, name)
    await settled(service, sent=1)
    assert len(partners.tokens_made) == len(partners.commands) == len(partners.messages) == 1


async def test_resolutions_22_a_market_without_sms_is_an_alert_and_no_dead_letter(
    service: Solarium, partners: FakePartners
) -> None:
    partners.failing = {"send": [Unprocessable("no_route: mega send: HTTP 422")]}
    with capture_logs() as logs:
        await service.confirm(**payment())
        await partners.until(1, "send")
        await partners.until(1, "create")
        while "sms.no_route" not in [entry["event"] for entry in logs]:
            await asyncio.sleep(0.01)
    assert len(partners.commands) == 1
    assert (await service.audit()).dead_letters == 0


async def test_days_that_wait_for_somebody_are_an_alert_ever_more_seldom(
    service: Solarium, partners: FakePartners, clock: ManualClock
) -> None:
    """A device reported stolen gets no token: it is asked for on and on, and someone must hear of it."""
    stolen = [Forbidden("device is reported stolen") for _ in range(5)]
    partners.failing = {"order": [Unavailable("away"), *stolen]}
    with capture_logs() as logs:
        await confirm(service)
        async with asyncio.timeout(10):
            while "create" not in partners.calls:
                clock.advance(60)
                service._dispatcher._wake.set()
                await asyncio.sleep(0.01)
    alerts = [each for each in logs if each["event"] == "order.waits"]
    assert [each["error"] for each in alerts] == ["forbidden: device is reported stolen"] * 2  # attempts 2, 4
    assert (await service.audit()).dead_letters == 0


async def test_what_is_refused_for_good_is_a_dead_letter(service: Solarium, partners: FakePartners) -> None:
    partners.failing = {"send": [Unprocessable("no route")]}
    await confirm(service)
    await partners.until(1, "send")
    await settled(service, sent=1)
    async with asyncio.timeout(10):
        while (await service.audit()).dead_letters == 0:
            await asyncio.sleep(0.005)
    assert (await service.audit()).dead_letters == 1


async def test_digits_are_sealed_in_the_database(
    service: Solarium, partners: FakePartners, database: Database
) -> None:
    await confirm(service)
    await settled(service, sent=1)
    content = await everything_in(database)
    assert next(iter(partners.orders)) in content
    assert "42744349" not in content


STEPS = ("order", "create", "send")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_invariant_7_a_kill_between_steps_loses_and_repeats_nothing(
    database: Database, clock: ManualClock, step: str, when: str
) -> None:
    """The partner does its part or not, and the process dies before it hears of it."""
    partners = FakePartners()
    reached = asyncio.Event()
    original = {name: getattr(partners, name) for name in STEPS}

    async def hang(**call: Any) -> Any:
        if when == "after":
            await original[step](**call)
        reached.set()
        await asyncio.Event().wait()

    setattr(partners, step, hang)
    first = make_service(database, clock, SeededEntropy(1), partners)
    await first.start()
    await first.register_accounts([account()])
    await confirm(first)
    async with asyncio.timeout(10):
        await reached.wait()
    await first.stop()

    setattr(partners, step, original[step])
    second = make_service(database, clock, SeededEntropy(2), partners)
    await second.start()
    await partners.until(1, "send")
    await settled(second, sent=1)
    assert len(partners.tokens_made) == len(partners.commands) == len(partners.messages) == 1
    await second.stop()


async def test_a_handler_that_runs_again_after_its_end_changes_nothing(
    service: Solarium, partners: FakePartners, database: Database, clock: ManualClock
) -> None:
    await confirm(service)
    await settled(service, sent=1)
    await partners.until(1, "send")
    (order_id,) = partners.orders
    orders = Orders(
        store=service._store,
        database=database,
        clock=clock,
        vault=service._vault,
        partners=Partners(tokens=partners, devices=partners.devices, commands=partners, sms=partners),
        callback_base="",
    )
    for kind in (ORDER_TOKEN, SEND_COMMAND, SEND_SMS):
        row = Leased(0, kind, order_id, {"device": "SCBLNX/A/BT/254543", "days": 2}, 1, 0, 0)
        outcome = await orders.handlers()[kind](row)
        then = getattr(outcome, "then", None)
        if then is not None:
            await database.write(then)
    await settled(service, sent=1)
    assert len(partners.tokens_made) == len(partners.commands) == len(partners.messages) == 1
    assert partners.calls.count("send") == 2  # ours by hand; no new rows were put


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, 0),
        ({"amount_subunit": 1}, 1),
        ({"reference": "9"}, 1),
        ({"currency": "KES"}, 1),
        ({"business_account": "another"}, 1),
    ],
)
async def test_a_repeat_that_says_something_else_is_told(
    service: Solarium, change: dict[str, object], told: int
) -> None:
    await confirm(service)
    with capture_logs() as logs:
        assert not await service.confirm(**payment(**change))
    assert sum(each["event"] == "payment.repeat_differs" for each in logs) == told


# The ops feed


async def test_payments_go_to_the_ops_topics_without_who_paid(service: Solarium) -> None:
    await confirm(service)
    (item,) = await service.feed.lease(limit=10, wait_s=5)
    assert (item.serial, item.market, item.channel) == ("SCBLNX/A/BT/254543", "UG", "payment")
    assert json.loads(item.payload) == {
        "serial": "SCBLNX/A/BT/254543",
        "market": "UG",
        "at": "2025-12-01T10:10:00Z",
        "reference": "254543",
        "amount_subunit": 125_000,
        "currency": "UGX",
        "days": 2,
        "provider_key": "ug_mtn_mobilemoney",
    }
    assert await service.feed.lease(limit=10, wait_s=0) == []


async def test_an_event_that_is_not_confirmed_comes_again(service: Solarium, clock: ManualClock) -> None:
    await confirm(service)
    first = await service.feed.lease(limit=10, wait_s=5)
    clock.advance(31)
    assert await service.feed.lease(limit=10, wait_s=0) == first
    await service.feed.confirm([item.id for item in first])
    clock.advance(31)
    assert await service.feed.lease(limit=10, wait_s=0) == []
