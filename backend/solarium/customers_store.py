"""The SQL of customers.py: the accounts of a number, until when they are paid, and their last tokens."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Subquery, func, select

from backend.solarium.store import WITHDRAWN, Order
from backend.solarium.tables import Tables

MAX_ACCOUNTS = 20  # of one number: a family has one or two, a shop's agent some more
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """An account; `paid_until_ms` is 0 if no day was ever bought."""

    reference: str
    currency: str
    balance_subunit: int
    paid_until_ms: int


def accounts_of_number(
    connection: Connection, tables: Tables, *, msisdn: str, market: str
) -> list[CustomerRow]:
    """The accounts of a number, oldest first.

    Days are used up one after the other from when their token is on the device (or was ordered, as long as
    it has not said so). So the last one ends at the latest, over all orders, of an order's time and the
    days of it and of all that follow it. Only
    orders of the device that is paired now count, and none that was withdrawn.
    """
    accounts = tables.accounts
    mine = (accounts.c.msisdn == msisdn, accounts.c.market == market)
    ends = _ends(tables, *mine)
    last = select(func.max(ends.c.end_ms)).where(ends.c.account_id == accounts.c.id).scalar_subquery()
    statement = (
        select(accounts.c.reference, accounts.c.currency, accounts.c.balance_subunit, func.coalesce(last, 0))
        .where(*mine)
        .order_by(accounts.c.id)
        .limit(MAX_ACCOUNTS)
    )
    return [CustomerRow(*row[:3], int(row[3])) for row in connection.execute(statement)]


def paid_until_ms(connection: Connection, tables: Tables, account_id: int) -> int:
    """Until when the account's device has credit, as sold; 0: no day was ever bought for it."""
    accounts = tables.accounts
    ends = _ends(tables, accounts.c.id == account_id)
    return int(connection.execute(select(func.coalesce(func.max(ends.c.end_ms), 0))).scalar_one())


def _ends(tables: Tables, *mine: ColumnElement[bool]) -> Subquery:
    accounts, orders = tables.accounts, tables.token_orders
    at = func.coalesce(orders.c.replied_at_ms, orders.c.created_at_ms)
    days = func.sum(orders.c.days).over(partition_by=orders.c.account_id, order_by=(at.desc(), orders.c.id))
    return (
        select(orders.c.account_id, (at + days * DAY_MS).label("end_ms"))
        .join_from(orders, accounts)
        .where(*mine, orders.c.device == accounts.c.device, orders.c.state != WITHDRAWN)
        .subquery()
    )


def last_tokens(
    connection: Connection, tables: Tables, *, msisdn: str, market: str, reference: str
) -> list[Order]:
    """The orders of the last payment that has tokens, in the order in which they are typed."""
    accounts, orders = tables.accounts, tables.token_orders

    def of_number() -> tuple[ColumnElement[bool], ...]:
        return (
            accounts.c.msisdn == msisdn,
            accounts.c.market == market,
            accounts.c.reference == reference,
            orders.c.sealed_digits.is_not(None),
            orders.c.device == accounts.c.device,
        )

    newest = (
        select(orders.c.payment_id)
        .join_from(orders, accounts)
        .where(*of_number())
        .order_by(orders.c.created_at_ms.desc(), orders.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        select(
            orders.c.id,
            orders.c.device,
            orders.c.days,
            orders.c.state,
            orders.c.sealed_digits,
            accounts.c.token_family,
            accounts.c.msisdn,
            accounts.c.market,
        )
        .join_from(orders, accounts)
        .where(*of_number(), orders.c.payment_id == newest)
        .order_by(orders.c.sequence_number)
    )
    return [Order(*row) for row in connection.execute(statement)]
