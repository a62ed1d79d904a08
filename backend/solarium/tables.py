"""Solarium's tables; store.py has their statements, migrations/ their history.

The rows that a write batch inserts are array-like structs: their fields are columns, in order (kit/rows.py).
Money is in integer subunits. The ledger is double entry: every row of ledger_entries is a debit or a
credit, and the entries of a transaction balance in each currency. A payment has exactly one ledger
transaction; what operators book besides is in operations_tables.py.
"""

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

from backend.kit.rows import id_column


class PaymentRow(Struct, array_like=True, frozen=True):
    """A new payment."""

    receipt: str
    provider_tx: str
    provider_key: str
    account_id: int | None
    outcome: str
    reference: str
    business_account: str
    amount_subunit: int
    currency: str
    sender_phone_number: str
    sender_masked: bool
    momoep_id: str
    received_at_ms: int
    confirmed_at_ms: int
    provider_name: str | None
    provider_brand: str | None
    provider_country: str | None
    provider_humanized: str | None
    sender_name: str | None
    transaction_at: str | None
    transaction_kind: str | None
    secondary_provider_tx: str | None


class TransactionRow(Struct, array_like=True, frozen=True):
    """A new ledger transaction. Its id is its payment's, so that entries need not look it up."""

    id: int
    payment_id: int
    at_ms: int


class EntryRow(Struct, array_like=True, frozen=True):
    """A new ledger entry."""

    transaction_id: int
    ledger_account: str
    account_id: int | None
    currency: str
    debit_subunit: int
    credit_subunit: int


class OrderRow(Struct, array_like=True, frozen=True):
    """A new token order."""

    id: str
    payment_id: int
    account_id: int
    device: str
    days: int
    state: str
    created_at_ms: int


class Tables:
    """The tables in one MetaData, besides the kit's outbox and api_keys."""

    def __init__(self, metadata: MetaData):
        self.business_accounts = Table(
            "business_accounts",
            metadata,
            Column("business_account", Text, primary_key=True),
            Column("provider_key", Text, primary_key=True),
            Column("market", Text, nullable=False),
            Column("currency", Text, nullable=False),
        )
        self.accounts = _accounts(metadata)
        self.payments = _payments(metadata)
        self.ledger_transactions = Table(
            "ledger_transactions",
            metadata,
            id_column(),
            Column("payment_id", BigInteger, ForeignKey("payments.id"), nullable=False, unique=True),
            Column("at_ms", BigInteger, nullable=False),
        )
        self.ledger_entries = _ledger_entries(metadata)
        self.token_orders = _token_orders(metadata)
        self.clients = Table(
            "clients",
            metadata,
            Column("client_id", Text, primary_key=True),
            Column("secret_hash", Text, nullable=False),
            Column("created_at_ms", BigInteger, nullable=False),
            Column("markets", Text, nullable=False, server_default="[]"),  # JSON; none listed: every market
        )
        self.access_tokens = Table(
            "access_tokens",
            metadata,
            Column("token_hash", Text, primary_key=True),
            Column("client_id", Text, ForeignKey("clients.client_id"), nullable=False),
            Column("expires_at_ms", BigInteger, nullable=False, index=True),
        )
        self.device_events = Table(
            "device_events",
            metadata,
            Column("event_id", Text, primary_key=True),
            Column("type", Text, nullable=False),
            Column("device", Text, nullable=False),
            Column("occurred_at_ms", BigInteger, nullable=False),
            Column("received_at_ms", BigInteger, nullable=False),
            Column("data", Text, nullable=False),  # JSON
            Index("device_events_device", "device", "occurred_at_ms"),
        )
        self.validations = Table(
            "validations",
            metadata,
            Column("id", Text, primary_key=True),
            Column("client_id", Text, ForeignKey("clients.client_id"), nullable=False),
            Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
            Column("amount_subunit", BigInteger, nullable=False),
            Column("provider_key", Text, nullable=False),
            Column("provider_tx", Text, nullable=False),  # of the payment that it may become: once
            Column("expires_at_ms", BigInteger, nullable=False, index=True),
        )


