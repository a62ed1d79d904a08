"""M2M as a service without batches is: ordinary statements, one frame or command a transaction. The same
tables, and the same decisions on top.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, func, insert, select, tuple_, update

from backend.kit.rows import insert_new
from backend.m2m.commands import CREATED, OPEN
from backend.m2m.ingest import IngestAnswer
from backend.m2m.rows import CommandRow, Device, NewCommand, RecordRow, new_device
from backend.m2m.service import M2mService
from backend.m2m.store import Store


class OneByOne:
    """Takes a bridge's batch frame by frame."""

    def __init__(self, service: M2mService):
        self._service = service
        self.report_state = service.report_state

    async def ingest(self, uplinks: Sequence[tuple[str, bytes]]) -> list[IngestAnswer]:
        return [answer for uplink in uplinks for answer in await self._service.ingest([uplink])]


class OrdinaryStore(Store):
    """What a command and a frame run; the rest is as it was."""

    def add_devices(self, connection: Connection, markets: Mapping[str, str]) -> None:
        rows = [asdict(new_device(serial, market)) for serial, market in markets.items()]
        connection.execute(insert_new(connection, self.devices), rows)

    def lock_devices(self, connection: Connection, serials: Collection[str]) -> dict[str, Device]:
        columns = [self.devices.c[name] for name in Device.__dataclass_fields__]
        statement = select(*columns).where(self.devices.c.serial.in_(serials)).with_for_update()
        return {row.serial: Device(*row) for row in connection.execute(statement)}

    def save_devices(self, connection: Connection, devices: Sequence[Device]) -> None:
        for device in devices:
            statement = update(self.devices).where(self.devices.c.serial == device.serial)
            connection.execute(statement.values(asdict(device)))

    def add_commands(self, connection: Connection, commands: Sequence[NewCommand]) -> list[int]:
        statement = insert(self.commands).returning(self.commands.c.id)
        rows = [{**asdict(command), "state": CREATED} for command in commands]
        return [int(connection.execute(statement, row).scalar_one()) for row in rows]

    def open_commands(self, connection: Connection, serials: Collection[str]) -> dict[str, list[CommandRow]]:
        table = self.commands
        statement = select(*(table.c[name] for name in CommandRow.__dataclass_fields__))
        open_now = statement.where(table.c.serial.in_(serials), table.c.state.in_(OPEN)).order_by(table.c.id)
        found: dict[str, list[CommandRow]] = {}
        for row in connection.execute(open_now):
            found.setdefault(row.serial, []).append(CommandRow(*row))
        return found

    def count_open(self, connection: Connection, serials: Collection[str]) -> dict[str, int]:
        table = self.commands
        statement = select(table.c.serial, func.count()).group_by(table.c.serial)
        rows = connection.execute(statement.where(table.c.serial.in_(serials), table.c.state.in_(OPEN)))
        return {row[0]: int(row[1]) for row in rows}

    def stored(self, connection: Connection, keys: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        table = self.records
        key = (table.c.serial, table.c.record)
        rows = connection.execute(select(*key).where(tuple_(*key).in_(list(keys))))
        return {(row.serial, row.record) for row in rows}

    def add_records(self, connection: Connection, records: Sequence[RecordRow]) -> None:
        connection.execute(insert(self.records), [asdict(record) for record in records])
