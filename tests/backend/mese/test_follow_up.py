"""What a customer hears by SMS who was told on the line that it takes longer (resolutions 23)."""

import asyncio
import json

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from backend.kit.errors import (
    Unavailable,
    Unprocessable,
)
from backend.kit.http import TimedOut
from backend.kit.outbox import Done, Leased, Retry
from backend.mese.followup import FOLLOW_UP, FollowUp
from backend.mese.languages.english import TEXTS
from backend.mese.schemas import Hop
from backend.mese.store import Store


async def test_resolution_23_who_is_told_on_the_line_gets_no_sms(dial, payments, sms):
    for payments.fate, session in (("failed", "s1"), ("confirmed", "s2")):
        assert (await dial("1*254543*5000*1", session=session)).startswith("END ")
    assert sms.sent == {}


async def test_a_failure_in_a_market_without_short_messages_is_an_alert(clock, payments, sms):
    payments.fate, payments.paid["k"] = "failed", {}
    sms.refusal = Unprocessable("no SMS provider is configured for market TZ")
    payload = {"payment_id": "k", "msisdn": "255621000001", "market": "TZ", "language": "sw", "amount": 5000}
    row = Leased(1, FOLLOW_UP, "s1", payload, 1, clock.now_ms(), 0)
    with capture_logs() as logs:
        assert type(await FollowUp(payments=payments, sms=sms, clock=clock).handle(row)) is Done
    assert [(each["event"], each["market"]) for each in logs] == [("ussd.failure_untold", "TZ")]


async def test_the_follow_up_tells_a_failure_once_and_a_success_never(database, clock, payments, sms):
    outcomes = []
    handler = FollowUp(payments=payments, sms=sms, clock=clock)
    payments.paid["p1"] = {}
    payload = {"payment_id": "p1", "msisdn": "256772123456", "market": "UG", "amount": 5000}
    row = Leased(1, FOLLOW_UP, "s1", payload, 1, clock.now_ms(), 0)
    for payments.fate in ("unknown", "confirmed", "failed", "failed"):
        outcomes.append(type(await handler.handle(row)))
        if payments.fate == "confirmed":
            assert sms.sent == {}
    assert outcomes == [Retry, Done, Done, Done]
    told = TEXTS["failed_later"].format(amount=5000)
    assert sms.sent == {f"{FOLLOW_UP}:s1": f"UG 256772123456: {told}"}


@pytest.mark.parametrize(
    "lost", [TimedOut("the connection broke"), Unavailable("the database is away: its commit may be in")]
)
@pytest.mark.parametrize(("arrived", "told"), [(True, 0), (False, 1)])
async def test_a_payment_whose_answer_was_lost_is_looked_for_by_its_key(
    database, clock, build_host, payments, sms, *, arrived, told, lost
):
    """Whoever was told "pending" hears of it, also when the gateway never had the request."""
    host = build_host(database)
    await host.start()
    payments.down["pay"] = lost
    assert await host.hop(Hop("s1", "256772123456", "1*254543*5000*1")) == "END " + TEXTS["pending"]
    (row,) = await database.read(lambda c: c.execute(select(Store().outbox.table)).mappings().all())
    assert row["due_at_ms"] == clock.now_ms() + 20_000, "the lost request may still arrive"
    key = json.loads(row["payload"])["payment_key"]
    if arrived:
        payments.paid[key] = {}
    leased = Leased(row["id"], row["kind"], row["key"], json.loads(row["payload"]), 1, clock.now_ms(), 0)
    assert type(await FollowUp(payments=payments, sms=sms, clock=clock).handle(leased)) is Done
    await host.stop()
    assert list(sms.sent) == [f"{FOLLOW_UP}:s1"] * told


@pytest.mark.parametrize("asked", [True, False])
async def test_a_kill_before_the_answer_is_followed_up_though_nobody_comes_again(
    database, clock, build_host, payments, sms, *, asked
):
    """The session is stored as paying; momo was asked, or not yet."""
    killed, reached = build_host(database), asyncio.Event()
    await killed.start()
    pay = payments.pay

    async def hang(**payment):
        if asked:
            await pay(**payment)
        reached.set()
        await asyncio.Event().wait()

    payments.pay, payments.fate = hang, "failed"
    paying = asyncio.ensure_future(killed.hop(Hop("s1", "256772123456", "1*254543*5000*1")))
    await reached.wait()
    paying.cancel()
    await asyncio.gather(paying, return_exceptions=True)
    await killed.stop()
    clock.advance(60)
    second = build_host(database)
    await second.start()
    async with asyncio.timeout(5):
        await sms.heard.wait()
    await second.stop()
    assert list(sms.sent) == [f"{FOLLOW_UP}:s1"]


async def test_a_payment_that_stays_unknown_is_looked_at_ever_more_seldom(clock, payments, sms):
    """A provider that has no enquiry, and lost its callback: thousands of them wait for reconciliation."""
    handler = FollowUp(payments=payments, sms=sms, clock=clock)
    payments.paid["p1"], payments.fate = {}, "unknown"
    payload = {"payment_id": "p1", "msisdn": "256772123456", "market": "UG", "amount": 5000}
    began_ms, looks = clock.now_ms(), 0
    while clock.now_ms() < began_ms + 86_400_000:
        outcome = await handler.handle(Leased(1, FOLLOW_UP, "s1", payload, 1, began_ms, 0))
        assert isinstance(outcome, Retry)
        clock.advance(outcome.after_s)
        looks += 1
    assert looks < 200


async def test_a_pending_payment_is_followed_up_after_a_restart(database, clock, build_host, payments, sms):
    first = build_host(database)
    await first.start()
    payments.fate = "pending"
    assert await first.hop(Hop("s1", "256772123456", "1*254543*5000*1")) == "END " + TEXTS["pending"]
    await first.stop()
    payments.fate = "failed"
    clock.advance(60)
    second = build_host(database)
    await second.start()
    async with asyncio.timeout(5):
        await sms.heard.wait()
    await second.stop()
    assert list(sms.sent) == [f"{FOLLOW_UP}:s1"]
