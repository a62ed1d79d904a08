"""All SQL of `moto`: registered devices, issued tokens, attempts, api keys; for service.py's transactions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    exists,
    func,
    insert,
    select,
    tuple_,
    update,
)

from backend.kit.keys import ApiKeys
from backend.kit.rows import Given, RowsStatement, id_column, insert_new
from backend.moto.ownership import ACTIVE, Attempt

ATTEMPT = tuple(Attempt.__dataclass_fields__)
_ATTEMPT = attrgetter(*ATTEMPT)


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A registered device; `secret` is sealed."""

    serial: str
    market: str
    family: str
    secret: bytes
    starting_code: int | None
    last_sequence: int
    state: str = ACTIVE


@dataclass(frozen=True, slots=True)
class TokenRow:
    """What was issued. The digits are not kept: secret and row give them again."""

    client: str
    reference: str | None
    serial: str
    family: str
    command: str
    payload: int
    sequence_number: int
    encoding: str | None
    created_at_ms: int


class Store:
    """Tables and statements."""

    def __init__(self, pepper: bytes):
        self.metadata = MetaData()
        self.keys = ApiKeys(self.metadata, pepper)
        self.devices = Table(
            "devices",
            self.metadata,
            Column("serial", Text, primary_key=True),
            Column("market", Text, nullable=False),
            Column("family", Text, nullable=False),
            Column("secret", LargeBinary, nullable=False),
            Column("starting_code", BigInteger),
            Column("last_sequence", BigInteger, nullable=False),
            Column("created_at_ms", BigInteger, nullable=False),
            Column("state", Text, nullable=False),
        )
        self.tokens = Table(
            "tokens",
            self.metadata,
            id_column(),
            Column("client", Text, nullable=False),
            Column("reference", Text),
            Column("serial", Text, nullable=False),
            Column("family", Text, nullable=False),
            Column("command", Text, nullable=False),
            Column("payload", BigInteger, nullable=False),
            Column("sequence_number", BigInteger, nullable=False),
            Column("encoding", Text),
            Column("created_at_ms", BigInteger, nullable=False),
            UniqueConstraint("client", "reference", name="tokens_reference"),
            UniqueConstraint("serial", "sequence_number", name="tokens_sequence"),
        )
        self.attempts = Table(
            "attempts",
            self.metadata,
            id_column(),
            Column("at_ms", BigInteger, nullable=False),
            Column("client", Text, nullable=False),
            Column("route", Text, nullable=False),
            Column("device", Text, nullable=False),
            Column("command", Text, nullable=False),
            Column("sequence_number", BigInteger),
            Column("outcome", Text, nullable=False),
            Index("attempts_device", "device", "id"),
        )
        self._note = RowsStatement(lambda given: given.insert(self.attempts, ATTEMPT))
        self._owners = RowsStatement(lambda given: given.packed(_owners(self.devices, given)))

    def add_device(self, connection: Connection, device: DeviceRow, now_ms: int) -> DeviceRow:
        """The stored row of this serial: `device`, unless there was one already."""
        values = {
            "serial": device.serial,
            "market": device.market,
            "family": device.family,
            "secret": device.secret,
            "starting_code": device.starting_code,
            "last_sequence": device.last_sequence,
            "created_at_ms": now_ms,
            "state": device.state,
        }
        connection.execute(insert_new(connection, self.devices), [values])
        return self.lock_devices(connection, [device.serial])[device.serial]

    def lock_devices(self, connection: Connection, serials: Collection[str]) -> dict[str, DeviceRow]:
        """The devices that are registered of `serials`, locked in the order of their serials."""
        table = self.devices
        statement = (
            select(
                table.c.serial,
                table.c.market,
                table.c.family,
                table.c.secret,
                table.c.starting_code,
                table.c.last_sequence,
                table.c.state,
            )
            .where(table.c.serial.in_(serials))
            .order_by(table.c.serial)
            .with_for_update()
        )
        rows = connection.execute(statement).all()
        return {row.serial: DeviceRow(*row) for row in rows}

    def find(self, connection: Connection, serial: str) -> DeviceRow | None:
        """One device, to read."""
        table = self.devices
        columns = [table.c[name] for name in DeviceRow.__dataclass_fields__]
        row = connection.execute(select(*columns).where(table.c.serial == serial)).first()
        return None if row is None else DeviceRow(*row)

    def owners(self, connection: Connection, serials: Collection[str]) -> dict[str, tuple[str, str]]:
        """(market, state) of the devices that are registered of `serials`, to read."""
        rows = self._owners.read(connection, [(serial,) for serial in serials], tuple[str, str, str])
        return {serial: (market, state) for serial, market, state in rows}

    def set_state(self, connection: Connection, serial: str, state: str) -> None:
        """A device is active, stolen or lost."""
        statement = update(self.devices).where(self.devices.c.serial == serial)
        connection.execute(statement.values(state=state))

    def note(self, connection: Connection, attempts: Sequence[Attempt]) -> None:
        """Keep what was tried."""
        if attempts:
            self._note.run(connection, [_ATTEMPT(row) for row in attempts])

    def attempts_of(
        self,
        connection: Connection,
        *,
        markets: Collection[str],
        device: str | None,
        before: int | None,
        limit: int,
    ) -> list[tuple[int, Attempt]]:
        """(id, attempt), newest first, below the id `before`; with `markets`, on devices of these alone."""
        table, devices = self.attempts, self.devices
        columns = [table.c.id, *(table.c[name] for name in ATTEMPT)]
        statement = select(*columns)
        if device is not None:
            statement = statement.where(table.c.device == device)
        if markets:
            registered = exists().where(devices.c.serial == table.c.device, devices.c.market.in_(markets))
            statement = statement.where(registered)
        if before is not None:
            statement = statement.where(table.c.id < before)
        rows = connection.execute(statement.order_by(table.c.id.desc()).limit(limit)).all()
        found: list[tuple[int, Attempt]] = []
        for row in rows:
            key, *values = tuple(row)
            found.append((int(key), Attempt(*values)))
        return found

    def issued(
        self, connection: Connection, references: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], TokenRow]:
        """Tokens already issued under these (client, reference)."""
        if not references:
            return {}
        table = self.tokens
        statement = select(
            table.c.client,
            table.c.reference,
            table.c.serial,
            table.c.family,
            table.c.command,
            table.c.payload,
            table.c.sequence_number,
            table.c.encoding,
            table.c.created_at_ms,
        ).where(tuple_(table.c.client, table.c.reference).in_(references))
        rows = [TokenRow(*row) for row in connection.execute(statement).all()]
        return {(row.client, row.reference or ""): row for row in rows}

    def issue(
        self, connection: Connection, tokens: Sequence[TokenRow], last_sequences: dict[str, int]
    ) -> None:
        """Write new tokens and each device's last number."""
        if not tokens:
            return
        connection.execute(
            insert(self.tokens),
            [
                {
                    "client": token.client,
                    "reference": token.reference,
                    "serial": token.serial,
                    "family": token.family,
                    "command": token.command,
                    "payload": token.payload,
                    "sequence_number": token.sequence_number,
                    "encoding": token.encoding,
                    "created_at_ms": token.created_at_ms,
                }
                for token in tokens
            ],
        )
        connection.execute(
            update(self.devices)
            .where(self.devices.c.serial == bindparam("key"))
            .values(last_sequence=bindparam("last")),
            [{"key": serial, "last": last} for serial, last in sorted(last_sequences.items())],
        )

    def count_devices(self, connection: Connection) -> int:
        """How many are registered."""
        return connection.execute(select(func.count()).select_from(self.devices)).scalar_one()

    def count_tokens(self, connection: Connection) -> int:
        """How many were issued."""
        return connection.execute(select(func.count()).select_from(self.tokens)).scalar_one()

    def days_issued(self, connection: Connection, commands: Collection[str]) -> dict[str, int]:
        """Days by serial in tokens of `commands`."""
        table = self.tokens
        statement = (
            select(table.c.serial, func.sum(table.c.payload))
            .where(table.c.command.in_(commands))
            .group_by(table.c.serial)
        )
        return {serial: int(days) for serial, days in connection.execute(statement).all()}


def _owners(table: Table, given: Given) -> Select[*tuple[Any, ...]]:
    serials = select(given.column(0, table.c.serial)).select_from(given.table)
    return select(table.c.serial, table.c.market, table.c.state).where(table.c.serial.in_(serials))
