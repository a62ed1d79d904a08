"""The SQL of the operators' journal: who did what, when and why. Rows are only ever added."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from backend.kit.keys import Client
from backend.solarium.store import Store


@dataclass(frozen=True, slots=True)
class Action:
    """What an operator did; `subject`: the account, payment, device or plan. market: empty for several."""

    name: str
    subject: str
    market: str = ""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """An action as it is stored; `operator` is the client of the API key."""

    id: int
    at_ms: int
    operator: str
    action: str
    subject: str
    market: str
    reason: str | None


def note(connection: Connection, store: Store, by: Client, action: Action, now_ms: int) -> None:
    """Note an action in the transaction that does it."""
    row = {
        "at_ms": now_ms,
        "operator": by.name,
        "action": action.name,
        "subject": action.subject,
        "market": action.market,
        "reason": action.reason,
    }
    connection.execute(insert(store.operations.actions), row)


def actions(
    connection: Connection, store: Store, *, markets: tuple[str, ...], before: int | None, limit: int
) -> list[ActionRecord]:
    """Actions, newest first; a key of some markets sees those of its markets."""
    table = store.operations.actions
    columns: list[Any] = [table.c[name] for name in ActionRecord.__dataclass_fields__]
    statement = select(*columns)
    if markets:
        statement = statement.where(table.c.market.in_(markets))
    if before is not None:
        statement = statement.where(table.c.id < before)
    rows = connection.execute(statement.order_by(table.c.id.desc()).limit(limit))
    return [ActionRecord(*row) for row in rows]
