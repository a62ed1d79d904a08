"""SQL of what lifecycle.py and history.py ask: commands by page and by expiry, records by page and by age.

The tables are those of store.py. Lock order, as there: devices, then commands, then outbox rows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, or_, select, text, update

from backend.m2m.commands import CREATED, OPEN, REPLIED
from backend.m2m.rows import CommandRow, RecordRow
from backend.m2m.store import Store
from backend.m2m.tables import UNENDED

UNSENT: dict[str, None] = {"sent_at_ms": None, "sent_by": None}


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: a client sees the devices of its markets (none named: all), and of those that are in none yet
    what it commanded itself.
    """

    client: str
    markets: tuple[str, ...]


class LifecycleStore:
    """Statements on the tables of a Store."""

    def __init__(self, store: Store):
        self._commands = store.commands
        self._texts = store.texts
        self._devices = store.devices
        self._records = store.records
        self._gaps = store.gaps

    # Commands

    def find(self, connection: Connection, command_id: int, viewer: Viewer) -> CommandRow | None:
        """One command that the viewer may see."""
        statement = self._seen_by(viewer).where(self._commands.c.id == command_id)
        row = connection.execute(statement).first()
        return None if row is None else self._texts.opened(CommandRow(*row))

    def page(
        self,
        connection: Connection,
        viewer: Viewer,
        *,
        serial: str | None,
        states: Sequence[str],
        before: int | None,
        limit: int,
    ) -> list[CommandRow]:
        """Commands that the viewer may see, newest first, below the id `before`."""
        table = self._commands
        statement = self._seen_by(viewer).where(table.c.state.in_(states))
        if serial is not None:
            statement = statement.where(table.c.serial == serial)
        if before is not None:
            statement = statement.where(table.c.id < before)
        rows = connection.execute(statement.order_by(table.c.id.desc()).limit(limit)).all()
        return [self._texts.opened(CommandRow(*row)) for row in rows]

    def overdue(self, connection: Connection, now_ms: int, limit: int) -> list[tuple[int, str]]:
        """(id, serial) of open commands whose time is over, the oldest first."""
        table = self._commands
        statement = select(table.c.id, table.c.serial).where(
            text(UNENDED), table.c.state.in_(OPEN), table.c.expires_at_ms <= now_ms
        )
        rows = connection.execute(statement.order_by(table.c.expires_at_ms).limit(limit)).all()
        return [(int(row.id), str(row.serial)) for row in rows]

    def end(self, connection: Connection, ids: Collection[int], state: str, now_ms: int) -> list[int]:
        """Open commands end in `state`; those that did."""
        if not ids:
            return []
        table = self._commands
        statement = update(table).where(table.c.id.in_(ids), table.c.state.in_(OPEN))
        ended = statement.values(state=state, ended_at_ms=now_ms).returning(table.c.id)
        return sorted(int(row.id) for row in connection.execute(ended).all())

    def foreign(self, connection: Connection, serial: str, market: str) -> list[int]:
        """Open commands of a device whose client may not act for `market`."""
        table = self._commands
        statement = select(table.c.id, table.c.markets).where(
            table.c.serial == serial, table.c.state.in_(OPEN), table.c.markets != ""
        )
        rows = connection.execute(statement).all()
        return [int(row.id) for row in rows if market not in str(row.markets).split(",")]

    def replied(self, connection: Connection, command_id: int, response: str, at_ms: int, way: str) -> None:
        """An open command was answered, as somebody else than the device says."""
        table = self._commands
        statement = update(table).where(table.c.id == command_id, table.c.state.in_(OPEN))
        connection.execute(
            statement.values(
                state=REPLIED, replied_at_ms=at_ms, device_response=response, sent_by=way, sent_at_ms=at_ms
            )
        )

    def reopen(self, connection: Connection, command_id: int, expires_at_ms: int) -> None:
        """A command begins again."""
        statement = update(self._commands).where(self._commands.c.id == command_id)
        connection.execute(
            statement.values(state=CREATED, expires_at_ms=expires_at_ms, ended_at_ms=None, **UNSENT)
        )

    def _seen_by(self, viewer: Viewer) -> Select[*tuple[object, ...]]:
        table = self._commands
        statement = select(*(table.c[name] for name in CommandRow.__dataclass_fields__))
        if not viewer.markets:
            return statement
        market = self._devices.c.market
        seen = or_(market.in_(viewer.markets), and_(market == "", table.c.client == viewer.client))
        return statement.where(exists().where(self._devices.c.serial == table.c.serial, seen))

    # Records

    def history(
        self, connection: Connection, serial: str, types: Collection[int], before: int | None, limit: int
    ) -> list[RecordRow]:
        """Records of these types, newest first, after the one that is numbered `before`.

        Numbers alone don't say which is newer: lines are numbered apart, and who lost its store numbers anew.
        """
        table = self._records
        columns = (table.c[name] for name in RecordRow.__dataclass_fields__)
        statement = select(*columns).where(table.c.serial == serial, table.c.type.in_(types))
        if before is not None:
            told = select(table.c.received_at_ms).where(table.c.serial == serial, table.c.record == before)
            at_ms = told.scalar_subquery()
            is_older = and_(table.c.received_at_ms == at_ms, table.c.record < before)
            statement = statement.where(or_(table.c.received_at_ms < at_ms, is_older))
        newest_first = table.c.received_at_ms.desc(), table.c.record.desc()
        rows = connection.execute(statement.order_by(*newest_first).limit(limit)).all()
        return [RecordRow(*row) for row in rows]

    def serials_after(self, connection: Connection, serial: str, limit: int) -> list[str]:
        """The next devices in the order of their serials."""
        column = self._devices.c.serial
        statement = select(column).where(column > serial).order_by(column).limit(limit)
        return [str(row.serial) for row in connection.execute(statement).all()]

    def purge(
        self, connection: Connection, serial: str, types: Collection[int], before_ms: int, limit: int
    ) -> list[int]:
        """Delete up to `limit` old records of these types; their numbers. What a gap also tells stays:

        it is counted as evicted and not stored.
        """
        table, gaps = self._records, self._gaps
        in_gap = exists().where(
            gaps.c.serial == table.c.serial, gaps.c.first <= table.c.record, gaps.c.last >= table.c.record
        )
        newest: ColumnElement[int] = (
            select(self._devices.c.status_record).where(self._devices.c.serial == serial).scalar_subquery()
        )
        old = (
            select(table.c.record)
            .where(
                table.c.serial == serial,
                table.c.type.in_(types),
                table.c.received_at_ms < before_ms,
                table.c.record != newest,
                ~in_gap,
            )
            .order_by(table.c.record)
            .limit(limit)
        )
        statement = delete(table).where(and_(table.c.serial == serial, table.c.record.in_(old)))
        return sorted(int(row.record) for row in connection.execute(statement.returning(table.c.record)))
