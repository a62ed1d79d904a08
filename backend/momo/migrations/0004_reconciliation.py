"""Runs of reconciliation with their reports, and the differences that they found."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Two tables; see reconciliation_store.py."""
    op.create_table(
        "reconciliation_runs",
        _id(),
        sa.Column("provider_key", sa.Text, nullable=False),
        sa.Column("slot", sa.Text, nullable=False),
        sa.Column("first_ms", sa.BigInteger, nullable=False),
        sa.Column("last_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("report", sa.Text),
    )
    op.create_index("reconciliation_runs_slot", "reconciliation_runs", ["provider_key", "slot"], unique=True)
    op.create_table(
        "reconciliation_differences",
        _id(),
        sa.Column("provider_key", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("found_at_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("closed_by", sa.Text),
        sa.Column("closed_reason", sa.Text),
        sa.Column("difference", sa.Text, nullable=False),
        sa.Column("line", sa.Text),
    )
    op.create_index(
        "reconciliation_differences_subject",
        "reconciliation_differences",
        ["provider_key", "kind", "subject"],
        unique=True,
    )
    op.create_index(
        "reconciliation_differences_state", "reconciliation_differences", ["provider_key", "state"]
    )


def _id() -> sa.Column[int]:
    return sa.Column(
        "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
    )
