"""What a payment does to the ledger: a pure decision. store.py looks the account up before and writes after.

provider clearing -> customer account          every payment whose account is known and fits
customer account  -> revenue                   the whole days that the balance buys (resolutions 27)
provider clearing -> suspense                  no such account, or one of another currency or provider

Days are bought for the device that is paired with the account; without one the money waits on the account
until it has one (purchases.py).
A reversal may leave a balance below nothing: what is paid next makes up for it first.
"""

from msgspec import Struct

MAX_TOKEN_DAYS = 995  # one token's payload (resolutions 27)
MAX_TOKENS = 8  # of one payment: 21 years. More is a typing error; the rest stays on the account, refundable

CREDITED = "credited"
SUSPENSE = "suspense"
RESOLVED = "resolved"  # by an operator, from suspense to an account
REVERSED = "reversed"

CUSTOMER = "customer"  # the ledger account of `customer` entries; the account's id says whose


class Account(Struct, array_like=True, frozen=True):
    """A customer's account, as one of the providers may pay into it."""

    id: int
    reference: str
    business_account: str
    currency: str
    market: str
    customer_name: str | None
    device: str
    balance_subunit: int
    price_per_day_subunit: int
    min_days: int
    max_days: int
    provider_key: str


class Entry(Struct, frozen=True):
    """One side of a ledger transaction."""

    ledger_account: str
    account_id: int | None
    debit_subunit: int
    credit_subunit: int


class Posting(Struct, frozen=True):
    """The entries of one payment, in its currency, what they leave on the account, and the days bought."""

    outcome: str
    entries: tuple[Entry, ...]
    balance_subunit: int
    days: int


def post(account: Account | None, balance_subunit: int, amount_subunit: int, provider_key: str) -> Posting:
    """Book `amount_subunit` on an account that holds `balance_subunit`; None: into suspense."""
    clearing = f"clearing:{provider_key}"
    if account is None:
        entries = (
            Entry(clearing, None, amount_subunit, 0),
            Entry(f"suspense:{provider_key}", None, 0, amount_subunit),
        )
        return Posting(SUSPENSE, entries, balance_subunit, 0)

    paid_in = (
        Entry(clearing, None, amount_subunit, 0),
        Entry(CUSTOMER, account.id, 0, amount_subunit),
    )
    balance_subunit += amount_subunit
    days = days_of(balance_subunit, account.price_per_day_subunit)
    if days == 0 or not account.device:
        return Posting(CREDITED, paid_in, balance_subunit, 0)
    cost_subunit = days * account.price_per_day_subunit
    entries = paid_in + bought(account.id, account.market, cost_subunit)
    return Posting(CREDITED, entries, balance_subunit - cost_subunit, days)


def days_of(balance_subunit: int, price_per_day_subunit: int) -> int:
    """The whole days that a balance buys."""
    return min(max(balance_subunit, 0) // price_per_day_subunit, MAX_TOKEN_DAYS * MAX_TOKENS)


def bought(account_id: int, market: str, cost_subunit: int) -> tuple[Entry, Entry]:
    """The entries of days that cost so much."""
    return (
        Entry(CUSTOMER, account_id, cost_subunit, 0),
        Entry(f"revenue:{market}", None, 0, cost_subunit),
    )


def split(days: int) -> list[int]:
    """`days` as the payloads of tokens, each at most MAX_TOKEN_DAYS."""
    whole, rest = divmod(days, MAX_TOKEN_DAYS)
    return [MAX_TOKEN_DAYS] * whole + ([rest] if rest else [])
