"""SQL of what audit.py counts, over all that is stored. The tables are those of store.py."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, case, func, select

from backend.m2m.commands import REPLIED
from backend.m2m.store import Store
from protocols.magicbox import wire


class AuditStore:
    """Statements on the tables of a Store."""

    def __init__(self, store: Store):
        self._devices = store.devices
        self._commands = store.commands
        self._records = store.records
        self._gaps = store.gaps
        self._outbox = store.outbox.table

    def count_commands(self, connection: Connection) -> dict[str, int]:
        """Commands by state."""
        statement = select(self._commands.c.state, func.count()).group_by(self._commands.c.state)
        return {row[0]: int(row[1]) for row in connection.execute(statement).all()}

    def count_devices(self, connection: Connection) -> int:
        """All devices, auto-created ones too."""
        return connection.execute(select(func.count()).select_from(self._devices)).scalar_one()

    def count_outgoing(self, connection: Connection, kind: str) -> dict[str, int]:
        """Outbox rows of a kind by state."""
        table = self._outbox
        statement = select(table.c.state, func.count()).where(table.c.kind == kind).group_by(table.c.state)
        return {row[0]: int(row[1]) for row in connection.execute(statement).all()}

    def count_callbacks(self, connection: Connection) -> tuple[int, int]:
        """(owed, delivered): replied commands that name a callback URL, and those of them that were told."""
        table = self._commands
        owed = select(func.count(), func.count(table.c.callback_delivered_at_ms))
        row = connection.execute(
            owed.where(table.c.state == REPLIED, table.c.callback_url.is_not(None))
        ).one()
        return int(row[0]), int(row[1])

    def count_unkeyed_records(self, connection: Connection) -> int:
        """Records of devices that have no link key, which nobody can have sealed."""
        keyed = select(self._devices.c.serial).where(self._devices.c.link_key.is_not(None))
        statement = select(func.count()).where(self._records.c.serial.not_in(keyed))
        return connection.execute(statement).scalar_one()

    def count_records(self, connection: Connection, lines_from: int) -> dict[str, tuple[int, int, int]]:
        """(stored of frames, their highest number, stored of lines, from `lines_from` on) by serial."""
        table = self._records
        of_lines = table.c.record >= lines_from
        statement = select(
            table.c.serial,
            func.sum(case((of_lines, 0), else_=1)),
            func.max(case((of_lines, 0), else_=table.c.record)),
            func.sum(case((of_lines, 1), else_=0)),
        ).group_by(table.c.serial)
        return {
            row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in connection.execute(statement).all()
        }

    def count_purged(self, connection: Connection) -> dict[str, int]:
        """Records that retention took, by serial."""
        table = self._devices
        rows = connection.execute(select(table.c.serial, table.c.purged).where(table.c.purged > 0)).all()
        return {row[0]: int(row[1]) for row in rows}

    def token_events(self, connection: Connection) -> Iterator[tuple[str, bytes]]:
        """(serial, body) of every token event that was stored."""
        table = self._records
        statement = select(table.c.serial, table.c.body).where(table.c.type == wire.TYPE_TOKEN_EVENT)
        for row in connection.execute(statement):
            yield row[0], row[1]

    def all_gaps(self, connection: Connection) -> Mapping[str, list[tuple[int, int]]]:
        """(first, last) of every gap by serial, in order."""
        table = self._gaps
        found: dict[str, list[tuple[int, int]]] = {}
        statement = select(table.c.serial, table.c.first, table.c.last).order_by(
            table.c.serial, table.c.first
        )
        for row in connection.execute(statement).all():
            found.setdefault(row[0], []).append((int(row[1]), int(row[2])))
        return found

    def count_between(self, connection: Connection, serial: str, first: int, last: int) -> int:
        """How many records of a range are stored."""
        table = self._records
        statement = select(func.count()).where(table.c.serial == serial, table.c.record.between(first, last))
        return connection.execute(statement).scalar_one()
