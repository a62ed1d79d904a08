"""The SQL of orders that are taken back: by a swap, or by a reversal that is faster than their token."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select, update

from backend.solarium.store import ORDERED, WITHDRAWN
from backend.solarium.tables import Tables


def orders_for(connection: Connection, tables: Tables, account_id: int, device: str) -> list[str]:
    """The orders of an account for a device."""
    orders = tables.token_orders
    statement = select(orders.c.id).where(orders.c.account_id == account_id, orders.c.device == device)
    return list(connection.execute(statement).scalars())


def orders_bought(
    connection: Connection, tables: Tables, account_id: int, payment_id: int, at_ms: Collection[int]
) -> list[str]:
    """The orders that a payment bought when it was booked; those of a later swap name it too."""
    orders = tables.token_orders
    mine = (orders.c.account_id == account_id, orders.c.created_at_ms.in_(at_ms))
    statement = select(orders.c.id).where(*mine, orders.c.payment_id == payment_id)
    return list(connection.execute(statement).scalars())


def withdraw(connection: Connection, tables: Tables, order_ids: Sequence[str]) -> list[str]:
    """End those of the orders that have no token yet; which."""
    orders = tables.token_orders
    unmade = update(orders).where(orders.c.id.in_(order_ids), orders.c.state == ORDERED)
    return list(connection.execute(unmade.values(state=WITHDRAWN).returning(orders.c.id)).scalars())
