"""Billing events of devices; the markets of an external client."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One table, one column."""
    op.create_table(
        "device_events",
        sa.Column("event_id", sa.Text(), primary_key=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("occurred_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
    )
    op.create_index("device_events_device", "device_events", ["device", "occurred_at_ms"])
    op.add_column("clients", sa.Column("markets", sa.Text(), nullable=False, server_default="[]"))
