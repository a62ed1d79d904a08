"""mega's tables; store.py has their statements, migrations/ their history."""

from dataclasses import dataclass, field

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text

from backend.kit.rows import id_column
from backend.mega.states import Status

NORMAL = "normal"  # priority


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A short message; `text` is sealed in its column."""

    id: str
    reference: str
    to_msisdn: str
    text: str = field(repr=False)
    market: str
    sender_id: str | None
    segments: int
    provider: str
    status: Status
    created_at_ms: int
    client: str
    priority: str = NORMAL
    callback_url: str | None = None
    provider_message_id: str | None = None
    provider_status: str | None = None
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
    provider_status: str | None = None


@dataclass(frozen=True, slots=True)
class InboundRow:
    """A message from a customer. `market` "": his number is of none that is served."""

    id: str
    provider: str
    provider_message_id: str
    sender: str
    receiver: str
    text: str
    market: str
    received_at_ms: int
    created_at_ms: int


class Tables:
    """The tables in one MetaData, besides the kit's outbox and api_keys."""

    def __init__(self, metadata: MetaData):
        self.messages = _messages(metadata)
        self.reports = Table(
            "delivery_reports",
            metadata,
            id_column(),
            Column("provider", Text, nullable=False),
            Column("provider_message_id", Text, nullable=False),
            Column("status", Text, nullable=False),
            Column("failure_reason", Text),
            Column("at_ms", BigInteger, nullable=False),
            Column("provider_status", Text),
            Index("delivery_reports_message", "provider", "provider_message_id", "status", unique=True),
        )
        self.inbound = Table(
            "inbound_messages",
            metadata,
            Column("id", Text, primary_key=True),
            Column("provider", Text, nullable=False),
            Column("provider_message_id", Text, nullable=False),
            Column("sender", Text, nullable=False),
            Column("receiver", Text, nullable=False),
            Column("text", Text, nullable=False),
            Column("market", Text, nullable=False),
            Column("received_at_ms", BigInteger, nullable=False),
            Column("created_at_ms", BigInteger, nullable=False),
            Index("inbound_messages_key", "provider", "provider_message_id", unique=True),
            Index("inbound_messages_sender", "sender", "created_at_ms"),
        )
        self.opt_outs = Table(
            "opt_outs",
            metadata,
            Column("msisdn", Text, primary_key=True),
            Column("sender_id", Text, primary_key=True),
            Column("at_ms", BigInteger, nullable=False),
        )


def _messages(metadata: MetaData) -> Table:
    return Table(
        "messages",
        metadata,
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
        Column("priority", Text, nullable=False, server_default=NORMAL),
        Column("callback_url", Text),
        Column("provider_status", Text),
        Index("messages_reference", "client", "reference", unique=True),
        Index("messages_provider_message_id", "provider", "provider_message_id"),
        Index("messages_to", "to_msisdn", "sent_at_ms"),
    )
