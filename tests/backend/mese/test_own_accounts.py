"""Balance, last token and language (issue 4), back and exit, and that a number sees nothing of another's."""

import pytest
from sqlalchemy import select

from backend.kit.errors import Unavailable
from backend.mese.languages import LANGUAGES
from backend.mese.languages.english import TEXTS
from backend.mese.schemas import Hop
from backend.mese.store import Store

FAMILY = "+256772000002"  # with two accounts
NOBODY = "+256772000009"
RWANDAN = "+250788300001"
TOKEN = "END Type this on the keypad:\n*00 427 443 49#"
EXITS = TEXTS["exits"]


def welcome(code):
    texts = LANGUAGES[code].texts
    return "CON " + texts["welcome"].format(menu=texts["menu"])


async def walk(dial, *texts, **caller):
    for text in texts:
        answer = await dial(text, **caller)
    return answer


async def test_balance_and_days_left(dial, accounts):
    shown = "END Account 254543\nBalance: UGX 500\nDays left: 3"
    assert await walk(dial, "", "2") == shown
    assert accounts.asked == [("accounts", "UG")]
    accounts.owned.clear()
    assert await dial("2") == shown, "a repeated hop is answered the same"


async def test_checklist_93_the_last_token_comes_by_ussd(dial, accounts):
    assert await walk(dial, "", "3") == TOKEN
    assert await dial("3", session="s2") == TOKEN, "dialled in one go"
    accounts.made["254543"] = [f"*{number} 427 443 49#" for number in range(10, 18)]
    answer = await dial("3", session="s3")
    assert answer.splitlines()[1:] == accounts.made["254543"], "the eight tokens of the greatest payment"
    assert len(answer) <= 182


async def test_a_token_is_asked_for_again_and_never_stored(dial, accounts, database):
    await walk(dial, "", "3")
    assert await dial("3") == TOKEN
    assert await dial("3*1") == "END " + TEXTS["over"]
    store = Store()
    stored = await database.read(
        lambda c: repr([c.execute(select(t)).all() for t in store.metadata.tables.values()])
    )
    assert "443" not in stored
    assert "254543" in stored
    accounts.made.clear()
    assert await dial("3") == "END There is no token for account 254543 yet."
    accounts.owned.clear()
    assert await dial("3") == "END " + TEXTS["no_account"]
    accounts.down = Unavailable("away")
    assert await dial("3") == "END " + TEXTS["unavailable"]


async def test_an_account_without_a_token_says_so(dial, accounts):
    accounts.made.clear()
    assert await walk(dial, "", "3") == "END There is no token for account 254543 yet."


async def test_with_several_accounts_the_customer_says_which(dial, accounts):
    accounts.made["777"] = ["*7#"]
    assert await walk(dial, "", "2", phone=FAMILY) == "CON Enter account number"
    assert await dial("2*777", phone=FAMILY) == "END Account 777\nBalance: UGX 0\nDays left: 1"
    assert await dial("2*254543", session="s2", phone=FAMILY) == (
        "END Account 254543\nBalance: UGX 12.50\nDays left: 0"
    )
    assert await walk(dial, "", "3", session="s3", phone=FAMILY) == "CON Enter account number"
    assert await dial("3*777", session="s3", phone=FAMILY) == "END Type this on the keypad:\n*7#"
    assert await dial("3*777", session="s3", phone=FAMILY) == "END Type this on the keypad:\n*7#"


@pytest.mark.parametrize("choice", ["2", "3"])
async def test_another_s_account_is_not_told_from_none(dial, choice):
    not_own = "CON " + TEXTS["not_own_account"].format(exits=EXITS)
    text = choice
    await dial(text, phone=FAMILY)
    for asked in ("254544", "no such", "%"):
        text += f"*{asked}"
        assert await dial(text, phone=FAMILY) == not_own
    assert await dial(f"{text}*00", phone=FAMILY) == welcome("en")
    assert await dial(choice, session="s2", phone=NOBODY) == "END " + TEXTS["no_account"]
    assert await dial(f"{choice}*254543", session="s3", phone=NOBODY) == "END " + TEXTS["no_account"]


