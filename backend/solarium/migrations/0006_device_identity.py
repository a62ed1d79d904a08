"""What a device was entered with, as a keyed hash: the same row of an import again changes nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Devices that are here have none: their rows again are told as there already."""
    op.add_column("devices", sa.Column("identity_hash", sa.Text))
