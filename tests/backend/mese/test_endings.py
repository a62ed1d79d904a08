"""End events of the aggregator (spec/providers.md, section 4), in any order with hops and payments."""

import asyncio

import pytest
from sqlalchemy import select

from backend.kit.errors import BadRequest
from backend.mese.followup import FOLLOW_UP
from backend.mese.languages.english import TEXTS
from backend.mese.schemas import Ending, Hop
from backend.mese.store import Store

FORM = {
    "date": "2025-12-01 10:10:00",
    "sessionId": "s1",
    "serviceCode": "*384*1#",
    "networkCode": "99999",
    "phoneNumber": "+256772123456",
    "status": "Incomplete",
    "cost": "UGX 10.0000",
    "durationInMillis": "4210",
    "hopsCount": "4",
    "input": "1*254543*5000",
    "lastAppResponse": "CON Confirm payment of 5000 for John Doe?",
    "errorMessage": "",
}
NUMBER = "256772123456"
PAID = "1*254543*5000*1"


def ending(status, session="s1"):
    return Ending(session, NUMBER, status, hops="", duration_ms="", cost="", error="")


@pytest.fixture
def queued(database):
    """The keys of the follow-ups that are queued."""

    async def queued():
        table = Store().outbox.table
        return await database.read(lambda c: c.execute(select(table.c.kind, table.c.key)).all())

    return queued


async def test_after_its_end_a_session_neither_asks_nor_pays(dial, payments):
    for text in ("", "1", "1*254543", "1*254543*5000"):
        last = await dial(text)
    for _ in range(2):
        answer = await dial.client.post("/ussd/end", data=FORM)
        assert (answer.status, await answer.text()) == (200, "")
    assert await dial("1*254543*5000") == last, "a repeat is answered as it was"
    assert await dial(PAID) == "END " + TEXTS["over"]
    assert payments.paid == {}


async def test_an_end_that_overtakes_its_session_ends_it(host, payments):
    await host.end(ending("Failed"))
    assert await host.hop(Hop("s1", NUMBER, PAID)) == "END " + TEXTS["over"]
    assert payments.paid == {}


@pytest.mark.parametrize(("status", "told"), [("Success", 0), ("Incomplete", 1), ("Failed", 1)])
async def test_who_did_not_see_the_answer_is_told_by_sms(host, queued, status, told):
    await host.hop(Hop("s1", NUMBER, PAID))
    for _ in range(3):
        await host.end(ending(status))
    assert await queued() == [(FOLLOW_UP, "s1")] * told


async def test_an_end_while_the_payment_runs_is_followed_up_once(host, payments, queued):
    asked, go_on = asyncio.Event(), asyncio.Event()
    settle = payments.wait

    async def slow(payment_id, *, wait_s):
        asked.set()
        await go_on.wait()
        return await settle(payment_id, wait_s=wait_s)

    payments.wait, payments.fate = slow, "failed"
    paying = asyncio.ensure_future(host.hop(Hop("s1", NUMBER, PAID)))
    await asked.wait()
    await host.end(ending("Failed"))
    assert await queued() == [(FOLLOW_UP, "s1")]
    go_on.set()
    assert await paying == "END " + TEXTS["failed"]
    await host.end(ending("Failed"))
    assert await queued() == [(FOLLOW_UP, "s1")]
    assert len(payments.paid) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sessionId": None}, "Missing form fields: sessionId"),
        ({"status": None}, "Missing form fields: status"),
        ({"status": "Gone"}, "status must be one of Success, Incomplete, Failed"),
        ({"phoneNumber": "abc"}, "phoneNumber"),
        ({"phoneNumber": "+256772999999"}, "phoneNumber is not the one"),
        ({"sessionId": "s" * 201}, "sessionId"),
    ],
)
async def test_malformed_ends_change_nothing(dial, changes, says):
    await dial("")
    form = {name: value for name, value in {**FORM, **changes}.items() if value is not None}
    answer = await dial.client.post("/ussd/end", data=form)
    assert answer.status == 400
    assert says in await answer.text()
    assert await dial("1") == "CON Enter account number"


async def test_an_end_of_an_unknown_session_is_taken_and_forgotten(host, clock, database):
    await host.start()
    await host.end(ending("Success", session="unknown"))
    clock.advance(86_400 + 1)
    await host.hop(Hop("new", NUMBER, ""))
    ends = await database.read(lambda c: c.execute(select(Store().endings)).all())
    assert ends == []
    await host.stop()


async def test_nobody_ends_another_s_session(host):
    await host.hop(Hop("s1", NUMBER, ""))
    with pytest.raises(BadRequest):
        await host.end(Ending("s1", "256772999999", "Failed", hops="", duration_ms="", cost="", error=""))
    assert (await host.hop(Hop("s1", NUMBER, "1"))).startswith("CON ")
