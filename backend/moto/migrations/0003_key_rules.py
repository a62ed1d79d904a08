"""API keys: allow-lists and ends."""

from backend.kit.migrations import add_key_rules

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns of key_table.py."""
    add_key_rules()
