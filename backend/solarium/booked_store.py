"""The SQL of what a provider's payments became in the ledger. No index of its own: confirming pays for none.

Ids and times of confirmation grow together, give or take what transactions overlap, so a time is found by
halving the ids.
"""

from typing import Any

from sqlalchemy import Connection, func, select

from backend.solarium.schemas import Booked
from backend.solarium.store import Store

OVERLAP_MS = 60_000  # two transactions' ids and times may be in different orders for as long


def booked_named(
    connection: Connection, store: Store, provider_key: str, transactions: list[str]
) -> list[Booked]:
    """Those of a provider's transactions that are in the ledger."""
    table = store.tables.payments
    statement = select(*_columns(store)).where(
        table.c.provider_tx.in_(transactions), table.c.provider_key == provider_key
    )
    return [Booked(*row) for row in connection.execute(statement)]


def booked_between(
    connection: Connection,
    store: Store,
    provider_key: str,
    *,
    first_ms: int,
    last_ms: int,
    after: int,
    limit: int,
) -> list[Booked]:
    """Up to `limit` payments that were booked in a time, in order of id; `after` is the last one seen."""
    table = store.tables.payments
    first = max(after + 1, _first_id(connection, store, first_ms - OVERLAP_MS))
    end = _first_id(connection, store, last_ms + OVERLAP_MS)
    statement = (
        select(*_columns(store))
        .where(
            table.c.id.between(first, end),
            table.c.provider_key == provider_key,
            table.c.confirmed_at_ms.between(first_ms, last_ms),
        )
        .order_by(table.c.id)
        .limit(limit)
    )
    return [Booked(*row) for row in connection.execute(statement)]


def _columns(store: Store) -> list[Any]:
    table = store.tables.payments
    return [table.c[name] for name in Booked.__struct_fields__]


def _first_id(connection: Connection, store: Store, at_ms: int) -> int:
    """The first id that was confirmed at `at_ms` or later; one beyond the last, if none was."""
    table = store.tables.payments
    low, high = 1, 1 + (connection.execute(select(func.max(table.c.id))).scalar() or 0)
    while low < high:
        middle = (low + high) // 2
        at_or_after = select(table.c.id, table.c.confirmed_at_ms).where(table.c.id >= middle)
        row = connection.execute(at_or_after.order_by(table.c.id).limit(1)).first()
        if row is None or row[1] >= at_ms:
            high = middle
        else:
            low = int(row[0]) + 1
    return low
