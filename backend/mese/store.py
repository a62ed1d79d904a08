"""All SQL of mese: sessions, and the answer that each hop was given."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from backend.kit.outbox import Outbox
from backend.mese.pages import Page


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is stored. `text`: the inputs before `page`; `payment_key` fits one payment."""

    id: str
    msisdn: str
    market: str
    payment_key: str
    created_at_ms: int
    page: Page = Page.MENU
    text: str = ""
    revision: int = 0
    reference: str = ""
    business_account: str = ""
    currency: str = ""
    provider_key: str = ""
    customer_name: str | None = None
    amount_subunit: int = 0
    payment_id: str | None = None


class Store:
    """Tables and statements."""

    def __init__(self) -> None:
        self.metadata = MetaData()
        self.sessions = Table(
            "sessions",
            self.metadata,
            Column("id", Text, primary_key=True),
            Column("msisdn", Text, nullable=False),
            Column("market", Text, nullable=False),
            Column("payment_key", Text, nullable=False),
            Column("created_at_ms", BigInteger, nullable=False),
            Column("page", Text, nullable=False),
            Column("text", Text, nullable=False),
            Column("revision", Integer, nullable=False),
            Column("reference", Text, nullable=False),
            Column("business_account", Text, nullable=False),
            Column("currency", Text, nullable=False),
            Column("provider_key", Text, nullable=False),
            Column("customer_name", Text),
            Column("amount_subunit", BigInteger, nullable=False),
            Column("payment_id", Text),
            Index("sessions_created_at_ms", "created_at_ms"),
        )
        self.hops = Table(
            "hops",
            self.metadata,
            Column("session_id", Text, primary_key=True),
            Column("text", Text, primary_key=True),
            Column("answer", Text, nullable=False),
        )
        self.outbox = Outbox(self.metadata)

    def session(self, connection: Connection, session_id: str) -> Session | None:
        """A session by the aggregator's id."""
        statement = select(self.sessions).where(self.sessions.c.id == session_id)
        row = connection.execute(statement).mappings().first()
        if row is None:
            return None
        values: dict[str, Any] = {**row, "page": Page(row["page"])}
        return Session(**values)

    def answer(self, connection: Connection, session_id: str, text: str) -> str | None:
        """What a hop was answered."""
        table = self.hops
        statement = select(table.c.answer).where(table.c.session_id == session_id, table.c.text == text)
        return connection.execute(statement).scalar()

    def save(self, connection: Connection, session: Session, answer: str | None) -> bool:
        """Write a session's next revision and what its hop is answered, if there is an answer yet.

        False, and nothing written: somebody else wrote this revision.
        """
        insert = pg_insert if connection.dialect.name == "postgresql" else sqlite_insert
        if session.revision == 0:
            new = insert(self.sessions).values(**{**asdict(session), "revision": 1}).on_conflict_do_nothing()
            written = connection.execute(new.returning(self.sessions.c.id)).first()
        else:
            statement = (
                update(self.sessions)
                .where(self.sessions.c.id == session.id, self.sessions.c.revision == session.revision)
                .values(**{**asdict(session), "revision": session.revision + 1})
            )
            written = connection.execute(statement.returning(self.sessions.c.id)).first()
        if written is None:
            return False
        if answer is not None:
            row = {"session_id": session.id, "text": session.text, "answer": answer}
            connection.execute(insert(self.hops).values(**row).on_conflict_do_nothing())
        return True

    def purge(self, connection: Connection, before_ms: int, limit: int) -> int:
        """Forget up to `limit` sessions that began before a time, and their hops; how many there were."""
        table = self.sessions
        oldest = select(table.c.id).where(table.c.created_at_ms < before_ms).order_by(table.c.created_at_ms)
        ids = list(connection.execute(oldest.limit(limit).with_for_update(skip_locked=True)).scalars())
        if ids:
            connection.execute(delete(self.hops).where(self.hops.c.session_id.in_(ids)))
            connection.execute(delete(table).where(table.c.id.in_(ids)))
        return len(ids)
