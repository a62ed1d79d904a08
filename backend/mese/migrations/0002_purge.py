"""Old sessions are found by their age."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """One index."""
    op.create_index("sessions_created_at_ms", "sessions", ["created_at_ms"])
