"""Idempotency keys are counted by client; what a provider really took is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Payments that are there were ordered by mese, the only caller so far."""
    op.add_column("payments", sa.Column("client", sa.Text, nullable=False, server_default="mese"))
    op.add_column("payments", sa.Column("paid_subunit", sa.BigInteger))
    op.add_column("payments", sa.Column("paid_currency", sa.Text))
    op.drop_index("payments_idempotency_key", "payments")
    op.create_index("payments_idempotency_key", "payments", ["client", "idempotency_key"], unique=True)
