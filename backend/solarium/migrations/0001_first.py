"""Accounts, payments, the ledger, token orders, the external API; outbox and API keys of the kit."""

import sqlalchemy as sa
from alembic import op

from backend.kit.migrations import create_api_keys, create_outbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    _accounts()
    _payments()
    _ledger()
    _token_orders()
    _external()
    _kit()


def _id() -> "sa.Column[int]":
    return sa.Column(
        "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
    )


def _accounts() -> None:
    op.create_table(
        "business_accounts",
        sa.Column("business_account", sa.Text(), primary_key=True),
        sa.Column("provider_key", sa.Text(), primary_key=True),
        sa.Column("market", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
    )
    op.create_table(
        "accounts",
        _id(),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("business_account", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("market", sa.Text(), nullable=False),
        sa.Column("customer_name", sa.Text()),
        sa.Column("msisdn", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("token_family", sa.Text(), nullable=False),
        sa.Column("balance_subunit", sa.BigInteger(), nullable=False),
        sa.Column("price_per_day_subunit", sa.BigInteger(), nullable=False),
        sa.Column("min_days", sa.Integer(), nullable=False),
        sa.Column("max_days", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("accounts_reference", "accounts", ["reference", "business_account"], unique=True)


def _payments() -> None:
    op.create_table(
        "payments",
        _id(),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("provider_tx", sa.Text(), nullable=False),
        sa.Column("provider_key", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id")),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("business_account", sa.Text(), nullable=False),
        sa.Column("amount_subunit", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("sender_phone_number", sa.Text(), nullable=False),
        sa.Column("sender_masked", sa.Boolean(), nullable=False),
        sa.Column("momoep_id", sa.Text(), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("provider_name", sa.Text()),
        sa.Column("provider_brand", sa.Text()),
        sa.Column("provider_country", sa.Text()),
        sa.Column("provider_humanized", sa.Text()),
        sa.Column("sender_name", sa.Text()),
        sa.Column("transaction_at", sa.Text()),
        sa.Column("transaction_kind", sa.Text()),
        sa.Column("secondary_provider_tx", sa.Text()),
    )
    op.create_index("payments_key", "payments", ["provider_tx", "provider_key"], unique=True)


def _ledger() -> None:
    op.create_table(
        "ledger_transactions",
        _id(),
        sa.Column("payment_id", sa.BigInteger(), sa.ForeignKey("payments.id"), nullable=False, unique=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "ledger_entries",
        _id(),
        sa.Column("transaction_id", sa.BigInteger(), sa.ForeignKey("ledger_transactions.id"), nullable=False),
        sa.Column("ledger_account", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id")),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("debit_subunit", sa.BigInteger(), nullable=False),
        sa.Column("credit_subunit", sa.BigInteger(), nullable=False),
    )


def _token_orders() -> None:
    op.create_table(
        "token_orders",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("payment_id", sa.BigInteger(), sa.ForeignKey("payments.id"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sequence_number", sa.BigInteger()),
        sa.Column("sealed_digits", sa.LargeBinary()),
        sa.Column("device_response", sa.Text()),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("replied_at_ms", sa.BigInteger()),
        sa.Column("callback_at_ms", sa.BigInteger()),
    )


def _external() -> None:
    op.create_table(
        "clients",
        sa.Column("client_id", sa.Text(), primary_key=True),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "access_tokens",
        sa.Column("token_hash", sa.Text(), primary_key=True),
        sa.Column("client_id", sa.Text(), sa.ForeignKey("clients.client_id"), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False, index=True),
    )
    op.create_table(
        "validations",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("client_id", sa.Text(), sa.ForeignKey("clients.client_id"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("amount_subunit", sa.BigInteger(), nullable=False),
        sa.Column("provider_key", sa.Text(), nullable=False),
        sa.Column("provider_tx", sa.Text(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False, index=True),
    )


def _kit() -> None:
    create_outbox()
    create_api_keys()
