"""The AfricasTalking sandbox's table: what was sent to whom."""

from dataclasses import asdict, dataclass

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, MetaData, Table, Text, select

from backend.kit.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Sms:
    """A message that was taken. `number` with its `+`."""

    message_id: str
    number: str
    sender: str
    text: str


class AfricasTalkingStore:
    """Tables and statements."""

    def __init__(self) -> None:
        self.metadata = MetaData()
        self.outbox = Outbox(self.metadata)
        self.sms = Table(
            "sms",
            self.metadata,
            Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
            Column("message_id", Text, nullable=False, unique=True),
            Column("number", Text, nullable=False),
            Column("sender", Text, nullable=False),
            Column("text", Text, nullable=False),
            Index("sms_number", "number"),
        )

    def add(self, connection: Connection, sms: list[Sms]) -> None:
        """Keep messages."""
        connection.execute(self.sms.insert(), [asdict(one) for one in sms])

    def by_id(self, connection: Connection, message_id: str) -> Sms | None:
        """One message."""
        table = self.sms
        columns = (table.c.message_id, table.c.number, table.c.sender, table.c.text)
        row = connection.execute(select(*columns).where(table.c.message_id == message_id)).mappings().first()
        return None if row is None else Sms(**row)

    def texts(self, connection: Connection, number: str) -> list[str]:
        """What a number received, oldest first."""
        statement = select(self.sms.c.text).where(self.sms.c.number == number).order_by(self.sms.c.id)
        return [str(text) for text in connection.execute(statement).scalars()]
