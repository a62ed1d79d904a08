"""All SQL of mega: messages, raw delivery reports, and the outbox and keys of the kit."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    RowMapping,
    Table,
    Text,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from backend.kit.keys import ApiKeys
from backend.kit.outbox import DEAD, Outbox
from backend.mega.states import Status

Key = tuple[str, str]  # client and reference


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A short message as it is stored."""

    id: str
    reference: str
    to_msisdn: str
    text: str
    market: str
    sender_id: str | None
    segments: int
    provider: str
    status: Status
    created_at_ms: int
    client: str
    provider_message_id: str | None = None
    failure_reason: str | None = None
    sent_at_ms: int | None = None
    done_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery report; `status` in our words, `at_ms` when the provider says it was, or when it came."""

    provider: str
    provider_message_id: str
    status: str
    failure_reason: str | None
    at_ms: int


def key_of(row: MessageRow) -> Key:
    """What makes a message the same one as before."""
    return row.client, row.reference


class Store:
    """Tables and statements. `pepper` keys the hashes of the api keys."""

    def __init__(self, pepper: bytes):
        self.metadata = MetaData()
        self.outbox = Outbox(self.metadata)
        self.keys = ApiKeys(self.metadata, pepper)
        self.messages = Table(
            "messages",
            self.metadata,
            Column("id", Text, primary_key=True),
            Column("reference", Text, nullable=False),
            Column("to_msisdn", Text, nullable=False),
            Column("text", Text, nullable=False),
            Column("market", Text, nullable=False),
            Column("sender_id", Text),
            Column("segments", Integer, nullable=False),
            Column("provider", Text, nullable=False),
            Column("status", Text, nullable=False),
            Column("created_at_ms", BigInteger, nullable=False),
            Column("provider_message_id", Text),
            Column("failure_reason", Text),
            Column("sent_at_ms", BigInteger),
            Column("done_at_ms", BigInteger),
            Column("client", Text, nullable=False, server_default="solarium"),
            Index("messages_reference", "client", "reference", unique=True),
            Index("messages_provider_message_id", "provider", "provider_message_id"),
            Index("messages_to", "to_msisdn", "sent_at_ms"),
        )
        self.reports = Table(
            "delivery_reports",
            self.metadata,
            Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
            Column("provider", Text, nullable=False),
            Column("provider_message_id", Text, nullable=False),
            Column("status", Text, nullable=False),
            Column("failure_reason", Text),
            Column("at_ms", BigInteger, nullable=False),
            Index("delivery_reports_message", "provider", "provider_message_id", "status", unique=True),
        )

    def add(self, connection: Connection, rows: Sequence[MessageRow]) -> None:
        """Insert messages; one whose reference is there already is left as it is."""
        insert = pg_insert if connection.dialect.name == "postgresql" else sqlite_insert
        statement = insert(self.messages).on_conflict_do_nothing()
        connection.execute(statement, [asdict(row) for row in sorted(rows, key=key_of)])

    def by_keys(self, connection: Connection, keys: Sequence[Key]) -> dict[Key, MessageRow]:
        """Messages by their client and reference."""
        columns = tuple_(self.messages.c.client, self.messages.c.reference)
        statement = select(self.messages).where(columns.in_(keys))
        return {key_of(row): row for row in map(_message, connection.execute(statement).mappings())}

    def by_id(self, connection: Connection, message_id: str) -> MessageRow | None:
        """One message."""
        statement = select(self.messages).where(self.messages.c.id == message_id)
        row = connection.execute(statement).mappings().first()
        return None if row is None else _message(row)

    def by_provider_id(
        self, connection: Connection, provider: str, provider_message_id: str
    ) -> MessageRow | None:
        """The message that a delivery report is about, locked until the transaction ends."""
        table = self.messages
        statement = (
            select(table)
            .where(table.c.provider == provider, table.c.provider_message_id == provider_message_id)
            .with_for_update()
        )
        row = connection.execute(statement).mappings().first()
        return None if row is None else _message(row)

    def set_status(
        self, connection: Connection, message_id: str, status: Status, values: dict[str, str | int | None]
    ) -> None:
        """Write a message's status and what came with it."""
        statement = update(self.messages).where(self.messages.c.id == message_id)
        connection.execute(statement.values(status=status, **values))

    def add_report(self, connection: Connection, report: Report) -> None:
        """Keep a delivery report; of one that comes again, the first."""
        insert = pg_insert if connection.dialect.name == "postgresql" else sqlite_insert
        connection.execute(insert(self.reports).on_conflict_do_nothing(), [asdict(report)])

    def reports_of(self, connection: Connection, provider: str, provider_message_id: str) -> list[Report]:
        """Reports about a message, oldest first."""
        table = self.reports
        columns = (*(column for column in table.c if column.name != "id"),)
        statement = (
            select(*columns)
            .where(table.c.provider == provider, table.c.provider_message_id == provider_message_id)
            .order_by(table.c.id)
        )
        return [Report(**row) for row in connection.execute(statement).mappings()]

    def received(self, connection: Connection, msisdn: str, limit: int) -> list[MessageRow]:
        """The newest messages that went out to a number, newest last."""
        table = self.messages
        statement = (
            select(table)
            .where(table.c.to_msisdn == msisdn, table.c.status.in_((Status.SENT, Status.DELIVERED)))
            .order_by(table.c.sent_at_ms.desc(), table.c.created_at_ms.desc())
            .limit(limit)
        )
        return [_message(row) for row in connection.execute(statement).mappings()][::-1]

    def count_by_status(self, connection: Connection) -> dict[str, int]:
        """How many messages there are in each status."""
        statement = select(self.messages.c.status, func.count()).group_by(self.messages.c.status)
        return {str(status): int(count) for status, count in connection.execute(statement)}

    def dead_letters(self, connection: Connection) -> int:
        """How many outbox rows were given up."""
        table = self.outbox.table
        return connection.execute(select(func.count()).where(table.c.state == DEAD)).scalar_one()


def _message(row: RowMapping) -> MessageRow:
    values: dict[str, Any] = {**row, "status": Status(row["status"])}
    return MessageRow(**values)
