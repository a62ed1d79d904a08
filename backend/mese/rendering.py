"""Fills the texts of languages/ for a session: its language, its market's money, what it has learnt.

Every page fits into MAX_PAGE characters of GSM-7, whatever it is filled with.
"""

import unicodedata
from collections.abc import Mapping

from backend.mese.languages import LANGUAGES
from backend.mese.markets import MARKETS
from backend.mese.pages import ENDS
from backend.mese.store import Session

MAX_PAGE = 182  # characters of a USSD page, with "CON " or "END "
MAX_NAME = 40  # characters of a customer's name that fit a page
MAX_SUBUNITS = 10**15  # of a balance that fits; nobody has more
MAX_DAYS = 10**6
NOTHING: Mapping[str, str] = {}

# GSM 03.38 without its escaped characters, which count twice.
ALPHABET = frozenset(
    "@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


def page(session: Session, text: str, values: Mapping[str, str] = NOTHING) -> str:
    """The page named `text`; END, if the session's page asks nothing any more."""
    texts = LANGUAGES[session.language].texts
    name = gsm7(" ".join((session.customer_name or "").split()))[:MAX_NAME]
    known = {
        "menu": texts["menu"],
        "exits": texts["exits"],
        "amount": str(session.amount_subunit // 100),
        "customer": name or texts["customer"].format(reference=session.reference),
        "languages": _languages(session.market),
    }
    return f"{'END' if session.page in ENDS else 'CON'} {texts[text].format(**{**known, **values})}"


def end(text: str, language: str) -> str:
    """A last page that no session is needed for."""
    return f"END {LANGUAGES[language].texts[text]}"


def sms(text: str, language: str, *, amount: int) -> str:
    """A short message."""
    return LANGUAGES[language].texts[text].format(amount=amount)


def money(market: str, amount_subunit: int) -> str:
    """An amount in the market's own words: "UGX 500", "KSh 12.50", "KSh -0.50"."""
    whole, cents = divmod(min(abs(amount_subunit), MAX_SUBUNITS), 100)
    sign = "-" if amount_subunit < 0 else ""  # a debt, after a reversal
    return f"{MARKETS[market].money} {sign}{whole}" + (f".{cents:02d}" if cents else "")


def gsm7(text: str) -> str:
    """The text without what would cut the page to 80 characters: accents go, other scripts become `?`."""
    return "".join(_plain(character) for character in text).strip("? ")


def _plain(character: str) -> str:
    if character in ALPHABET:
        return character
    base = unicodedata.normalize("NFKD", character)[0]
    return base if base in ALPHABET else "" if unicodedata.combining(character) else "?"


def _languages(market: str) -> str:
    names = (LANGUAGES[code].name for code in MARKETS[market].languages)
    return "\n".join(f"{number}. {name}" for number, name in enumerate(names, 1))
