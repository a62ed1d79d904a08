"""Days bought with money that waited on an account until a device was paired with it (posting.py).

A purchase is a ledger transaction of the operator who paired them, about the newest payment that has none: a
reversal of that payment takes it back with the rest.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from backend.kit.keys import Client
from backend.kit.runtime import Entropy
from backend.solarium.confirmations import order_days
from backend.solarium.ledger_store import Correction, Moved, moved, put_correction
from backend.solarium.operations_store import AccountRecord
from backend.solarium.posting import bought, days_of
from backend.solarium.store import Store

PURCHASE = "purchase"
REVERSAL = "reversal"


def spend(
    connection: Connection,
    store: Store,
    entropy: Entropy,
    account: AccountRecord,
    *,
    by: Client,
    now_ms: int,
) -> None:
    """Buy the days that the balance of a (locked) account is worth, for the device that it has now."""
    days = days_of(account.balance_subunit, account.price_per_day_subunit)
    payment_id = _to_be_spent(moved(connection, store, account.id)) if days else None
    if payment_id is None:
        return
    cost_subunit = days * account.price_per_day_subunit
    correction = Correction(PURCHASE, payment_id, by.name, f"paired with {account.device}", now_ms)
    entries = list(bought(account.id, account.market, cost_subunit))
    put_correction(connection, store, correction, account.currency, entries)
    store.set_balances(connection, {account.id: account.balance_subunit - cost_subunit})
    orders = order_days(connection, store, entropy, [(payment_id, account.id, account.device, days)], now_ms)
    store.outbox.put(connection, orders, now_ms)


def _to_be_spent(entries: Sequence[Moved]) -> int | None:
    """The newest payment of an account that no purchase and no reversal is about."""
    ended = {entry.payment_id for entry in entries if entry.kind in (PURCHASE, REVERSAL)}
    paid = [entry.payment_id for entry in entries if entry.credit_subunit and entry.payment_id not in ended]
    return paid[-1] if paid else None
