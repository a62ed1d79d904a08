"""Billing events of devices, as M2M sends them (resolutions 17): at least once, so the event's id counts.

    token_applied, credit_expired, tamper, usage

They are kept for operators (operations.py); money moves by none of them. A tamper is logged as an error.
"""

from collections.abc import Sequence

import msgspec
import structlog
from sqlalchemy import Connection

from backend.kit.batch import WriteBatch
from backend.kit.database import Database
from backend.kit.runtime import Clock
from backend.solarium.events_store import EventRow, known_events, put_events
from backend.solarium.schemas import BillingEvent, epoch_ms
from backend.solarium.store import Store

TAMPER = "tamper"


class Events:
    """A part of the service, as `External` is."""

    def __init__(self, *, store: Store, database: Database, clock: Clock, service: str):
        self._tables = store.tables
        self._clock = clock
        self._batch: WriteBatch[BillingEvent, bool] = WriteBatch(database, self._decide)
        self._log = structlog.get_logger(service=service)

    async def take(self, event: BillingEvent) -> bool:
        """Keep an event; False: it was there already."""
        new = await self._batch.submit(event)
        if new and event.type == TAMPER:
            self._log.error("device.tamper", serial=event.identifier, event_id=event.event_id)
        return new

    def _decide(self, connection: Connection, events: Sequence[BillingEvent]) -> list[bool]:
        now_ms = self._clock.now_ms()
        known = known_events(connection, self._tables, {event.event_id for event in events})
        rows: dict[str, EventRow] = {}
        answers: list[bool] = []
        for event in events:
            new = event.event_id not in known
            answers.append(new)
            if new:
                known.add(event.event_id)
                rows[event.event_id] = _row(event, now_ms)
        put_events(connection, self._tables, list(rows.values()))
        return answers


def _row(event: BillingEvent, now_ms: int) -> EventRow:
    return EventRow(
        event_id=event.event_id,
        type=event.type,
        device=event.identifier,
        occurred_at_ms=epoch_ms(event.occurred_at),
        received_at_ms=now_ms,
        data=msgspec.json.encode(event.data).decode(),
    )
