"""The SQL of the ledger besides the payment path: sums over payments' and corrections' entries together."""

from dataclasses import dataclass
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, func, insert, literal, select, union_all, update

from backend.solarium.posting import SUSPENSE, Entry
from backend.solarium.store import Store


@dataclass(frozen=True, slots=True)
class LedgerPayment:
    """A stored payment, as corrections need it."""

    id: int
    outcome: str
    account_id: int | None
    reference: str
    business_account: str
    provider_tx: str
    provider_key: str
    amount_subunit: int
    currency: str
    sender_phone_number: str
    confirmed_at_ms: int


class Correction(Struct, frozen=True):
    """A ledger transaction of an operator, to be written."""

    kind: str
    payment_id: int
    operator: str
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Moved:
    """An entry of a customer's account; `kind` is empty in a payment's own transaction."""

    at_ms: int
    kind: str
    payment_id: int
    provider_tx: str
    debit_subunit: int
    credit_subunit: int


def payments_of(connection: Connection, store: Store, *where: Any, limit: int) -> list[LedgerPayment]:
    """Payments, newest first."""
    table = store.tables.payments
    columns = [table.c[name] for name in LedgerPayment.__dataclass_fields__]
    statement = select(*columns).where(*where).order_by(table.c.id.desc()).limit(limit)
    return [LedgerPayment(*row) for row in connection.execute(statement)]


def payment(connection: Connection, store: Store, payment_id: int) -> LedgerPayment | None:
    """One payment."""
    found = payments_of(connection, store, store.tables.payments.c.id == payment_id, limit=1)
    return found[0] if found else None


def payer(connection: Connection, store: Store, payment_id: int) -> tuple[str, str, str] | None:
    """Of the account that a payment is on its number and market, and the payment's receipt."""
    payments, accounts = store.tables.payments, store.tables.accounts
    statement = (
        select(accounts.c.msisdn, accounts.c.market, payments.c.receipt)
        .join_from(payments, accounts)
        .where(payments.c.id == payment_id)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


def suspended(
    connection: Connection, store: Store, *, markets: tuple[str, ...], before: int | None, limit: int
) -> list[LedgerPayment]:
    """Payments in suspense, newest first; a market's are those of its providers."""
    table = store.tables.payments
    where: list[Any] = [table.c.outcome == SUSPENSE]
    if markets:
        where.append(func.upper(func.substr(table.c.provider_key, 1, 2)).in_(markets))
    if before is not None:
        where.append(table.c.id < before)
    return payments_of(connection, store, *where, limit=limit)


def turn(
    connection: Connection, store: Store, found: LedgerPayment, outcome: str, account_id: int | None
) -> bool:
    """Give a payment another outcome; False: somebody else was faster."""
    table = store.tables.payments
    same = (table.c.id == found.id, table.c.outcome == found.outcome)
    statement = update(table).where(*same).values(outcome=outcome, account_id=account_id)
    return connection.execute(statement).rowcount == 1


def put_correction(
    connection: Connection, store: Store, correction: Correction, currency: str, entries: list[Entry]
) -> int:
    """Write a correction and its entries; its id."""
    tables = store.operations
    row = {name: getattr(correction, name) for name in Correction.__struct_fields__}
    written = connection.execute(insert(tables.corrections).returning(tables.corrections.c.id), row)
    correction_id: int = written.scalar_one()
    rows = [
        {
            "correction_id": correction_id,
            "ledger_account": entry.ledger_account,
            "account_id": entry.account_id,
            "currency": currency,
            "debit_subunit": entry.debit_subunit,
            "credit_subunit": entry.credit_subunit,
        }
        for entry in entries
    ]
    connection.execute(insert(tables.correction_entries), rows)
    return correction_id


def moved(
    connection: Connection,
    store: Store,
    account_id: int,
    *,
    payment_id: int | None = None,
    until_ms: int | None = None,
) -> list[Moved]:
    """The entries of an account, oldest first; those of one payment, or those before a time."""
    payments, entries = store.tables.payments, store.tables.ledger_entries
    booked, fixes = store.tables.ledger_transactions, store.operations.corrections
    fixed = store.operations.correction_entries
    own = (
        select(
            booked.c.at_ms,
            literal("").label("kind"),
            payments.c.id.label("payment_id"),
            payments.c.provider_tx,
            entries.c.debit_subunit,
            entries.c.credit_subunit,
            literal(0).label("correction_id"),
        )
        .select_from(entries)
        .join(booked, booked.c.id == entries.c.transaction_id)
        .join(payments, payments.c.id == booked.c.payment_id)
        .where(entries.c.account_id == account_id)
    )
    corrected = (
        select(
            fixes.c.at_ms,
            fixes.c.kind,
            payments.c.id,
            payments.c.provider_tx,
            fixed.c.debit_subunit,
            fixed.c.credit_subunit,
            fixes.c.id,
        )
        .select_from(fixed)
        .join(fixes, fixes.c.id == fixed.c.correction_id)
        .join(payments, payments.c.id == fixes.c.payment_id)
        .where(fixed.c.account_id == account_id)
    )
    every = union_all(own, corrected).subquery()
    columns = [every.c[name] for name in Moved.__dataclass_fields__]
    statement: Select[Any] = select(*columns)
    if payment_id is not None:
        statement = statement.where(every.c.payment_id == payment_id)
    if until_ms is not None:
        statement = statement.where(every.c.at_ms < until_ms)
    oldest = (
        every.c.at_ms,
        every.c.correction_id,
        every.c.payment_id,
        every.c.debit_subunit,
    )  # paid, then used
    rows = connection.execute(statement.order_by(*oldest))
    return [Moved(*row) for row in rows]


def unbalanced_currencies(connection: Connection, store: Store) -> list[str]:
    """Currencies whose debits and credits differ, as a whole or within any transaction."""
    found: set[str] = set()
    entries, fixed = store.tables.ledger_entries, store.operations.correction_entries
    for table, owner in ((entries, entries.c.transaction_id), (fixed, fixed.c.correction_id)):
        statement = (
            select(table.c.currency)
            .group_by(owner, table.c.currency)
            .having(func.sum(table.c.debit_subunit) != func.sum(table.c.credit_subunit))
        )
        found.update(connection.execute(statement).scalars())
    return sorted(found)


def wrong_balances(connection: Connection, store: Store) -> int:
    """Accounts whose balance is not the sum of their entries."""
    accounts = store.tables.accounts
    both = union_all(
        *(
            select(table.c.account_id, (table.c.credit_subunit - table.c.debit_subunit).label("net"))
            for table in (store.tables.ledger_entries, store.operations.correction_entries)
        )
    ).subquery()
    total = func.coalesce(func.sum(both.c.net), 0)
    wrong = (
        select(accounts.c.id)
        .outerjoin(both, both.c.account_id == accounts.c.id)
        .group_by(accounts.c.id, accounts.c.balance_subunit)
        .having(total != accounts.c.balance_subunit)
    )
    return connection.execute(select(func.count()).select_from(wrong.subquery())).scalar_one()