def _payments(metadata: MetaData) -> Table:
    return Table(
        "payments",
        metadata,
        id_column(),
        Column("receipt", Text, nullable=False),  # random: what we call the payment to others
        Column("provider_tx", Text, nullable=False),
        Column("provider_key", Text, nullable=False),
        Column("account_id", BigInteger, ForeignKey("accounts.id")),  # none: the money is in suspense
        Column("outcome", Text, nullable=False),  # credited, suspense, resolved or reversed
        Column("reference", Text, nullable=False),
        Column("business_account", Text, nullable=False),
        Column("amount_subunit", BigInteger, nullable=False),
        Column("currency", Text, nullable=False),
        Column("sender_phone_number", Text, nullable=False),
        Column("sender_masked", Boolean, nullable=False),
        Column("momoep_id", Text, nullable=False),
        Column("received_at_ms", BigInteger, nullable=False),
        Column("confirmed_at_ms", BigInteger, nullable=False),
        Column("provider_name", Text),
        Column("provider_brand", Text),
        Column("provider_country", Text),
        Column("provider_humanized", Text),
        Column("sender_name", Text),
        Column("transaction_at", Text),
        Column("transaction_kind", Text),
        Column("secondary_provider_tx", Text),
        Index("payments_key", "provider_tx", "provider_key", unique=True),
        Index(
            "payments_suspense",
            "id",
            sqlite_where=text("outcome = 'suspense'"),
            postgresql_where=text("outcome = 'suspense'"),
        ),
    )


def _accounts(metadata: MetaData) -> Table:
    return Table(
        "accounts",
        metadata,
        id_column(),
        Column("reference", Text, nullable=False),
        Column("business_account", Text, nullable=False),
        Column("currency", Text, nullable=False),
        Column("market", Text, nullable=False),
        Column("customer_name", Text),
        Column("msisdn", Text, nullable=False),
        Column("device", Text, nullable=False),  # empty: none is paired with it
        Column("token_family", Text, nullable=False),
        Column("balance_subunit", BigInteger, nullable=False),
        Column("price_per_day_subunit", BigInteger, nullable=False),
        Column("min_days", Integer, nullable=False),
        Column("max_days", Integer, nullable=False),
        Column("created_at_ms", BigInteger, nullable=False),
        Column("plan", Text),  # its name; the account keeps the plan's price and limits as they were
        Index("accounts_reference", "reference", "business_account", unique=True),
        Index("accounts_msisdn", "msisdn", "market"),
    )


def _token_orders(metadata: MetaData) -> Table:
    return Table(
        "token_orders",
        metadata,
        Column("id", Text, primary_key=True),
        Column("payment_id", BigInteger, ForeignKey("payments.id"), nullable=False),
        Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
        Column("device", Text, nullable=False),
        Column("days", Integer, nullable=False),
        Column("state", Text, nullable=False),
        Column("sequence_number", BigInteger),
        Column("sealed_digits", LargeBinary),
        Column("device_response", Text),
        Column("created_at_ms", BigInteger, nullable=False),
        Column("replied_at_ms", BigInteger),  # when the device replied, as M2M says
        Column("callback_at_ms", BigInteger),  # when M2M's callback came
        Index("token_orders_account", "account_id", "created_at_ms"),
    )


def _ledger_entries(metadata: MetaData) -> Table:
    return Table(
        "ledger_entries",
        metadata,
        id_column(),
        Column("transaction_id", BigInteger, ForeignKey("ledger_transactions.id"), nullable=False),
        # clearing:PROVIDER_KEY, customer, revenue:MARKET ...
        Column("ledger_account", Text, nullable=False),
        Column("account_id", BigInteger, ForeignKey("accounts.id")),  # of `customer` entries
        Column("currency", Text, nullable=False),
        Column("debit_subunit", BigInteger, nullable=False),
        Column("credit_subunit", BigInteger, nullable=False),
        Index(
            "ledger_entries_account",
            "account_id",
            sqlite_where=text("account_id IS NOT NULL"),
            postgresql_where=text("account_id IS NOT NULL"),
        ),
    )
