"""Languages: of a session, and chosen by a number. Ends of sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Sessions that are under way speak English, as all did."""
    op.add_column("sessions", sa.Column("language", sa.Text, nullable=False, server_default="en"))
    op.create_table(
        "languages",
        sa.Column("msisdn", sa.Text, primary_key=True),
        sa.Column("language", sa.Text, nullable=False),
    )
    op.create_table(
        "endings",
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("endings_at_ms", "endings", ["at_ms"])
