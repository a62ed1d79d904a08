"""Commands that end: their expiry and how they were sent. Devices: modem, transport, retention, billing.

Commands that are open now live a month more from their creation, as new ones do.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

LIFE_MS = 30 * 86_400_000
OPEN = "state IN ('created', 'sent')"


def upgrade() -> None:
    """Add the columns and the index of tables.py, and fill them."""
    op.add_column("devices", sa.Column("msisdn", sa.Text))
    op.add_column("devices", sa.Column("over_http", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("devices", sa.Column("state", sa.Integer))
    op.add_column("devices", sa.Column("usage_day", sa.Integer))
    op.add_column("devices", sa.Column("purged_to", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("devices", sa.Column("purged", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("commands", sa.Column("expires_at_ms", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("commands", sa.Column("sent_by", sa.Text))
    op.add_column("commands", sa.Column("ended_at_ms", sa.BigInteger))
    op.get_bind().execute(
        sa.text("UPDATE commands SET expires_at_ms = created_at_ms + :life"), {"life": LIFE_MS}
    )
    op.create_index(
        "commands_expiry",
        "commands",
        ["expires_at_ms"],
        sqlite_where=sa.text(OPEN),
        postgresql_where=sa.text(OPEN),
    )
