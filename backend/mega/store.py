"""All SQL of mega: messages, raw delivery reports, what customers send. tables.py has the tables.

A message's text is sealed under its id: a token that was not typed in yet stands in it.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, MetaData, RowMapping, func, select, tuple_, update

from backend.kit.keys import ApiKeys
from backend.kit.outbox import DEAD, Outbox
from backend.kit.rows import insert_new
from backend.kit.vault import Vault
from backend.mega.states import Status
from backend.mega.tables import InboundRow, MessageRow, Report, Tables

Key = tuple[str, str]  # client and reference
Values = dict[str, str | int | None]


def key_of(row: MessageRow) -> Key:
    """What makes a message the same one as before."""
    return row.client, row.reference


class Store:
    """Statements. `vault` seals the texts of messages; its pepper keys the hashes of the api keys."""

    def __init__(self, vault: Vault):
        self._vault = vault
        self.metadata = MetaData()
        self.outbox = Outbox(self.metadata)
        self.keys = ApiKeys(self.metadata, vault.pepper)
        self.tables = Tables(self.metadata)

    # Messages

    def add(self, connection: Connection, rows: Sequence[MessageRow]) -> None:
        """Insert messages; one whose reference is there already is left as it is."""
        sealed = (replace(row, text=self._vault.seal_text(row.text, row.id)) for row in rows)
        values = [asdict(row) for row in sorted(sealed, key=key_of)]
        connection.execute(insert_new(connection, self.tables.messages), values)

    def by_keys(self, connection: Connection, keys: Sequence[Key]) -> dict[Key, MessageRow]:
        """Messages by their client and reference."""
        table = self.tables.messages
        statement = select(table).where(tuple_(table.c.client, table.c.reference).in_(keys))
        return {key_of(row): row for row in map(self._message, connection.execute(statement).mappings())}

    def by_id(self, connection: Connection, message_id: str, *, lock: bool = False) -> MessageRow | None:
        """One message; locked until the transaction ends, if asked."""
        statement = select(self.tables.messages).where(self.tables.messages.c.id == message_id)
        row = connection.execute(statement.with_for_update() if lock else statement).mappings().first()
        return None if row is None else self._message(row)

    def by_provider_id(
        self, connection: Connection, provider: str, provider_message_id: str, *, lock: bool = False
    ) -> MessageRow | None:
        """The message that a delivery report is about; locked until the transaction ends, if asked."""
        table = self.tables.messages
        statement = select(table).where(
            table.c.provider == provider, table.c.provider_message_id == provider_message_id
        )
        row = connection.execute(statement.with_for_update() if lock else statement).mappings().first()
        return None if row is None else self._message(row)

    def change(self, connection: Connection, message_id: str, values: Values) -> None:
        """Write columns of a message."""
        table = self.tables.messages
        connection.execute(update(table).where(table.c.id == message_id).values(**values))

    # Delivery reports

    def add_report(self, connection: Connection, report: Report) -> None:
        """Keep a delivery report; of one that comes again, the first."""
        connection.execute(insert_new(connection, self.tables.reports), [asdict(report)])

    def reports_of(self, connection: Connection, provider: str, provider_message_id: str) -> list[Report]:
        """Reports about a message, oldest first."""
        table = self.tables.reports
        columns = (*(column for column in table.c if column.name != "id"),)
        statement = (
            select(*columns)
            .where(table.c.provider == provider, table.c.provider_message_id == provider_message_id)
            .order_by(table.c.id)
        )
        return [Report(**row) for row in connection.execute(statement).mappings()]

    # What customers send

    def add_inbound(self, connection: Connection, row: InboundRow) -> bool:
        """Keep a customer's message; False: its (provider, provider_message_id) is there already."""
        table = self.tables.inbound
        statement = insert_new(connection, table).values(**asdict(row)).returning(table.c.id)
        return connection.execute(statement).first() is not None

    def inbound(self, connection: Connection, inbound_id: str) -> InboundRow | None:
        """A customer's message."""
        table = self.tables.inbound
        row = connection.execute(select(table).where(table.c.id == inbound_id)).mappings().first()
        return None if row is None else InboundRow(**row)

    def inbound_of(self, connection: Connection, provider: str, provider_message_id: str) -> InboundRow:
        """A customer's message that is there, by the provider's id."""
        table = self.tables.inbound
        statement = select(table).where(
            table.c.provider == provider, table.c.provider_message_id == provider_message_id
        )
        return InboundRow(**connection.execute(statement).mappings().one())

    def inbound_since(self, connection: Connection, sender: str, since_ms: int) -> int:
        """How many messages a number has sent since a time."""
        table = self.tables.inbound
        statement = (
            select(func.count())
            .select_from(table)
            .where(table.c.sender == sender, table.c.created_at_ms >= since_ms)
        )
        return connection.execute(statement).scalar_one()

    def opt_out(self, connection: Connection, msisdn: str, sender_id: str, now_ms: int) -> None:
        """This customer wants nothing more from this sender id."""
        row = {"msisdn": msisdn, "sender_id": sender_id, "at_ms": now_ms}
        connection.execute(insert_new(connection, self.tables.opt_outs), [row])

    def opted_out(self, connection: Connection, msisdn: str, sender_id: str) -> bool:
        """Whether a customer wants nothing from a sender id."""
        table = self.tables.opt_outs
        statement = select(table.c.at_ms).where(table.c.msisdn == msisdn, table.c.sender_id == sender_id)
        return connection.execute(statement).first() is not None

    # Reports

    def received(self, connection: Connection, msisdn: str, limit: int) -> list[MessageRow]:
        """The newest messages that went out to a number, newest last."""
        table = self.tables.messages
        statement = (
            select(table)
            .where(table.c.to_msisdn == msisdn, table.c.status.in_((Status.SENT, Status.DELIVERED)))
            .order_by(table.c.sent_at_ms.desc(), table.c.created_at_ms.desc())
            .limit(limit)
        )
        return [self._message(row) for row in connection.execute(statement).mappings()][::-1]

    def count_by_status(self, connection: Connection) -> dict[str, int]:
        """How many messages there are in each status."""
        table = self.tables.messages
        statement = select(table.c.status, func.count()).group_by(table.c.status)
        return {str(status): int(count) for status, count in connection.execute(statement)}

    def dead_letters(self, connection: Connection) -> int:
        """How many outbox rows were given up."""
        table = self.outbox.table
        return connection.execute(select(func.count()).where(table.c.state == DEAD)).scalar_one()

    def _message(self, row: RowMapping) -> MessageRow:
        text = self._vault.open_text(row["text"], row["id"])
        values: dict[str, Any] = {**row, "text": text, "status": Status(row["status"])}
        return MessageRow(**values)
