"""The SQL of `m2m`: devices, commands, records, gaps, files, for the transactions of the other modules.

What a request or a device waits for is here; batch_store.py has those statements that take a whole batch's
rows. Beside it, on the same tables (tables.py): lifecycle_store.py for what people and housekeeping ask,
audit_store.py for the counts.

Lock order: devices by serial, then commands, then outbox rows.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import (
    Connection,
    LargeBinary,
    MetaData,
    Select,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from backend.kit.keys import ApiKeys
from backend.kit.outbox import Outbox
from backend.kit.rows import Blob, insert_new, next_ids
from backend.kit.vault import Vault
from backend.m2m.batch_store import (
    DEVICE_COLUMNS,
    KEY_COLUMNS,
    MOVING_COLUMNS,
    NEW_COMMAND_COLUMNS,
    RECORD_COLUMNS,
    BatchStatements,
)
from backend.m2m.commands import CREATED, REPLIED, SENT
from backend.m2m.rows import (
    CommandRow,
    Device,
    FirmwareFile,
    FirstCommand,
    GapRow,
    NewCommand,
    RecordRow,
    Reply,
)
from backend.m2m.tables import Tables
from backend.m2m.texts import CommandTexts

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Key = TypeVar("Key")

CHUNK = 400  # keys in one statement: SQLite takes 32,766 values, PostgreSQL's planner likes few


class Store:
    """Statements on the tables of tables.py."""

    def __init__(self, vault: Vault):
        self.metadata = MetaData()
        self.outbox = Outbox(self.metadata)
        self.keys = ApiKeys(self.metadata, vault.pepper)
        self.texts = CommandTexts(vault)
        tables = Tables(self.metadata)
        self.devices = tables.devices
        self.commands = tables.commands
        self.records = tables.records
        self.gaps = tables.gaps
        self.firmware_files = tables.firmware_files
        self._batch = BatchStatements(tables)

    # Devices

    def add_devices(self, connection: Connection, markets: Mapping[str, str]) -> None:
        """Insert devices, each with its market by serial; serials that are there already stay as they are."""
        self._batch.add_devices.run(connection, sorted(markets.items()))

    def lock_devices(self, connection: Connection, serials: Collection[str]) -> dict[str, Device]:
        """The devices of `serials` that exist, locked in the order of their serials."""
        return _devices(self._batch.lock_devices.read(connection, _keys(serials), list[Any]))

    def device(self, connection: Connection, serial: str) -> Device | None:
        """One device, to read."""
        return _devices(self._batch.devices.read(connection, [(serial,)], list[Any])).get(serial)

    def save_devices(self, connection: Connection, devices: Sequence[Device]) -> None:
        """Write back everything that moves of locked devices: all but what `register` writes."""
        if devices:
            self._batch.save_devices.run(connection, [_MOVING(device) for device in devices])

    def register(self, connection: Connection, device: Device) -> None:
        """Write the market, keys and msisdn of a locked device."""
        statement = update(self.devices).where(self.devices.c.serial == device.serial)
        connection.execute(statement.values({name: getattr(device, name) for name in KEY_COLUMNS}))

    # Commands

    def add_commands(self, connection: Connection, commands: Sequence[NewCommand]) -> list[int]:
        """Insert commands; their ids, in order."""
        if not commands:
            return []
        ids = next_ids(connection, self.commands, len(commands))
        sealed = [self.texts.sealed(key, row) for key, row in zip(ids, commands, strict=True)]
        rows = [(key, *_NEW_COMMAND(row), CREATED) for key, row in zip(ids, sealed, strict=True)]
        self._batch.add_commands.run(connection, rows)
        return ids

    def by_reference(
        self, connection: Connection, references: Collection[tuple[str, str]]
    ) -> list[tuple[tuple[str, str], FirstCommand]]:
        """(client, reference) and the command that was already created under it."""
        if not references:
            return []
        rows = self._batch.by_reference.read(connection, sorted(references), list[Any])
        return [((row[0], row[1]), self.texts.opened_first(FirstCommand(*row[2:]))) for row in rows]

    def command(self, connection: Connection, command_id: int) -> CommandRow | None:
        """One command, to read."""
        row = connection.execute(self._select_commands().where(self.commands.c.id == command_id)).first()
        return None if row is None else self.texts.opened(CommandRow(*row))

    def open_commands(self, connection: Connection, serials: Collection[str]) -> dict[str, list[CommandRow]]:
        """Created and sent commands by serial, oldest first."""
        found: dict[str, list[CommandRow]] = {}
        for row in sorted(self._batch.open_commands.read(connection, _keys(serials), list[Any])):
            command = self.texts.opened(CommandRow(*row))
            found.setdefault(command.serial, []).append(command)
        return found

    def count_open(self, connection: Connection, serials: Collection[str]) -> dict[str, int]:
        """How many commands of each serial are open."""
        return dict(self._batch.count_open.read(connection, _keys(serials), tuple[str, int]))

    def has_ordered(
        self, connection: Connection, serial: str, name: str, *, client: str, since_ms: int
    ) -> bool:
        """Whether a client has ordered a command of that name since a time, whatever became of it."""
        table = self.commands
        found = select(table.c.id).where(
            table.c.serial == serial,
            table.c.name == name,
            table.c.client == client,
            table.c.created_at_ms > since_ms,
        )
        return connection.execute(found.limit(1)).first() is not None

    def mark_sent(self, connection: Connection, ids: Collection[int], now_ms: int, way: str) -> None:
        """Open commands go out now (again, perhaps), by `way` (delivery.py)."""
        if ids:
            self._batch.mark_sent.run(connection, [(key, SENT, now_ms, way) for key in sorted(ids)])

    def mark_replied(self, connection: Connection, replies: Sequence[Reply], now_ms: int) -> None:
        """Sent commands were answered."""
        if replies:
            rows = [(reply.command_id, REPLIED, now_ms, reply.device_response) for reply in replies]
            self._batch.mark_replied.run(connection, rows)

    def delivered(self, connection: Connection, command_id: int, now_ms: int) -> None:
        """The callback arrived (checklist 75)."""
        statement = update(self.commands).where(self.commands.c.id == command_id)
        connection.execute(statement.values(callback_delivered_at_ms=now_ms))

    def move_callbacks(self, connection: Connection, old_base: str, new_base: str) -> None:
        """Rewrite the callback URLs below `old_base` of commands whose callback was not delivered."""
        table = self.commands
        rest = func.substr(table.c.callback_url, len(old_base) + 1)
        moved = update(table).where(
            table.c.callback_url.startswith(old_base, autoescape=True),
            table.c.callback_delivered_at_ms.is_(None),
        )
        connection.execute(moved.values(callback_url=literal(new_base).concat(rest)))

    def _select_commands(self) -> Select[*tuple[object, ...]]:
        return select(*(self.commands.c[name] for name in CommandRow.__dataclass_fields__))

    def outbox_keys(self, connection: Connection, kind: str, ids: Collection[int]) -> list[str]:
        """The keys of the rows of `kind` among these outbox rows that are still there."""
        table = self.outbox.table
        statement = select(table.c.key).where(table.c.id.in_(ids), table.c.kind == kind)
        return [row.key for row in connection.execute(statement).all()]

    # Records

    def add_records(self, connection: Connection, records: Sequence[RecordRow]) -> None:
        """Insert records that are not `stored` yet, each once; their devices are locked since before that."""
        if records:
            blob = Blob()
            rows = [(*_RECORD(record), *blob.add(record.body)) for record in records]
            self._batch.add_records.run(connection, rows, blob)

    def stored(self, connection: Connection, keys: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """Which of these (serial, record) are stored."""
        if not keys:
            return set()
        return set(self._batch.stored.read(connection, list(keys), tuple[str, int]))

    def record_bodies(self, connection: Connection, records: Collection[tuple[str, int]]) -> dict[str, bytes]:
        """The encodings of these (serial, record), at most one a serial, by serial; only what is stored."""
        table = self.records
        found: dict[str, bytes] = {}
        for part in _chunks(sorted(records)):
            statement = select(table.c.serial, table.c.body)
            rows = connection.execute(statement.where(tuple_(table.c.serial, table.c.record).in_(part))).all()
            found |= {row.serial: row.body for row in rows}
        return found

    def add_gaps(self, connection: Connection, gaps: Sequence[GapRow]) -> None:
        """Insert the gaps of new Gap records."""
        if gaps:
            connection.execute(insert(self.gaps), [_values(gap) for gap in gaps])

    # Firmware

    def add_file(
        self, connection: Connection, file: FirmwareFile, content: bytes, client: str, now_ms: int
    ) -> bool:
        """Store a file; False, and nothing changed, if there is one of that name."""
        row = {**_values(file), "content": content, "client": client, "created_at_ms": now_ms}
        statement = insert_new(connection, self.firmware_files).returning(self.firmware_files.c.file)
        return connection.execute(statement, [row]).first() is not None

    def file(self, connection: Connection, file: str) -> FirmwareFile | None:
        """One file, without its content."""
        table = self.firmware_files
        statement = select(*(table.c[name] for name in FirmwareFile.__dataclass_fields__))
        row = connection.execute(statement.where(table.c.file == file)).first()
        return None if row is None else FirmwareFile(*row)

    def file_part(self, connection: Connection, file: str, start: int, size: int) -> bytes:
        """Up to `size` bytes of a stored file from `start` (0: the first) on."""
        table = self.firmware_files
        part = func.substr(table.c.content, start + 1, size, type_=LargeBinary)
        return bytes(connection.execute(select(part).where(table.c.file == file)).scalar_one())


_MOVING = attrgetter("serial", *MOVING_COLUMNS)
_NEW_COMMAND = attrgetter(*NEW_COMMAND_COLUMNS[1:-1])
_RECORD = attrgetter(*RECORD_COLUMNS)


def _devices(rows: Sequence[list[Any]]) -> dict[str, Device]:
    """Rows of DEVICE_COLUMNS as the statement packed them, by serial."""
    found: dict[str, Device] = {}
    for row in rows:
        device = Device(*row)
        device.link_key = bytes.fromhex(row[_LINK_KEY]) if row[_LINK_KEY] else None
        device.online, device.over_http = bool(device.online), bool(device.over_http)
        found[device.serial] = device
    return found


_LINK_KEY = DEVICE_COLUMNS.index("link_key")


def _keys(serials: Collection[str]) -> list[tuple[str]]:
    return [(serial,) for serial in serials]


def _values(row: "DataclassInstance") -> dict[str, object]:
    return {column.name: getattr(row, column.name) for column in fields(row)}


def _chunks(items: Sequence[Key]) -> list[Sequence[Key]]:
    return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
