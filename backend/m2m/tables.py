"""The tables of `m2m`; store.py has their statements, migrations/ their history."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from backend.kit.rows import id_column

UNENDED = "replied_at_ms IS NULL AND ended_at_ms IS NULL"  # of commands: all that may still expire


class Tables:
    """The tables in one MetaData, besides the kit's outbox and api_keys."""

    def __init__(self, metadata: MetaData):
        self.devices = _devices(metadata)
        self.commands = _commands(metadata)
        self.records = Table(
            "records",
            metadata,
            Column("serial", Text, primary_key=True),
            Column("record", BigInteger, primary_key=True, autoincrement=False),
            Column("type", Integer, nullable=False),
            Column("at_ms", BigInteger, nullable=False),
            Column("received_at_ms", BigInteger, nullable=False),
            Column("body", LargeBinary, nullable=False),
        )
        self.gaps = Table(
            "gaps",
            metadata,
            Column("serial", Text, primary_key=True),
            Column("record", BigInteger, primary_key=True, autoincrement=False),
            Column("first", BigInteger, nullable=False),
            Column("last", BigInteger, nullable=False),
            Column("reason", Integer, nullable=False),
        )
        self.firmware_files = Table(
            "firmware_files",
            metadata,
            Column("file", Text, primary_key=True),
            Column("size", Integer, nullable=False),
            Column("sha256", Text, nullable=False),
            Column("md5", Text, nullable=False),
            Column("content", LargeBinary, nullable=False),
            Column("client", Text, nullable=False),
            Column("created_at_ms", BigInteger, nullable=False),
        )


def _devices(metadata: MetaData) -> Table:
    return Table(
        "devices",
        metadata,
        Column("serial", Text, primary_key=True),
        Column("market", Text, nullable=False),
        Column("link_key", LargeBinary),
        Column("password_fingerprint", Text),
        Column("up_epoch", Integer, nullable=False),
        Column("up_highest", BigInteger, nullable=False),
        Column("up_window", BigInteger, nullable=False),
        Column("down_epoch", Integer, nullable=False),
        Column("down_sequence", BigInteger, nullable=False),
        Column("offered_epoch", Integer, nullable=False),
        Column("online", Boolean, nullable=False),
        Column("boot_id", BigInteger),
        Column("last_seen_ms", BigInteger),
        Column("status_record", BigInteger, nullable=False),
        Column("token_count", BigInteger, nullable=False),
        Column("msisdn", Text),
        Column("over_http", Boolean, nullable=False),
        Column("state", Integer),
        Column("usage_day", Integer),
        Column("purged_to", BigInteger, nullable=False),
        Column("purged", BigInteger, nullable=False),
    )


def _commands(metadata: MetaData) -> Table:
    return Table(
        "commands",
        metadata,
        id_column(),
        Column("client", Text, nullable=False),
        Column("reference", Text),
        Column("serial", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("argument", Text, nullable=False),
        Column("text", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("callback_url", Text),
        Column("created_at_ms", BigInteger, nullable=False),
        Column("sent_at_ms", BigInteger),
        Column("replied_at_ms", BigInteger),
        Column("device_response", Text),
        Column("callback_delivered_at_ms", BigInteger),
        Column("expires_at_ms", BigInteger, nullable=False),
        Column("sent_by", Text),
        Column("ended_at_ms", BigInteger),
        Column("markets", Text, nullable=False),
        UniqueConstraint("client", "reference", name="commands_reference"),
        Index("commands_open", "serial", "state"),
        # Not by state: PostgreSQL would look for one device's open commands among those of all.
        Index("commands_expiry", "expires_at_ms", sqlite_where=text(UNENDED), postgresql_where=text(UNENDED)),
    )
