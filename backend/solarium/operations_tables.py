"""The tables that operators work with; tables.py has those of the payment path.

A correction is a ledger transaction of an operator: its entries balance as those of a payment do, and the
ledger is both kinds together.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, Table, Text

from backend.kit.rows import id_column


class OperationsTables:
    """The tables in the service's MetaData."""

    def __init__(self, metadata: MetaData):
        self.plans = Table(
            "plans",
            metadata,
            Column("market", Text, primary_key=True),
            Column("name", Text, primary_key=True),
            Column("currency", Text, nullable=False),
            Column("price_per_day_subunit", BigInteger, nullable=False),
            Column("min_days", Integer, nullable=False),
            Column("max_days", Integer, nullable=False),
        )
        self.devices = _devices(metadata)
        self.pairings = Table(
            "pairings",
            metadata,
            id_column(),
            Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
            Column("device", Text, nullable=False),
            Column("paired_at_ms", BigInteger, nullable=False),
            Column("ended_at_ms", BigInteger),
            Column("ended_by", Text),  # swap or return
            Index("pairings_account", "account_id"),
        )
        self.corrections = Table(
            "corrections",
            metadata,
            id_column(),
            Column("kind", Text, nullable=False),  # resolution, reversal or purchase
            Column("payment_id", BigInteger, ForeignKey("payments.id"), nullable=False),
            Column("operator", Text, nullable=False),  # the client of the API key
            Column("reason", Text, nullable=False),
            Column("at_ms", BigInteger, nullable=False),
            Index("corrections_payment", "payment_id", "kind", unique=True),
        )
        self.actions = Table(
            "actions",
            metadata,
            id_column(),
            Column("at_ms", BigInteger, nullable=False),
            Column("operator", Text, nullable=False),  # the client of the API key
            Column("action", Text, nullable=False),
            Column("subject", Text, nullable=False),
            Column("market", Text, nullable=False),
            Column("reason", Text),
            Index("actions_market", "market", "id"),
        )
        self.correction_entries = Table(
            "correction_entries",
            metadata,
            id_column(),
            Column("correction_id", BigInteger, ForeignKey("corrections.id"), nullable=False),
            Column("ledger_account", Text, nullable=False),
            Column("account_id", BigInteger, ForeignKey("accounts.id")),
            Column("currency", Text, nullable=False),
            Column("debit_subunit", BigInteger, nullable=False),
            Column("credit_subunit", BigInteger, nullable=False),
            Index("correction_entries_correction", "correction_id"),
            Index("correction_entries_account", "account_id"),
        )


def _devices(metadata: MetaData) -> Table:
    return Table(
        "devices",
        metadata,
        Column("serial", Text, primary_key=True),
        Column("market", Text, nullable=False),
        Column("token_family", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("account_id", BigInteger, ForeignKey("accounts.id")),  # of a paired one
        Column("created_at_ms", BigInteger, nullable=False),
        Column("identity_hash", Text),  # keyed, of all that it was entered with
        Index("devices_state", "market", "state"),
        Index("devices_account", "account_id", unique=True),
    )
