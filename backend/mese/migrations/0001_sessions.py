"""Sessions and their hops."""

import sqlalchemy as sa
from alembic import op

from backend.kit.migrations import create_outbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("msisdn", sa.Text, nullable=False),
        sa.Column("market", sa.Text, nullable=False),
        sa.Column("payment_key", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("page", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("business_account", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("provider_key", sa.Text, nullable=False),
        sa.Column("customer_name", sa.Text),
        sa.Column("amount_subunit", sa.BigInteger, nullable=False),
        sa.Column("payment_id", sa.Text),
    )
    op.create_table(
        "hops",
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("text", sa.Text, primary_key=True),
        sa.Column("answer", sa.Text, nullable=False),
    )
    create_outbox()
