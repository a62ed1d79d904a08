"""How long records are kept: telemetry for so many days, tokens' and commands' results for ever.

A pass walks the devices in the order of their serials, some at a step (housekeeping.py). A device remembers
how many records are gone and up to which number, so that the audit accounts for them and ingest.py takes none
of them a second time (`is_purged`).
"""

from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.runtime import Clock
from backend.m2m.lifecycle_store import LifecycleStore
from backend.m2m.rows import Device
from backend.m2m.store import Store
from backend.m2m.uplink import LINES_FROM, Numbered
from protocols.magicbox import wire

PURGED_TYPES = (wire.TYPE_BOOT, wire.TYPE_STATUS, wire.TYPE_ALARM, wire.TYPE_LOG)
DEVICES_A_STEP = 50  # a transaction of some milliseconds, so that check-ins never wait for it
RECORDS_A_STEP = 500  # of one device; a status every ten minutes makes 144 a day
DAY_MS = 86_400_000


class Retention:
    """See the module."""

    def __init__(self, *, store: Store, database: Database, clock: Clock, days: int):
        self._store = store
        self._records = LifecycleStore(store)
        self._database = database
        self._clock = clock
        self._days = days
        self._last = ""  # the serial at which the next step goes on

    async def step(self) -> int:
        """Purge the next devices; how many records are gone."""
        return await self._database.write(self._purge)

    def _purge(self, connection: Connection) -> int:
        serials = self._records.serials_after(connection, self._last, DEVICES_A_STEP)
        before_ms = self._clock.now_ms() - self._days * DAY_MS
        devices = self._store.lock_devices(connection, serials)
        gone = 0
        for serial, device in devices.items():
            numbers = self._records.purge(connection, serial, PURGED_TYPES, before_ms, RECORDS_A_STEP)
            of_frames = [number for number in numbers if number < LINES_FROM]
            if of_frames:
                device.purged += len(of_frames)
                device.purged_to = max(device.purged_to, of_frames[-1])
            gone += len(numbers)
        self._store.save_devices(connection, list(devices.values()))
        self._last = serials[-1] if serials else ""
        return gone


def is_purged(device: Device, entry: Numbered, before_ms: int) -> bool:
    """Whether a record was here once, and retention took it: by its number, and by its time.

    The number alone does not say so: a device that loses its store goes on from one by chance (firmware/
    state.py), the second time perhaps from below. What has no time yet is new: a device keeps telemetry in
    RAM, far shorter than this service does.
    """
    if entry.record > device.purged_to or entry.type not in PURGED_TYPES:
        return False
    return 0 < entry.at * 1000 < before_ms
