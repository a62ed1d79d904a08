"""Counts that show whether Solarium's invariants hold (ARCHITECTURE.md, invariants 1 and 2)."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from backend.solarium.ledger_store import unbalanced_currencies, wrong_balances
from backend.solarium.store import ORDER_STATES, WITHDRAWN, Store


@dataclass(frozen=True, slots=True)
class Audit:
    """One consistent picture of the database."""

    payments: int
    ledger_transactions: int
    payments_without_transaction: int
    unbalanced_currencies: tuple[str, ...]
    wrong_balances: int  # accounts whose balance is not the sum of their entries
    days_sold: int
    orders: Mapping[str, int]  # by state
    days: Mapping[str, int]  # by state of their order
    days_by_device: Mapping[str, tuple[int, int]]  # sold; those of replied orders
    refused_orders: int  # replied, but the device did not take the token: an operator looks at it
    dead_letters: int

    @property
    def sound(self) -> bool:
        """Whether invariant 1 holds."""
        return not (
            self.payments != self.ledger_transactions
            or self.payments_without_transaction
            or self.unbalanced_currencies
            or self.wrong_balances
        )


def audit(connection: Connection, store: Store) -> Audit:
    """Count everything in the caller's snapshot."""
    orders = store.orders_by_state(connection)
    return Audit(
        payments=store.count(connection, store.tables.payments),
        ledger_transactions=store.count(connection, store.tables.ledger_transactions),
        payments_without_transaction=store.payments_without_transaction(connection),
        unbalanced_currencies=tuple(unbalanced_currencies(connection, store)),
        wrong_balances=wrong_balances(connection, store),
        days_sold=sum(days for state, (_, days) in orders.items() if state != WITHDRAWN),
        orders={state: orders.get(state, (0, 0))[0] for state in ORDER_STATES},
        days={state: orders.get(state, (0, 0))[1] for state in ORDER_STATES},
        days_by_device=store.days_by_device(connection),
        refused_orders=store.refused_orders(connection),
        dead_letters=store.dead_letters(connection),
    )
