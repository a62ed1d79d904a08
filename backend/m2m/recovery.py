"""Devices that lost their store come back by themselves: m2m orders what an operator would.

    SYNCIV  its frames are refused as repeats, for their sequences are of before; but their seal is right, and
            they say that it started and is tampered, in records that were never here
    SYNC    its frames are good again, and its status says that it is tampered: it waits for a count

An old frame that somebody kept must do no harm. It can't say anything new: it is never stored, it moves no
sequence and no epoch. At worst it makes m2m order one SYNCIV, which a healthy device does and answers; so no
device is offered one while good frames come from it (QUIET_MS), nor more than one an hour, nor twice for one
start. The count of a SYNC, an operator's too, is Moto's last sequence number when it is ordered: a device
that reports fewer may have used what it never told of, and a token must not be good twice. What was issued
and not used is spent by that; the alert tells an operator, who can grant it anew.

What Moto gave after a SYNC was ordered the device may have used before the loss, so such a SYNC is cancelled
when the device says that it begins anew (`begins_anew`).

ingest.py puts the row, this is its handler; the order is a command like others, of the client CLIENT. Where
the rest is decided:

    a lost device's status counts as new, whatever its number     ingest.py, _follow_record
    a SYNC of before the loss is cancelled                        ingest.py, _cancel_syncs
    a refused repeat is answered with its SYNCIV only             ingest.py, _due
    Moto is asked for the count of an operator's SYNC             intake.py, _with_count
    without Moto's count no SYNC is ordered for a lost device     creation.py, _refusal
    which count goes down                                         downlink.py, _count
"""

from collections.abc import Sequence
from typing import cast

import structlog
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BackendError, NotFound
from backend.kit.outbox import Dead, Done, Leased, Outcome, Outgoing, Policy
from backend.kit.runtime import Clock, iso
from backend.m2m import events
from backend.m2m.commands import Wanted
from backend.m2m.creation import Creation, Creations
from backend.m2m.ports import Counts
from backend.m2m.rows import Device
from backend.m2m.store import Store
from backend.m2m.uplink import Arrival, Numbered
from protocols.magicbox import wire

KIND = "recover"  # of outbox rows; one a device and order at a time
CLIENT = "m2m"
POLICY = Policy(attempts=20)  # with the backoff a quarter of an hour; the next status brings it again
QUIET_MS = 900_000  # good frames that are younger: it has its store, and this one is old
EVERY_MS = 3_600_000  # between two orders for a device
SYNC, SYNCIV = "sync", "synciv"
UNKNOWN_AT_MOTO = "Moto does not know the device: register it there, or send it a SYNC by hand"


def is_lost(arrival: Arrival, now_ms: int) -> bool:
    """Whether a repeat can only be of a device that lost its store (or was kept for long). See the module."""
    if arrival.fresh or arrival.link is None or now_ms - (arrival.device.last_seen_ms or 0) < QUIET_MS:
        return False
    new = [entry for entry in arrival.records if entry.record not in arrival.acknowledged]
    return any(isinstance(entry.content, wire.Boot) for entry in new) and any(map(_tampered, new))


def begins_anew(arrival: Arrival) -> bool:
    """Whether it is the first start since a store was lost: numbers and starts go on from one by chance, that
    of the start's record (firmware/state.py)."""
    if arrival.link is None or not any(map(_tampered, arrival.records)):
        return False
    boots = [entry.content for entry in arrival.records if isinstance(entry.content, wire.Boot)]
    return any(boot.record in arrival.added and boot.boot_id == boot.record + 1 for boot in boots)


def rows(arrivals: Sequence[Arrival], now_ms: int) -> list[Outgoing]:
    """What the arrivals of a batch ask for."""
    found: list[Outgoing] = []
    for arrival in arrivals:
        if is_lost(arrival, now_ms):
            found.append(_row(arrival, SYNCIV))
        elif arrival.fresh and arrival.link is not None and any(map(_waits, arrival.records)):
            found.append(_row(arrival, SYNC))
    return found


def _row(arrival: Arrival, order: str) -> Outgoing:
    serial = arrival.device.serial
    starts = [entry.content.boot_id for entry in arrival.records if isinstance(entry.content, wire.Boot)]
    payload = {"serial": serial, "order": order, "start": max(starts, default=0)}
    return Outgoing(KIND, f"{order}/{serial}", payload)


def serial_of(key: str) -> str:
    """The device of an outbox row."""
    return key.partition("/")[2]


def _tampered(entry: Numbered) -> bool:
    match entry.content:
        case wire.Alarm(kind=kind):
            return kind == wire.ALARM_KIND_TAMPERED
        case _:
            return _waits(entry)


def _waits(entry: Numbered) -> bool:
    return isinstance(entry.content, wire.Status) and entry.content.state == wire.STATE_TAMPERED


class Recovery:
    """The outbox handler."""

    def __init__(
        self, *, store: Store, database: Database, clock: Clock, creations: Creations, counts: Counts | None
    ):
        self._store = store
        self._database = database
        self._clock = clock
        self._creations = creations
        self._counts = counts
        self._log = structlog.get_logger(service="m2m")

    async def order(self, row: Leased) -> Outcome:
        """Order it, if none was in the last hour."""
        serial, order = cast(str, row.payload["serial"]), cast(str, row.payload["order"])
        if not await self._database.read(lambda connection: self._wants(connection, serial, order)):
            return Done()
        argument = ""
        if order == SYNC:
            if self._counts is None:
                return Done()
            try:
                argument = str(await self._counts.last_sequence(serial))
            except NotFound:
                return Dead(UNKNOWN_AT_MOTO)
        self._log.error("device.store_lost", serial=serial, order=order, token_count=argument)
        return Done(lambda connection: self._create(connection, row, argument))

    def _wants(self, connection: Connection, serial: str, order: str) -> bool:
        """Whether the device is lost still, and was not ordered this in the last hour."""
        device = self._store.device(connection, serial)
        is_lost = device is not None and (order == SYNCIV or device.state == wire.STATE_TAMPERED)
        since_ms = self._clock.now_ms() - EVERY_MS
        return is_lost and not self._store.has_ordered(
            connection, serial, order, client=CLIENT, since_ms=since_ms
        )

    def _create(self, connection: Connection, row: Leased, argument: str) -> None:
        serial, order = cast(str, row.payload["serial"]), cast(str, row.payload["order"])
        device = self._store.lock_devices(connection, [serial])[serial]
        now_ms = self._clock.now_ms()
        if not self._wants(connection, serial, order):
            return
        # A start is answered by one SYNCIV, however often its frame comes; a SYNC may be needed again.
        start = row.payload["start"] if order == SYNCIV else now_ms // EVERY_MS
        wanted = Wanted(serial, order, argument, order.upper(), None, f"{order}/{serial}/{start}")
        (created,) = self._creations.decide(connection, [Creation(CLIENT, (), wanted)])
        if isinstance(created, BackendError):
            return  # too many commands wait for it already: an operator's are among them
        self._tell(connection, device, order, now_ms, created.id)

    def _tell(self, connection: Connection, device: Device, order: str, now_ms: int, command_id: int) -> None:
        event = events.recovery_event(device, order, iso(now_ms))
        self._store.outbox.put(connection, [events.ops_row(event, f"recovery/{command_id}")], now_ms)