async def test_checklist_116_a_customer_of_one_market_sees_nothing_of_another(dial, accounts, payments):
    assert await walk(dial, "", "1", "1*254543", phone=RWANDAN) == "CON " + TEXTS["unknown_account"]
    assert "Account 254544" in await dial("2", session="s2", phone=RWANDAN)
    assert await dial("2", session="s3", phone="+250772123456") == "END " + TEXTS["no_account"]
    assert {market for _, market in accounts.asked} == {"RW"}
    assert payments.paid == {}


@pytest.mark.parametrize("choice", ["2", "3"])
async def test_when_billing_is_away_the_customer_is_told(dial, accounts, choice):
    accounts.down = Unavailable("away")
    assert await walk(dial, "", choice) == "END " + TEXTS["unavailable"]
    accounts.down = None
    await walk(dial, choice, session="s2", phone=FAMILY)
    accounts.down = Unavailable("away")
    assert await dial(f"{choice}*777", session="s2", phone=FAMILY) == "END " + TEXTS["unavailable"]


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (["00"], welcome("en")),
        (["0"], "END Goodbye."),
        (["1", "1*00"], welcome("en")),
        (["1", "1*0"], "END Payment cancelled."),
        (["1", "1*254543", "1*254543*00"], "CON Enter account number"),
        (["1", "1*254543", "1*254543*0"], "CON " + TEXTS["bad_amount"]),  # an amount, and a wrong one
        (["1*254543*5000", "1*254543*5000*00"], "CON Enter amount"),
        (["1*254543*5000", "1*254543*5000*0"], "END Payment cancelled."),
        (["4", "4*00"], welcome("en")),
        (["4", "4*0"], "END Goodbye."),
        (["4*9"], "CON " + TEXTS["wrong_language"].format(languages="1. English\n2. Kiswahili", exits=EXITS)),
    ],
)
async def test_checklist_22_back_and_exit(dial, payments, texts, shown):
    assert await walk(dial, "", *texts) == shown
    assert payments.paid == {}


async def test_after_going_back_another_account_and_amount_are_paid(dial, payments):
    text = "1*254543*5000*00*00*777"
    parts = text.split("*")
    answer = await walk(dial, "", *("*".join(parts[: n + 1]) for n in range(len(parts))))
    assert answer == "CON Enter amount"
    assert await dial(f"{text}*2000") == "CON Confirm payment of 2000 for account 777?\n1. Confirm 2. Cancel"
    assert await dial(f"{text}*2000*1") == "END Payment successful!"
    (payment,) = payments.paid.values()
    assert (payment["reference"], payment["amount_subunit"]) == ("777", 2000_00)


async def test_the_customer_chooses_a_language_for_good(dial, database, build_host):
    choices = "1. English\n2. Kinyarwanda\n3. Francais\n4. Kiswahili"
    asked = await walk(dial, "", "4", phone=RWANDAN)
    assert asked == "CON " + TEXTS["languages"].format(languages=choices, exits=EXITS)
    assert await dial("4*3", phone=RWANDAN) == welcome("fr")
    assert await dial("4*3*1", phone=RWANDAN) == "CON Entrez le numéro de compte"
    again = build_host(database)
    assert await again.hop(Hop("s2", RWANDAN[1:], "")) == welcome("fr")
    assert await again.hop(Hop("s3", RWANDAN[1:], "4*2")) == welcome("rw")
    assert await again.hop(Hop("s4", RWANDAN[1:], "")) == welcome("rw")
    assert await again.hop(Hop("s5", "250788999999", "")) == welcome("en"), "and for nobody else"


async def test_who_pays_in_a_language_hears_of_it_in_that_language(dial, payments, database):
    payments.fate = "pending"
    answer = await walk(dial, "4*2", "4*2*1", "4*2*1*254543", "4*2*1*254543*5000", "4*2*1*254543*5000*1")
    assert answer == "END " + LANGUAGES["sw"].texts["pending"]
    (payload,) = await database.read(
        lambda c: c.execute(select(Store().outbox.table.c.payload)).scalars().all()
    )
    assert '"language":"sw"' in payload
