"""What the invariants 4 to 6 (ARCHITECTURE.md) are checked against, counted from the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from backend.kit.outbox import DEAD, WAITING
from backend.m2m import callbacks
from backend.m2m.audit_store import AuditStore
from backend.m2m.uplink import LINES_FROM
from protocols.magicbox import wire

ADDITIVE = (wire.TOKEN_COMMAND_ADD_TIME, wire.TOKEN_COMMAND_UNLOCK_RELATIVE)


@dataclass(frozen=True, slots=True)
class DeviceRecords:
    """Of frames: stored: kept. evicted: numbers that only a gap accounts for. purged: gone by retention.
    missing: the others, below the highest. Besides them, lines: records that came as text.
    """

    stored: int
    evicted: int
    missing: int
    highest: int
    purged: int = 0
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Callbacks:
    """owed: replied commands with a callback URL; each of them is in one of the other three."""

    owed: int
    delivered: int
    waiting: int
    dead: int


@dataclass(frozen=True, slots=True)
class Audit:
    """counters: what this process took since it started; the rest is from the database."""

    devices: int
    commands: Mapping[str, int]
    callbacks: Callbacks
    records: Mapping[str, DeviceRecords]
    unkeyed_records: int  # of devices without a link key: there can be none
    days_granted: Mapping[str, int]  # by serial: what its token events say that additive tokens added
    counters: Mapping[str, int]


def audit(connection: Connection, store: AuditStore, counters: Mapping[str, int]) -> Audit:
    """Count; numbers of records start at 1."""
    gaps = store.all_gaps(connection)
    purged = store.count_purged(connection)
    return Audit(
        devices=store.count_devices(connection),
        commands=store.count_commands(connection),
        callbacks=_callbacks(connection, store),
        unkeyed_records=store.count_unkeyed_records(connection),
        records={
            serial: _records(
                connection, store, serial, count, gaps=gaps.get(serial, []), purged=purged.get(serial, 0)
            )
            for serial, count in store.count_records(connection, LINES_FROM).items()
        },
        days_granted=_days_granted(connection, store),
        counters=dict(counters),
    )


def _callbacks(connection: Connection, store: AuditStore) -> Callbacks:
    owed, delivered = store.count_callbacks(connection)
    outgoing = store.count_outgoing(connection, callbacks.KIND)
    return Callbacks(owed, delivered, waiting=outgoing.get(WAITING, 0), dead=outgoing.get(DEAD, 0))


def _days_granted(connection: Connection, store: AuditStore) -> dict[str, int]:
    granted: dict[str, int] = {}
    for serial, body in store.token_events(connection):
        for record in wire.decode_records(body):
            if (
                isinstance(record, wire.TokenEvent)
                and record.result == wire.RESULT_ACCEPTED
                and record.command in ADDITIVE
            ):
                granted[serial] = granted.get(serial, 0) + record.payload
    return granted


def _records(
    connection: Connection,
    store: AuditStore,
    serial: str,
    count: tuple[int, int, int],
    *,
    gaps: Sequence[tuple[int, int]],
    purged: int,
) -> DeviceRecords:
    stored, highest, lines = count
    evicted = sum(
        last - first + 1 - store.count_between(connection, serial, first, last)
        for first, last in _merged(gaps, highest)
    )
    missing = highest - stored - evicted - purged
    return DeviceRecords(stored, evicted, missing, highest, purged, lines)


def _merged(gaps: Sequence[tuple[int, int]], highest: int) -> list[tuple[int, int]]:
    """Gaps in order without overlaps, up to the highest record."""
    merged: list[tuple[int, int]] = []
    for first, last in gaps:
        start = max(first, merged[-1][1] + 1) if merged else max(first, 1)
        end = min(last, highest)
        if start <= end:
            merged.append((start, end))
    return merged
