"""First schema: devices, commands, records, gaps, outbox, api keys."""

import sqlalchemy as sa
from alembic import op

from backend.kit.migrations import create_api_keys, create_outbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of store.py."""
    big_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    create_api_keys()
    create_outbox()
    op.create_table(
        "devices",
        sa.Column("serial", sa.Text, primary_key=True),
        sa.Column("market", sa.Text, nullable=False),
        sa.Column("link_key", sa.LargeBinary),
        sa.Column("password_fingerprint", sa.Text),
        sa.Column("up_epoch", sa.Integer, nullable=False),
        sa.Column("up_highest", sa.BigInteger, nullable=False),
        sa.Column("up_window", sa.BigInteger, nullable=False),
        sa.Column("down_epoch", sa.Integer, nullable=False),
        sa.Column("down_sequence", sa.BigInteger, nullable=False),
        sa.Column("online", sa.Boolean, nullable=False),
        sa.Column("boot_id", sa.BigInteger),
        sa.Column("last_seen_ms", sa.BigInteger),
        sa.Column("status_record", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "commands",
        sa.Column("id", big_id, primary_key=True, autoincrement=True),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("argument", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("callback_url", sa.Text),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("sent_at_ms", sa.BigInteger),
        sa.Column("replied_at_ms", sa.BigInteger),
        sa.Column("device_response", sa.Text),
        sa.Column("callback_delivered_at_ms", sa.BigInteger),
        sa.UniqueConstraint("client", "reference", name="commands_reference"),
    )
    op.create_index("commands_open", "commands", ["serial", "state"])
    op.create_table(
        "records",
        sa.Column("serial", sa.Text, primary_key=True),
        sa.Column("record", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("type", sa.Integer, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "gaps",
        sa.Column("serial", sa.Text, primary_key=True),
        sa.Column("record", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Integer, nullable=False),
    )
