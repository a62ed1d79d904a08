"""The SQL of events.py."""

from collections.abc import Collection, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from backend.kit.rows import insert_new
from backend.solarium.tables import Tables


class EventRow(Struct, frozen=True):
    """A billing event; `data` is JSON."""

    event_id: str
    type: str
    device: str
    occurred_at_ms: int
    received_at_ms: int
    data: str


def known_events(connection: Connection, tables: Tables, event_ids: Collection[str]) -> set[str]:
    """Those of `event_ids` that are stored."""
    table = tables.device_events
    statement = select(table.c.event_id).where(table.c.event_id.in_(event_ids))
    return set(connection.execute(statement).scalars())


def put_events(connection: Connection, tables: Tables, rows: Sequence[EventRow]) -> None:
    """Insert events; one that another process was faster with stays as it is."""
    if rows:
        values = [msgspec.structs.asdict(row) for row in rows]
        connection.execute(insert_new(connection, tables.device_events), values)


def events_of(connection: Connection, tables: Tables, device: str, *, limit: int) -> list[EventRow]:
    """The newest events of a device, newest first."""
    table = tables.device_events
    columns = [table.c[name] for name in EventRow.__struct_fields__]
    newest = (table.c.occurred_at_ms.desc(), table.c.event_id)
    statement = select(*columns).where(table.c.device == device).order_by(*newest).limit(limit)
    return [EventRow(*row) for row in connection.execute(statement)]
