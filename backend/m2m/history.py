"""What a device said before, newest first: statuses and logs, as their documents on the ops topics."""

from collections.abc import Collection
from dataclasses import replace

import msgspec
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import NotFound
from backend.kit.runtime import iso
from backend.m2m import events
from backend.m2m.commands import is_name
from backend.m2m.lifecycle_store import LifecycleStore, Viewer
from backend.m2m.rows import Device, RecordRow
from backend.m2m.schemas import HistoryEntry, HistoryPage
from backend.m2m.store import Store
from backend.m2m.uplink import LINES_FROM
from protocols.magicbox import wire

STATUS_TYPES = (wire.TYPE_STATUS,)
LOG_TYPES = (wire.TYPE_BOOT, wire.TYPE_TOKEN_EVENT, wire.TYPE_ALARM, wire.TYPE_LOG, wire.TYPE_GAP)


class History:
    """See the module."""

    def __init__(self, *, store: Store, database: Database):
        self._store = store
        self._records = LifecycleStore(store)
        self._database = database

    async def statuses(self, serial: str, viewer: Viewer, *, before: int | None, limit: int) -> HistoryPage:
        """What it measured. NotFound: no such device in the viewer's markets."""
        return await self._page(serial, viewer, STATUS_TYPES, before, limit)

    async def logs(self, serial: str, viewer: Viewer, *, before: int | None, limit: int) -> HistoryPage:
        """Its lines, alarms, starts, tokens and gaps. NotFound: no such device in the viewer's markets."""
        return await self._page(serial, viewer, LOG_TYPES, before, limit)

    async def _page(
        self, serial: str, viewer: Viewer, types: Collection[int], before: int | None, limit: int
    ) -> HistoryPage:
        def read(connection: Connection) -> tuple[Device | None, list[RecordRow]]:
            device = self._store.device(connection, serial)
            return device, self._records.history(connection, serial, types, before, limit)

        if not is_name(serial):
            raise NotFound("no such device")
        device, rows = await self._database.read(read)
        if device is None or (viewer.markets and device.market not in viewer.markets):
            raise NotFound("no such device")
        entries = [
            HistoryEntry(row.record % LINES_FROM, iso(row.received_at_ms), _document(device, row))
            for row in rows
        ]
        return HistoryPage(serial, entries, rows[-1].record if len(rows) == limit else None)


def _document(device: Device, row: RecordRow) -> msgspec.Raw:
    (record,) = wire.decode_records(row.body)
    if isinstance(record, wire.Status):
        then = replace(device, online=True)  # it spoke
        return msgspec.Raw(events.status_event(then, record, at_ms=row.at_ms).payload)
    event = events.record_event(device, record, row.received_at_ms)
    return msgspec.Raw(b"null" if event is None else event.payload)
