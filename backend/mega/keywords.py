"""What customers write, and what they are answered: BAL, TOKEN, PAY <amount>. Pure; desk.py does it.

With several accounts an account number follows: "PAY 5000 254543".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.mega.ports import CustomerAccount

PAY = re.compile(r"PAY\s+([0-9]{1,9})(?:\s+([A-Z0-9/_.-]{1,40}))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Balance:
    """BAL."""


@dataclass(frozen=True, slots=True)
class LastToken:
    """TOKEN."""


@dataclass(frozen=True, slots=True)
class Pay:
    """PAY. `reference`: the account, if one was named."""

    amount_major: int
    reference: str | None


Wish = Balance | LastToken | Pay

HELP = "Send BAL for your balance, TOKEN for your last token, or PAY and an amount, such as PAY 5000."
NO_ACCOUNT = "This number has no account with us."
NO_SUCH_ACCOUNT = "This number has no account {reference}."
WHICH = (
    "You have several accounts: {references}. Send PAY {amount} and the account, such as PAY {amount} {one}."
)
BALANCE = "Account {reference}: {days} left, balance {currency} {balance}."
TYPE_THIS = "Account {reference}, type this on the keypad: {token}"
NOTHING_TO_TYPE = "Account {reference} has no token yet."
ASKED = "Confirm {currency} {amount} for account {reference} with your PIN. Your token comes by SMS."
FAILED = "Your payment of {currency} {amount} for account {reference} failed. Nothing was paid."
UNAVAILABLE = "Sorry, this does not work now. Please try again later."
REFUSED = "Account {reference} can't be paid this way now. Nothing was paid."
REFUSALS = {
    "amount_too_low": "{currency} {amount} is too little for account {reference}. Nothing was paid.",
    "amount_too_high": "{currency} {amount} is too much for account {reference}. Nothing was paid.",
    "reference_not_found": REFUSED,
}


def wish_of(text: str) -> Wish | None:
    """What a customer wants; None: it can't be read."""
    said = text.strip().rstrip(".!").strip()
    word = said.upper()
    if word == "BAL":
        return Balance()
    if word == "TOKEN":
        return LastToken()
    pay = PAY.fullmatch(said)
    if pay is None or int(pay[1]) == 0:
        return None
    return Pay(int(pay[1]), pay[2])


def balances(accounts: Sequence[CustomerAccount]) -> str:
    """The answer to BAL."""
    return "\n".join(
        BALANCE.format(
            reference=account.reference,
            days="1 day" if account.days_left == 1 else f"{account.days_left} days",
            currency=account.currency,
            balance=major(account.balance_subunit),
        )
        for account in accounts
    )


def last_tokens(tokens: Mapping[str, Sequence[str]]) -> str:
    """The answer to TOKEN: each account's last ones."""
    return "\n".join(
        TYPE_THIS.format(reference=reference, token=" then ".join(typed))
        if typed
        else NOTHING_TO_TYPE.format(reference=reference)
        for reference, typed in tokens.items()
    )


def which(accounts: Sequence[CustomerAccount], wish: Pay) -> CustomerAccount | str:
    """The account that is to be paid, or the answer that it takes another message."""
    if wish.reference is not None:
        wanted = wish.reference.upper()
        found = [account for account in accounts if account.reference.upper() == wanted]
        return found[0] if found else NO_SUCH_ACCOUNT.format(reference=wish.reference)
    if len(accounts) == 1:
        return accounts[0]
    references = [account.reference for account in accounts]
    return WHICH.format(references=", ".join(references), amount=wish.amount_major, one=references[0])


def major(amount_subunit: int) -> str:
    """Subunits as people write them: "5,000", "-0.50", and cents only where there are any."""
    whole, cents = divmod(abs(amount_subunit), 100)
    sign = "-" if amount_subunit < 0 else ""  # a debt, after a reversal
    return f"{sign}{whole:,}.{cents:02}" if cents else f"{sign}{whole:,}"
