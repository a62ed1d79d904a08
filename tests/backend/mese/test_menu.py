"""The menu over HTTP, hop by hop (checklist 9-22, resolutions 23)."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select

from backend.kit.errors import (
    BadRequest,
    InternalError,
    NotFound,
    TooManyRequests,
    Unavailable,
    Unprocessable,
)
from backend.kit.http import TimedOut, Unreachable
from backend.mese.languages import LANGUAGES
from backend.mese.languages.english import TEXTS
from backend.mese.markets import MARKETS, market_of
from backend.mese.pages import TABLE, Event, Page
from backend.mese.schemas import Hop
from backend.mese.store import Store

MENU = TEXTS["menu"]
WELCOME = f"CON Welcome\n{MENU}"
CONFIRM = "CON Confirm payment of 5000 for John Doe?\n1. Confirm 2. Cancel"


async def test_checklist_9_to_19_the_seeds_flow(dial, payments):
    assert await dial("") == WELCOME
    assert await dial("1") == "CON Enter account number"
    assert await dial("1*254543") == "CON Enter amount"
    assert await dial("1*254543*5000") == CONFIRM
    assert payments.paid == {}
    assert await dial("1*254543*5000*1") == "END Payment successful!"
    (payment,) = payments.paid.values()
    assert payment == {
        "reference": "254543",
        "amount_subunit": 5000_00,
        "currency": "UGX",
        "business_account": "paybill",
        "provider_key": "ug_mtn_mobilemoney",
        "msisdn": "256772123456",
    }
    assert 7.5 < payments.waits[0] <= 8.0


@pytest.mark.parametrize(
    ("hops", "last"),
    [
        (["9"], f"CON Wrong choice.\n{MENU}"),
        (["9", "9*1"], "CON Enter account number"),
        (["1", "1*000"], "CON Account not found.\nEnter account number"),
        (["1", "1*%!"], "CON Account not found.\nEnter account number"),
        (["1", "1*000", "1*000*254543"], "CON Enter amount"),
        (["1", "1*777", "1*777*5000"], "CON Confirm payment of 5000 for account 777?\n1. Confirm 2. Cancel"),
        (["1", "1*254543", "1*254543*0"], "CON " + TEXTS["bad_amount"]),
        (["1", "1*254543", "1*254543*-5"], "CON " + TEXTS["bad_amount"]),
        (["1", "1*254543", "1*254543*5.5"], "CON " + TEXTS["bad_amount"]),
        (["1", "1*254543", "1*254543*"], "CON " + TEXTS["bad_amount"]),
        (["1", "1*254543", "1*254543*" + "9" * 150], "CON " + TEXTS["bad_amount"]),
        (["1", "1*254543", "1*254543*٥٠٠٠"], "CON " + TEXTS["bad_amount"]),
        (["1", "1*254543", "1*254543*5*000"], "CON " + TEXTS["bad_amount"]),
        (["1", "1*254543", "1*254543*5*000", "1*254543*5*000*5000"], CONFIRM),
        (["1", "1*254543", "1*254543*999"], "CON " + TEXTS["amount_too_low"]),
        (["1", "1*254543", "1*254543*1000001"], "CON " + TEXTS["amount_too_high"]),
        (["1", "1*254543", "1*254543*999", "1*254543*999*5000"], CONFIRM),
        (["1", "1*254543", "1*254543*5000", "1*254543*5000*2"], "END Payment cancelled."),
        (
            ["1", "1*254543", "1*254543*5000", "1*254543*5000*7"],
            "CON Wrong choice. Payment of 5000 for John Doe?\n1. Confirm 2. Cancel",
        ),
        (["1*254543*5000"], CONFIRM),  # dialled in one go
        (["1*254543*5000*1"], CONFIRM),  # what was not shown is not confirmed
        (["", "1*254543"], "CON Enter amount"),  # a hop was lost
        (["1", "1*254543*5000"], CONFIRM),
        (["1", "1*254543", "1"], "CON Enter amount"),  # an old hop comes again; see the model for more
    ],
)
async def test_checklist_22_branches(dial, payments, hops, last):
    for text in ["", *hops]:
        answer = await dial(text)
    if hops[-1] == "1":
        assert answer == "CON Enter account number"  # the same answer again ...
        assert await dial("1*254543*5000") == CONFIRM  # ... and the session is where it was
        return
    assert answer == last
    assert payments.paid == {}


@pytest.mark.parametrize(
    ("down", "fate", "told"),
    [
        ({}, "failed", ("END " + TEXTS["failed"], 1)),
        ({}, "pending", ("END " + TEXTS["pending"], 1)),
        ({}, "unknown", ("END " + TEXTS["pending"], 1)),
        ({"resolve": Unavailable("x")}, "", ("END " + TEXTS["unavailable"], 0)),
        ({"validate": TimedOut("x")}, "", ("END " + TEXTS["unavailable"], 0)),
        ({"pay": Unreachable("x")}, "", ("END " + TEXTS["unavailable"], 0)),
        # momo may have lost the answer to its own commit: who tried again could pay twice
        ({"pay": Unavailable("x")}, "", ("END " + TEXTS["pending"], 0)),
        ({"pay": InternalError("x")}, "", ("END " + TEXTS["pending"], 0)),
        ({"pay": BadRequest("x")}, "", ("END " + TEXTS["unavailable"], 0)),
        ({"pay": TooManyRequests("x")}, "", ("END " + TEXTS["unavailable"], 0)),
        ({"pay": Unprocessable("x")}, "", ("END " + TEXTS["unavailable"], 0)),
        ({"pay": TimedOut("x")}, "", ("END " + TEXTS["pending"], 0)),
        ({"wait": Unreachable("x")}, "", ("END " + TEXTS["pending"], 1)),
        ({"wait": TimedOut("x")}, "", ("END " + TEXTS["pending"], 1)),
    ],
)
async def test_what_the_customer_is_told_when_it_does_not_work(dial, payments, down, fate, told):
    payments.down, payments.fate = down, fate
    last, paid = told
    for text in ("", "1", "1*254543", "1*254543*5000", "1*254543*5000*1"):
        answer = await dial(text)
        if answer.startswith("END"):
            break
    assert answer == last
    assert len(payments.paid) == paid
    assert await dial(text) == last  # and the same again
    assert len(payments.paid) == paid


async def test_after_the_end_nothing_happens_any_more(dial, payments):
    for text in ("", "1", "1*254543", "1*254543*5000", "1*254543*5000*2"):
        await dial(text)
    assert await dial("1*254543*5000*2*1") == "END " + TEXTS["over"]
    assert await dial("1*254543*5000*2*1*1") == "END " + TEXTS["over"]
    assert payments.paid == {}


async def test_a_session_that_never_ends_is_ended(dial):
    text = ""
    for _ in range(40):
        assert (await dial(text)).startswith("CON")
        text = f"{text}*9" if text else "9"
    assert await dial(text) == "END " + TEXTS["over"]


@pytest.mark.parametrize(
    ("phone", "market"),
    [
        ("256772123456", "UG"),
        ("250782123456", "RW"),
        ("254722123456", "KE"),
        ("255612123456", "TZ"),
        ("22990123456", "BJ"),
        ("2250712345678", "CI"),
        ("258842123456", "MZ"),
        ("2348031234567", "NG"),
        ("260971234567", "ZM"),
        ("46733123450", None),
    ],
)
async def test_resolutions_25_the_market_comes_from_the_number(dial, phone, market):
    assert market_of(phone) == market
    answer = await dial("", phone=f"+{phone}")
    if market is None:
        assert answer == "END " + TEXTS["no_market"]
    else:
        texts = LANGUAGES[MARKETS[market].languages[0]].texts
        assert answer == "CON " + texts["welcome"].format(menu=texts["menu"])


async def test_a_lost_wait_continues_with_the_same_payment(database, build_host, payments):
    """The host dies while the customer waits; the aggregator sends the hop again."""
    asked = asyncio.Event()

    async def hang(payment_id, *, wait_s):
        asked.set()
        await asyncio.Event().wait()

    settle, payments.wait = payments.wait, hang
    first = build_host(database)
    for text in ("", "1", "1*254543", "1*254543*5000"):
        await first.hop(Hop("s1", "256772123456", text))
    last = Hop("s1", "256772123456", "1*254543*5000*1")
    killed = asyncio.ensure_future(first.hop(last))
    await asked.wait()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)

    second = build_host(database)
    payments.wait = settle
    assert await second.hop(last) == "END Payment successful!"
    assert len(payments.paid) == 1

    # Nobody knows whether the first try reached momo: it is not called unavailable then.
    payments.wait = hang
    for text in ("", "1", "1*254543", "1*254543*5000"):
        await first.hop(Hop("s2", "256772123456", text))
    asked.clear()
    killed = asyncio.ensure_future(first.hop(Hop("s2", "256772123456", last.text)))
    await asked.wait()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    payments.down = {"pay": Unreachable("no connection")}
    assert await second.hop(Hop("s2", "256772123456", last.text)) == "END " + TEXTS["pending"]


async def test_ten_confirmations_at_once_pay_once(dial, payments):
    for text in ("", "1", "1*254543", "1*254543*5000"):
        await dial(text)
    answers = await asyncio.gather(*(dial("1*254543*5000*1") for _ in range(10)))
    assert set(answers) <= {"END Payment successful!", "END " + TEXTS["unavailable"]}
    assert "END Payment successful!" in answers
    assert len(payments.paid) == 1


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "Missing form fields: sessionId, phoneNumber, text"),
        (b"sessionId=s&text=", 400, "Missing form fields: phoneNumber"),
        (b"sessionId=s&phoneNumber=%2B256772123456", 400, "Missing form fields: text"),
        (b'{"sessionId":"s"}', 400, "Missing form fields"),
        (b"sessionId=&phoneNumber=%2B256772123456&text=", 400, "sessionId"),
        (b"sessionId=" + b"s" * 201 + b"&phoneNumber=%2B256772123456&text=", 400, "sessionId"),
        (b"sessionId=%00&phoneNumber=%2B256772123456&text=", 400, "NUL"),
        (b"sessionId=s&phoneNumber=abc&text=", 400, "phoneNumber"),
        (b"sessionId=s&phoneNumber=%2B25677212345678901&text=", 400, "phoneNumber"),
        (b"sessionId=s&phoneNumber=%2B256772123456&text=" + b"1" * 1001, 400, "text"),
        (b"sessionId=s&phoneNumber=%2B256772123456&text=%00", 400, "NUL"),
        (b"sessionId=s&phoneNumber=%2B256772123456&text=%ff", 400, "form"),
        (b"\xff\xfe", 400, "form"),
        (b"&".join(b"a=b" for _ in range(60)), 400, "form"),
        (b"text=" + b"1" * 70_000, 413, "send less"),
        (b"sessionId=s&phoneNumber=+256772123456&text=", 200, "CON Welcome"),
    ],
)
async def test_malformed_forms_change_nothing(dial, database, body, status, says):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await dial.client.post("/ussd", data=body, headers=headers)
    assert answer.status == status
    assert says in await answer.text()
    session = await database.read(lambda connection: Store().session(connection, "s"))
    assert (session is not None) is (status == 200)


async def test_a_session_belongs_to_one_number(dial):
    await dial("")
    form = {"sessionId": "s1", "phoneNumber": "+256772999999", "text": "1"}
    answer = await dial.client.post("/ussd", data=form)
    assert answer.status == 400
    assert await dial("1") == "CON Enter account number"


def test_every_text_of_the_table_exists_and_every_event_is_used():
    assert {step.text for step in TABLE.values()} <= set(TEXTS)
    assert {event for _, event in TABLE} == set(Event)
    assert {page for page, _ in TABLE} == set(Page) - {Page.OVER}


async def test_the_migrations_make_exactly_the_tables(database):
    def differences(connection):
        options = {"include_name": lambda name, *_: name != "alembic_version"}
        return compare_metadata(MigrationContext.configure(connection, opts=options), Store().metadata)

    assert await database.read(differences) == []


async def test_the_whole_path_dialled_at_once_pays_once(dial, payments):
    assert await dial("1*254543*5000*1") == "END Payment successful!"
    assert await dial("1*254543*5000*1") == "END Payment successful!"
    assert len(payments.paid) == 1


@pytest.mark.parametrize(
    ("dialled", "shown"),
    [
        ("9*1*254543*5000*1", f"CON Wrong choice.\n{MENU}"),
        ("1*000*254543*5000*1", "CON " + TEXTS["unknown_account"]),
        ("1*254543*1*5000*1", "CON " + TEXTS["amount_too_low"]),
        ("1*254543*1000001*5000*1", "CON " + TEXTS["amount_too_high"]),
        ("1*254543*x*5000*1", "CON " + TEXTS["bad_amount"]),
        ("1*254543*5000*1*1", CONFIRM),
        ("1*254543*5000*7*1", CONFIRM),
        ("1*254543*5000*2", "END Payment cancelled."),
    ],
)
async def test_a_dialled_path_stops_at_its_first_error(dial, payments, dialled, shown):
    assert await dial(dialled) == shown
    assert payments.paid == {}


async def test_after_an_error_the_customer_goes_on_where_he_was_shown(dial, payments):
    dialled = "1*254543*1*5000*1"
    await dial(dialled)
    assert await dial(f"{dialled}*5000") == CONFIRM
    assert await dial(f"{dialled}*5000*1") == "END Payment successful!"
    assert len(payments.paid) == 1


async def test_what_billing_refuses_at_the_last_moment_is_no_payment(dial, payments):
    refusal = NotFound("gone")
    refusal.code = "reference_not_found"
    payments.down = {"pay": refusal}
    assert await dial("1*254543*5000*1") == "END " + TEXTS["failed"]
    assert payments.paid == {}


async def test_old_sessions_are_forgotten(database, clock, build_host):
    host = build_host(database)

    async def counts():
        sessions, hops = Store().sessions, Store().hops
        return await database.read(
            lambda c: tuple(
                c.execute(select(func.count()).select_from(t)).scalar_one() for t in (sessions, hops)
            )
        )

    for number in range(5):
        await host.hop(Hop(f"old{number}", "256772123456", ""))
    clock.advance(86_400 + 1)
    await host.hop(Hop("new", "256772123456", ""))
    assert await counts() == (4, 4), "two go with each that comes"
    await host.start()
    await host.stop()
    assert await counts() == (1, 1)
