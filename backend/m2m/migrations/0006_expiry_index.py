"""Commands: the index of expiry is for expiry alone.

PostgreSQL took it for the open commands of some devices too, and read those of all.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

UNENDED = "replied_at_ms IS NULL AND ended_at_ms IS NULL"


def upgrade() -> None:
    """Make the index of tables.py anew."""
    op.drop_index("commands_expiry", "commands")
    op.create_index(
        "commands_expiry",
        "commands",
        ["expires_at_ms"],
        sqlite_where=sa.text(UNENDED),
        postgresql_where=sa.text(UNENDED),
    )
