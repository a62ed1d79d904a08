"""Messages, delivery reports, outbox and api keys."""

import sqlalchemy as sa
from alembic import op

from backend.kit.migrations import create_api_keys, create_outbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "messages",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("to_msisdn", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("market", sa.Text, nullable=False),
        sa.Column("sender_id", sa.Text),
        sa.Column("callback_url", sa.Text),
        sa.Column("segments", sa.Integer, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("provider_message_id", sa.Text),
        sa.Column("failure_reason", sa.Text),
        sa.Column("sent_at_ms", sa.BigInteger),
        sa.Column("done_at_ms", sa.BigInteger),
    )
    op.create_index("messages_reference", "messages", ["reference"], unique=True)
    op.create_index("messages_provider_message_id", "messages", ["provider", "provider_message_id"])
    op.create_index("messages_to", "messages", ["to_msisdn", "sent_at_ms"])
    op.create_table(
        "delivery_reports",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("provider_message_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("failure_reason", sa.Text),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("delivery_reports_message", "delivery_reports", ["provider", "provider_message_id"])
    create_outbox()
    create_api_keys()
