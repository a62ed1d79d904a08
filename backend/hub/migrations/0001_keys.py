"""First schema: the API keys."""

from backend.kit.migrations import create_api_keys

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the table of store.py."""
    create_api_keys()
