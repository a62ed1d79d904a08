"""The statements of the write batches, each over all of a batch's rows at once (kit/rows.py).

store.py runs them; tables.py has the tables.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Table,
    Update,
    false,
    func,
    literal_column,
    null,
    select,
    true,
    update,
)

from backend.kit.rows import Given, RowsStatement, Statement
from backend.m2m.commands import OPEN, SENT
from backend.m2m.rows import CommandRow, Device, new_device
from backend.m2m.tables import Tables

DEVICE_COLUMNS = tuple(Device.__dataclass_fields__)
COMMAND_COLUMNS = tuple(CommandRow.__dataclass_fields__)
KEY_COLUMNS = ("serial", "market", "link_key", "password_fingerprint", "msisdn")
MOVING_COLUMNS = tuple(name for name in DEVICE_COLUMNS if name not in KEY_COLUMNS)
NEW_COMMAND_COLUMNS = (
    *("id", "client", "reference", "serial", "name", "argument", "text", "callback_url"),
    *("created_at_ms", "expires_at_ms", "markets", "state"),
)
REFERENCE = ("client", "reference")
FIRST_COLUMNS = (*REFERENCE, "id", "serial", "text", "created_at_ms")
RECORD_KEY = ("serial", "record")
RECORD_COLUMNS = ("serial", "record", "type", "at_ms", "received_at_ms")

Column = ColumnElement[Any]
Rows = Select[*tuple[Any, ...]]


class BatchStatements:
    """What ingest.py, creation.py and presence.py run, by way of the Store."""

    def __init__(self, tables: Tables):
        self._tables = tables
        devices, commands = tables.devices, tables.commands
        self.add_devices = RowsStatement(self._add_devices)
        self.lock_devices = RowsStatement(
            lambda given: given.packed(
                self._devices(given).order_by(devices.c.serial).with_for_update(of=devices)
            )
        )
        self.devices = RowsStatement(lambda given: given.packed(self._devices(given)))
        self.save_devices = RowsStatement(lambda given: _set(given, devices, "serial", MOVING_COLUMNS))
        self.add_commands = RowsStatement(lambda given: given.insert(commands, NEW_COMMAND_COLUMNS))
        self.by_reference = RowsStatement(
            lambda given: given.packed(given.stored(commands, REFERENCE, FIRST_COLUMNS))
        )
        self.open_commands = RowsStatement(
            lambda given: given.packed(
                given.stored(commands, ("serial",), COMMAND_COLUMNS, where=_is_open(commands))
            )
        )
        self.count_open = RowsStatement(lambda given: given.packed(_count_open(given, commands)))
        self.mark_sent = RowsStatement(
            lambda given: _set(given, commands, "id", ("state", "sent_at_ms", "sent_by")).where(
                _is_open(commands)
            )
        )
        self.mark_replied = RowsStatement(
            lambda given: _set(given, commands, "id", ("state", "replied_at_ms", "device_response")).where(
                commands.c.state == _text(SENT)
            )
        )
        self.stored = RowsStatement(
            lambda given: given.packed(given.stored(tables.records, RECORD_KEY, RECORD_KEY))
        )
        self.add_records = RowsStatement(self._add_records)

    def _add_devices(self, given: Given) -> Statement:
        """Of (serial, market): devices of which nothing else is known yet (rows.new_device)."""
        table = self._tables.devices
        known = ("serial", "market")
        blank = new_device("", "")
        rest = [name for name in DEVICE_COLUMNS if name not in known]
        values = [*given.columns(table, known), *(_constant(getattr(blank, name)) for name in rest)]
        return given.insert_new(table, (*known, *rest), values=values)

    def _devices(self, given: Given) -> Rows:
        table = self._tables.devices
        columns = [
            given.hex(table.c.link_key) if name == "link_key" else table.c[name] for name in DEVICE_COLUMNS
        ]
        return select(*columns).where(table.c.serial.in_(_column(given, table.c.serial)))

    def _add_records(self, given: Given) -> Statement:
        """RECORD_COLUMNS, then the body's part of the blob."""
        table = self._tables.records
        values = [*given.columns(table, RECORD_COLUMNS), given.part(len(RECORD_COLUMNS))]
        return given.insert(table, (*RECORD_COLUMNS, "body"), values=values)


def _set(given: Given, table: Table, key: str, names: Sequence[str]) -> Update:
    """UPDATE the named columns of the rows whose `key` comes first."""
    values = {name: given.column(place, table.c[name]) for place, name in enumerate(names, 1)}
    return update(table).where(table.c[key] == given.column(0, table.c[key])).values(values)


def _count_open(given: Given, commands: Table) -> Rows:
    """(serial, how many), of devices that have any."""
    found = given.stored(commands, ("serial",), ("serial",), where=_is_open(commands)).subquery("open")
    return select(found.c.serial, func.count()).group_by(found.c.serial)


def _column(given: Given, like: Column) -> Rows:
    return select(given.column(0, like)).select_from(given.table)


def _is_open(table: Table) -> ColumnElement[bool]:
    """A statement over rows takes no other parameter, so that states stand in its text."""
    return table.c.state.in_([_text(state) for state in OPEN])


def _text(word: str) -> Column:
    return literal_column(f"'{word}'")


def _constant(value: object) -> Column:
    if isinstance(value, bool):
        return true() if value else false()
    return null() if value is None else literal_column(str(value), Integer)
