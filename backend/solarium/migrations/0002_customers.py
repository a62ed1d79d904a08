"""Accounts are found by their owner's number, token orders by their account."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Two indexes."""
    op.create_index("accounts_msisdn", "accounts", ["msisdn", "market"])
    op.create_index("token_orders_account", "token_orders", ["account_id", "created_at_ms"])
