"""A payment keeps a hash of its callback's secret, no more the secret itself."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """What stands there becomes worthless: its paths are none any more, and open payments are polled."""
    op.drop_index("payments_callback_secret", "payments")
    op.execute("ALTER TABLE payments RENAME COLUMN callback_secret TO callback_hash")
    op.create_index("payments_callback_hash", "payments", ["callback_hash"], unique=True)
