"""Whether a device is stolen or lost, and an audit row for every attempt to get a token."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column and the table of store.py."""
    op.add_column("devices", sa.Column("state", sa.Text, nullable=False, server_default="active"))
    op.create_table(
        "attempts",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("sequence_number", sa.BigInteger),
        sa.Column("outcome", sa.Text, nullable=False),
    )
    op.create_index("attempts_device", "attempts", ["device", "id"])
