"""What operators work with: plans, devices and their pairings, corrections of the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables; devices of the accounts that are there are paired with them."""
    _plans_and_devices()
    _corrections()
    op.create_index(
        "ledger_entries_account",
        "ledger_entries",
        ["account_id"],
        sqlite_where=sa.text("account_id IS NOT NULL"),
        postgresql_where=sa.text("account_id IS NOT NULL"),
    )
    op.create_index(
        "payments_suspense",
        "payments",
        ["id"],
        sqlite_where=sa.text("outcome = 'suspense'"),
        postgresql_where=sa.text("outcome = 'suspense'"),
    )
    op.execute(
        "INSERT INTO devices (serial, market, token_family, state, account_id, created_at_ms) "
        "SELECT device, min(market), min(token_family), 'paired', min(id), min(created_at_ms) "
        "FROM accounts GROUP BY device"
    )
    op.execute(
        "INSERT INTO pairings (account_id, device, paired_at_ms) "
        "SELECT account_id, serial, created_at_ms FROM devices"
    )


def _id() -> "sa.Column[int]":
    return sa.Column(
        "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
    )


def _plans_and_devices() -> None:
    op.create_table(
        "plans",
        sa.Column("market", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("price_per_day_subunit", sa.BigInteger(), nullable=False),
        sa.Column("min_days", sa.Integer(), nullable=False),
        sa.Column("max_days", sa.Integer(), nullable=False),
    )
    op.add_column("accounts", sa.Column("plan", sa.Text()))
    op.create_table(
        "devices",
        sa.Column("serial", sa.Text(), primary_key=True),
        sa.Column("market", sa.Text(), nullable=False),
        sa.Column("token_family", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id")),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("devices_state", "devices", ["market", "state"])
    op.create_index("devices_account", "devices", ["account_id"], unique=True)
    op.create_table(
        "pairings",
        _id(),
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("paired_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger()),
        sa.Column("ended_by", sa.Text()),
    )
    op.create_index("pairings_account", "pairings", ["account_id"])


def _corrections() -> None:
    op.create_table(
        "corrections",
        _id(),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), sa.ForeignKey("payments.id"), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("corrections_payment", "corrections", ["payment_id", "kind"], unique=True)
    op.create_table(
        "correction_entries",
        _id(),
        sa.Column("correction_id", sa.BigInteger(), sa.ForeignKey("corrections.id"), nullable=False),
        sa.Column("ledger_account", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id")),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("debit_subunit", sa.BigInteger(), nullable=False),
        sa.Column("credit_subunit", sa.BigInteger(), nullable=False),
    )
    op.create_index("correction_entries_correction", "correction_entries", ["correction_id"])
    op.create_index("correction_entries_account", "correction_entries", ["account_id"])
