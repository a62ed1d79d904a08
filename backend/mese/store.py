"""All SQL of mese: sessions, the answer that each hop was given, their ends, and who chose which language."""

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

from backend.kit.outbox import Outbox
from backend.kit.rows import insert_into, insert_new
from backend.mese.pages import Page


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is stored. `text`: the inputs before `page`; `payment_key` fits one payment."""

    id: str
    msisdn: str
    market: str
    language: str
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
            Column("language", Text, nullable=False),
            Index("sessions_created_at_ms", "created_at_ms"),
        )
        self.hops = Table(
            "hops",
            self.metadata,
            Column("session_id", Text, primary_key=True),
            Column("text", Text, primary_key=True),
            Column("answer", Text, nullable=False),
        )
        self.endings = Table(
            "endings",
            self.metadata,
            Column("session_id", Text, primary_key=True),
            Column("status", Text, nullable=False),
            Column("at_ms", BigInteger, nullable=False),
            Index("endings_at_ms", "at_ms"),
        )
        self.languages = Table(
            "languages",
            self.metadata,
            Column("msisdn", Text, primary_key=True),
            Column("language", Text, nullable=False),
        )
        self.outbox = Outbox(self.metadata)

    def session(self, connection: Connection, session_id: str, *, lock: bool = False) -> Session | None:
        """A session by the aggregator's id; `lock` keeps others from writing it."""
        statement = select(self.sessions).where(self.sessions.c.id == session_id)
        if lock:
            statement = statement.with_for_update()
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

    def ended(self, connection: Connection, session_id: str) -> bool:
        """Whether the aggregator has said that the session is over."""
        statement = select(self.endings.c.status).where(self.endings.c.session_id == session_id)
        return connection.execute(statement).first() is not None

    def end(self, connection: Connection, session_id: str, status: str, now_ms: int) -> bool:
        """A session is over; False if it was before."""
        row = {"session_id": session_id, "status": status, "at_ms": now_ms}
        new = insert_new(connection, self.endings).values(**row)
        return connection.execute(new.returning(self.endings.c.session_id)).first() is not None

    def language(self, connection: Connection, msisdn: str) -> str | None:
        """What a number has chosen."""
        statement = select(self.languages.c.language).where(self.languages.c.msisdn == msisdn)
        return connection.execute(statement).scalar()

    def choose(self, connection: Connection, msisdn: str, language: str) -> None:
        """A number chooses; the last choice stays."""
        new = insert_into(connection.dialect.name, self.languages).values(msisdn=msisdn, language=language)
        connection.execute(new.on_conflict_do_update(index_elements=["msisdn"], set_={"language": language}))

    def save(self, connection: Connection, session: Session, answer: str | None) -> bool:
        """Write a session's next revision and what its hop is answered, if there is an answer yet.

        False, and nothing written: somebody else wrote this revision.
        """
        if session.revision == 0:
            new = insert_new(connection, self.sessions).values(**{**asdict(session), "revision": 1})
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
            connection.execute(insert_new(connection, self.hops).values(**row))
        return True

    def purge(self, connection: Connection, before_ms: int, limit: int) -> int:
        """Forget up to `limit` sessions that began, and ends that came, before a time; how many."""
        ids = _oldest(connection, self.sessions.c.id, self.sessions.c.created_at_ms, before_ms, limit)
        if ids:
            connection.execute(delete(self.hops).where(self.hops.c.session_id.in_(ids)))
            connection.execute(delete(self.sessions).where(self.sessions.c.id.in_(ids)))
        ended = _oldest(connection, self.endings.c.session_id, self.endings.c.at_ms, before_ms, limit)
        if ended:
            connection.execute(delete(self.endings).where(self.endings.c.session_id.in_(ended)))
        return len(ids) + len(ended)


def _oldest(
    connection: Connection, key: Column[str], at_ms: Column[int], before_ms: int, limit: int
) -> list[str]:
    """The keys of the oldest rows, in nobody else's hands."""
    statement = select(key).where(at_ms < before_ms).order_by(at_ms).limit(limit)
    return list(connection.execute(statement.with_for_update(skip_locked=True)).scalars())
