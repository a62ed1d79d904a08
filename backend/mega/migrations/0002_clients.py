"""References are counted by client; a report is kept once; no URL is kept that nobody calls."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Messages that are there were ordered with solarium's key, the only one so far."""
    op.add_column("messages", sa.Column("client", sa.Text, nullable=False, server_default="solarium"))
    op.drop_column("messages", "callback_url")
    op.drop_index("messages_reference", "messages")
    op.create_index("messages_reference", "messages", ["client", "reference"], unique=True)
    op.execute(
        "DELETE FROM delivery_reports WHERE id NOT IN"
        " (SELECT min(id) FROM delivery_reports GROUP BY provider, provider_message_id, status)"
    )
    op.drop_index("delivery_reports_message", "delivery_reports")
    columns = ["provider", "provider_message_id", "status"]
    op.create_index("delivery_reports_message", "delivery_reports", columns, unique=True)
