"""Whose commands are."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table of store.py."""
    op.create_table(
        "commands",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("client", sa.Text, nullable=False),
    )
