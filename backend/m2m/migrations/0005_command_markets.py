"""Commands: the markets that their client may act for.

Of those of before only the market of a device that nobody registered yet is known.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

FILL = """
UPDATE commands SET markets = (SELECT market FROM devices WHERE devices.serial = commands.serial)
WHERE serial IN (SELECT serial FROM devices WHERE link_key IS NULL)
"""


def upgrade() -> None:
    """Add the column of tables.py, and fill it."""
    op.add_column("commands", sa.Column("markets", sa.Text, nullable=False, server_default=""))
    op.execute(FILL)
