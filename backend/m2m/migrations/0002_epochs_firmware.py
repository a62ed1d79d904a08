"""SYNCIV epochs, the highest token count known, firmware files.

The count is taken from what is stored: each device's newest status and all its token events. Commands for
`useracct` that no device has answered are cancelled: their operations had no defined form.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# Where the count is in a stored record: 3 bytes of type and length, then the body (wire.py of then).
STATUS_COUNT = slice(29, 33)
TOKEN_EVENT_COUNT = slice(18, 22)
TOKEN_EVENT_TYPE = 3


def upgrade() -> None:
    """Add the columns and the table of tables.py, and fill them."""
    op.add_column("devices", sa.Column("offered_epoch", sa.Integer, nullable=False, server_default="0"))
    op.add_column("devices", sa.Column("token_count", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "firmware_files",
        sa.Column("file", sa.Text, primary_key=True),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("md5", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    )
    op.execute("UPDATE devices SET offered_epoch = up_epoch")
    op.execute(
        "UPDATE commands SET state = 'cancelled' WHERE name = 'useracct' AND state IN ('created', 'sent')"
    )
    counts: dict[str, int] = {}
    for serial, kind, body in _bodies(op.get_bind()):
        where = TOKEN_EVENT_COUNT if kind == TOKEN_EVENT_TYPE else STATUS_COUNT
        counts[serial] = max(counts.get(serial, 0), int.from_bytes(body[where], "big"))
    for serial, count in sorted(counts.items()):
        statement = sa.text("UPDATE devices SET token_count = :count WHERE serial = :serial")
        op.get_bind().execute(statement, {"count": count, "serial": serial})


def _bodies(connection: sa.Connection) -> list[tuple[str, int, bytes]]:
    statement = sa.text(
        "SELECT r.serial, r.type, r.body FROM records r JOIN devices d ON d.serial = r.serial "
        "WHERE r.type = 3 OR (r.type = 2 AND r.record = d.status_record)"
    )
    return [(row[0], row[1], bytes(row[2])) for row in connection.execute(statement)]
