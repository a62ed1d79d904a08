"""The way down: leased outbox rows become sealed frames, or events, that the bridge publishes.

A frame is sealed when it is leased, so its sequence is the newest. An offline device loses it; its next
frame up brings the command again (ingest.py). backend.kit.feed has the lease, bridge/feed.py the other end.
"""

from collections.abc import Sequence

import structlog
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import InternalError
from backend.kit.feed import FeedItem, RowFeed
from backend.kit.outbox import Leased
from backend.kit.runtime import Clock
from backend.m2m import downlink
from backend.m2m.delivery import DOWN, MQTT
from backend.m2m.events import OPS
from backend.m2m.links import Links
from backend.m2m.store import Store


class DownFeed:
    """Items of the channels `down` (frames) and, for check-ins over HTTP, of the ops topics."""

    def __init__(self, *, store: Store, links: Links, database: Database, clock: Clock):
        self._store = store
        self._links = links
        self._database = database
        self._clock = clock
        self._log = structlog.get_logger(service="m2m")
        self._rows = RowFeed(outbox=store.outbox, database=database, clock=clock, kinds=(DOWN, OPS))

    async def lease(self, *, limit: int, wait_s: float) -> list[FeedItem]:
        """Up to `limit` items, waiting up to `wait_s` seconds for the first; unconfirmed ones come again."""
        if limit <= 0 or not await self._rows.wait(wait_s):
            return []
        # Two transactions: rows before devices in one would lock in another order than ingest.py.
        rows = await self._database.write(lambda connection: self._rows.lease(connection, limit))
        if not rows:
            return []
        return await self._database.write(lambda connection: self._items(connection, rows))

    async def confirm(self, ids: Sequence[int]) -> None:
        """These items were published: their commands are sent."""
        if ids:
            await self._database.write(lambda connection: self._confirmed(connection, ids))

    def _items(self, connection: Connection, rows: Sequence[Leased]) -> list[FeedItem]:
        commands_down = {int(row.key): row for row in rows if row.kind == DOWN}
        serials = {str(row.payload["serial"]) for row in commands_down.values()}
        devices = self._store.lock_devices(connection, serials)
        waiting = self._store.open_commands(connection, serials)
        now_ms = self._clock.now_ms()
        items = [_event_item(row) for row in rows if row.kind == OPS]
        for serial, device in devices.items():
            try:
                link = self._links.of(device)
            except InternalError as error:
                # Its rows stay leased and come again; an operator mends the key, the others go.
                self._log.error("feed.key_unusable", serial=serial, error=error.detail)
                commands_down = {
                    key: row for key, row in commands_down.items() if row.payload["serial"] != serial
                }
                continue
            for command in downlink.in_flight(waiting.get(serial, []), now_ms):
                row = commands_down.get(command.id)
                if row is None or link is None:
                    continue
                frame = self._links.seal_down(device, link, [downlink.command_record(device, command)])
                items.append(FeedItem(row.id, serial, device.market, DOWN, frame))
                del commands_down[command.id]
        self._store.save_devices(connection, list(devices.values()))
        # The rest is answered, or waits until the device has answered others: its next frame asks for it.
        self._store.outbox.done(connection, [row.id for row in commands_down.values()])
        return sorted(items, key=lambda item: item.id)

    def _confirmed(self, connection: Connection, ids: Sequence[int]) -> None:
        keys = self._store.outbox_keys(connection, DOWN, ids)
        self._store.mark_sent(connection, [int(key) for key in keys], self._clock.now_ms(), MQTT)
        self._store.outbox.done(connection, ids)


def _event_item(row: Leased) -> FeedItem:
    payload = row.payload
    return FeedItem(
        row.id,
        str(payload["serial"]),
        str(payload["market"]),
        str(payload["kind"]),
        str(payload["document"]).encode(),
    )
