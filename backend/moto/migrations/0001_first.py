"""First schema: devices, issued tokens, api keys."""

import sqlalchemy as sa
from alembic import op

from backend.kit.migrations import create_api_keys

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of store.py."""
    create_api_keys()
    op.create_table(
        "devices",
        sa.Column("serial", sa.Text, primary_key=True),
        sa.Column("market", sa.Text, nullable=False),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("starting_code", sa.BigInteger),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("payload", sa.BigInteger, nullable=False),
        sa.Column("sequence_number", sa.BigInteger, nullable=False),
        sa.Column("encoding", sa.Text),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("client", "reference", name="tokens_reference"),
        sa.UniqueConstraint("serial", "sequence_number", name="tokens_sequence"),
    )
