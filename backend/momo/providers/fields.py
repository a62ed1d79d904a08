"""What the adapters read from providers' bodies, and write into them: amounts, numbers, times.

An answer that does not fit its contract says nothing about a payment: Unavailable.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import Unavailable
from backend.kit.http import HttpAnswer
from backend.kit.runtime import parse_iso

T = TypeVar("T")

SENDER = re.compile(r"[1-9][0-9*]{6,14}")  # as billing takes it
MAX_SUBUNITS = 10**14  # as billing takes


def fitting(body: bytes, schema: type[T]) -> T | None:
    """What a body says; None: it does not fit."""
    try:
        return msgspec.json.decode(body, type=schema)
    except UNREADABLE:
        return None


def decoded(answer: HttpAnswer, schema: type[T], what: str, *, strict: bool = True) -> T:
    """What an answer says. Unavailable: it does not fit; `what` was asked of whom ("mtn status").

    strict: a number is no text, and the other way round.
    """
    try:
        return msgspec.json.decode(answer.body, type=schema, strict=strict)
    except UNREADABLE as error:
        raise Unavailable(f"{what}: the answer does not fit its contract") from error


def unavailable(answer: HttpAnswer, what: str, code: str = "") -> Unavailable:
    """The error for an answer that says "not now"; `code` is the provider's own word."""
    detail = f"{what}: HTTP {answer.status} {code}".rstrip()
    return Unavailable(detail, retry_after_s=answer.retry_after_s)


def life_s(expires: str, now_ms: int, *, most_s: int) -> int:
    """Seconds until a time; our clock and theirs may differ, so never longer than the contract's."""
    try:
        left_s = (parse_iso(expires) - now_ms) // 1000
    except (ValueError, OverflowError):
        return most_s
    return min(max(left_s, 0), most_s)


def major(amount_subunit: int) -> str:
    """Major units: "5000", and decimals only where there are any."""
    whole, cents = divmod(amount_subunit, 100)
    return f"{whole}.{cents:02}" if cents else str(whole)


def sender_of(number: object, prefix: str) -> str:
    """Who paid, perhaps masked, with the country's prefix: "254*********" if it is no number.

    A leading zero makes a number national.
    """
    digits = str(number).removeprefix("+")
    digits = prefix + digits[1:] if digits.startswith("0") else digits
    return digits if SENDER.fullmatch(digits) else prefix + "*" * 9


def subunits(amount: object) -> int | None:
    """Subunits of an amount in major units, a number or its digits; None: it is none."""
    try:
        value = Decimal(str(amount)) * 100
        return int(value) if value.is_finite() and 0 < value <= MAX_SUBUNITS and value % 1 == 0 else None
    except InvalidOperation:
        return None
