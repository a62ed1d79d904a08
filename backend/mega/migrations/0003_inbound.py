"""Messages have a priority, a callback and the provider's own status; customers write, and opt out."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """What was sent before has the normal priority and calls nobody back."""
    op.add_column("messages", sa.Column("priority", sa.Text, nullable=False, server_default="normal"))
    op.add_column("messages", sa.Column("callback_url", sa.Text))
    op.add_column("messages", sa.Column("provider_status", sa.Text))
    op.add_column("delivery_reports", sa.Column("provider_status", sa.Text))
    op.create_table(
        "inbound_messages",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("provider_message_id", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("market", sa.Text, nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    )
    columns = ["provider", "provider_message_id"]
    op.create_index("inbound_messages_key", "inbound_messages", columns, unique=True)
    op.create_index("inbound_messages_sender", "inbound_messages", ["sender", "created_at_ms"])
    op.create_table(
        "opt_outs",
        sa.Column("msisdn", sa.Text, primary_key=True),
        sa.Column("sender_id", sa.Text, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
