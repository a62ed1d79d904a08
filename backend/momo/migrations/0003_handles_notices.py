"""The provider's own id of a request, look-ups by reference and transaction, calls about paybill payments."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Payments that are there were asked for by our reference alone."""
    op.add_column("payments", sa.Column("handle", sa.Text))
    op.create_index("payments_handle", "payments", ["handle"])
    op.create_index("payments_paid", "payments", ["provider_key", "paid_at_ms"])
    op.create_index("payments_provider_ref", "payments", ["provider_ref"])
    op.create_index("payments_provider_tx", "payments", ["provider_key", "provider_tx"])
    op.create_table(
        "notices",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("hook", sa.Text, nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
