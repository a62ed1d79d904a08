"""The texts: every market's languages are whole, and every page fits (issue 4: 182 characters of GSM-7)."""

from dataclasses import replace
from string import Formatter

import pytest

from backend.mese.languages import LANGUAGES
from backend.mese.languages.english import TEXTS
from backend.mese.markets import MARKETS
from backend.mese.pages import TABLE, Page
from backend.mese.reading import MAX_KEYS
from backend.mese.rendering import ALPHABET, MAX_DAYS, MAX_PAGE, MAX_SUBUNITS, end, gsm7, money, page, sms
from backend.mese.store import Session

LONGEST = Session(
    id="s",
    msisdn="256772123456",
    market="UG",
    language="en",
    payment_key="k",
    created_at_ms=0,
    reference="R" * 40,
    customer_name="W" * 80,
    amount_subunit=999_999_999_999_00,
)
SPOKEN = [(market, language) for market in MARKETS.values() for language in market.languages]


def longest(market: str) -> dict[str, str]:
    return {
        "reference": "R" * 40,
        "money": money(market, 1 - MAX_SUBUNITS),
        "days": str(MAX_DAYS),
        "tokens": "8" * MAX_KEYS,
    }


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_resolution_25_every_market_has_a_choice_of_languages() -> None:
    assert set(MARKETS) == {"UG", "RW", "KE", "TZ", "BJ", "CI", "MZ", "NG", "ZM"}
    for market in MARKETS.values():
        assert len(market.languages) > 1
        assert set(market.languages) <= set(LANGUAGES)
    assert {name for _, name in SPOKEN} == set(LANGUAGES) == {"en", "fr", "sw", "pt", "rw"}


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_language_has_every_text_with_the_same_fields(code: str) -> None:
    texts = LANGUAGES[code].texts
    assert list(texts) == list(TEXTS)
    assert {name: fields(text) for name, text in texts.items()} == {
        name: fields(text) for name, text in TEXTS.items()
    }
    if code != "en":
        assert not [name for name in texts if texts[name] == TEXTS[name]], "not translated"


@pytest.mark.parametrize(("market", "language"), SPOKEN)
def test_checklist_21_every_page_fits_whatever_is_on_it(market, language) -> None:
    shown = {step.text for step in TABLE.values()} | {"welcome"}
    for named in (LONGEST.customer_name, None):
        session = replace(LONGEST, market=market.code, language=language, customer_name=named)
        for text in shown:
            answer = page(session, text, longest(market.code))
            assert len(answer) <= MAX_PAGE, (text, len(answer))
            assert set(answer) <= ALPHABET, (text, set(answer) - ALPHABET)
            assert "{" not in answer
    for text in ("no_market", "over", "unavailable"):
        assert len(end(text, language)) <= MAX_PAGE
    told = sms("failed_later", language, amount=999_999_999_999)
    assert len(told) <= 160
    assert set(told) <= ALPHABET


def test_a_page_that_asks_begins_with_con_and_the_last_with_end() -> None:
    for each in Page:
        begins = page(replace(LONGEST, page=each), "welcome")[:4]
        assert begins == ("END " if each in (Page.PAYING, Page.TOKEN, Page.OVER) else "CON ")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("John Doe", "John Doe"),
        ("  José\n\t João  ", "José Joao"),
        ("N'Guessan Aïcha", "N'Guessan Aicha"),
        ("Łukasz {amount}", "ukasz ?amount"),
        ("እናት", "account 254543"),
        ("", "account 254543"),
        (None, "account 254543"),
    ],
)
def test_a_name_never_makes_a_page_of_80_characters(name, shown) -> None:
    session = replace(LONGEST, customer_name=name, reference="254543", amount_subunit=5000_00)
    assert page(session, "confirm") == (f"CON Confirm payment of 5000 for {shown}?\n1. Confirm 2. Cancel")
    assert set(gsm7(name or "")) <= ALPHABET


def test_money_is_called_as_the_market_calls_it() -> None:
    assert money("UG", 500_00) == "UGX 500"
    assert money("KE", 12_50) == "KSh 12.50"
    assert money("CI", 7) == "FCFA 0.07"
    assert [money("KE", each) for each in (-50, -1_50, -200)] == ["KSh -0.50", "KSh -1.50", "KSh -2"]
