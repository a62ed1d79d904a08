"""Payments, raw callbacks, outbox and api keys."""

import sqlalchemy as sa
from alembic import op

from backend.kit.migrations import create_api_keys, create_outbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "payments",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("amount_subunit", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("business_account", sa.Text, nullable=False),
        sa.Column("provider_key", sa.Text, nullable=False),
        sa.Column("msisdn", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("base_url", sa.Text, nullable=False),
        sa.Column("provider_ref", sa.Text, nullable=False),
        sa.Column("callback_secret", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("provider_tx", sa.Text),
        sa.Column("failure_reason", sa.Text),
        sa.Column("paid_at_ms", sa.BigInteger),
        sa.Column("confirmed_at_ms", sa.BigInteger),
    )
    op.create_index("payments_idempotency_key", "payments", ["idempotency_key"], unique=True)
    op.create_index("payments_callback_secret", "payments", ["callback_secret"], unique=True)
    op.create_index("payments_state", "payments", ["state", "created_at_ms"])
    op.create_table(
        "callbacks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("payment_id", sa.Text, nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("callbacks_payment_id", "callbacks", ["payment_id"])
    create_outbox()
    create_api_keys()
