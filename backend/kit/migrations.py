"""Schema migrations that run at start: Alembic, one history a service under SERVICE/migrations/.

The kit's own tables are created by the functions here, so that each service's history names them in one line.
A later change of theirs is a function of its own beside these, never a change of these. A file's name begins
with its revision's number.
"""

from importlib.resources import files

import sqlalchemy as sa
from alembic import command, op
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import CannotStart


async def migrate(database: Database, service: str) -> None:
    """Bring `service`'s schema to its newest revision; one transaction, nothing done when it is there.

    Copies that start together take turns; within a process the caller sees to it, for Alembic's sake.
    CannotStart: a newer payg has been here.
    """

    def upgrade(connection: Connection) -> None:
        found = MigrationContext.configure(connection).get_current_revision()
        if found is not None and found not in (known := _revisions(service)):
            raise CannotStart(
                f"the database of {service} is of a newer payg (it is at {found}, this one knows up to "
                f"{max(known)}); start that one, or restore what was backed up before it"
            )
        if found != newest(service):
            config = configuration(service)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    await database.alter(upgrade)


def newest(service: str) -> str:
    """The revision that `service` has come to, by its files' names: a start that finds it reads no file."""
    return max(_revisions(service))


def _revisions(service: str) -> list[str]:
    names = (each.name for each in (files(f"backend.{service}") / "migrations").iterdir())
    return [name.partition("_")[0] for name in names if name[0].isdigit()]


def configuration(service: str) -> Config:
    """Alembic's, for the history of `service`."""
    config = Config()
    config.set_main_option("script_location", str(files("backend.kit") / "alembic"))
    config.set_main_option("version_locations", str(files(f"backend.{service}") / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def create_outbox() -> None:
    """The outbox of outbox.py, as it was first."""
    op.create_table(
        "outbox",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("due_at_ms", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_key", "outbox", ["kind", "key"], unique=True)
    op.create_index("outbox_due", "outbox", ["state", "kind", "due_at_ms"])


def add_key_rules() -> None:
    """Where from and how long an API key is valid; those of before: anywhere, for ever."""
    op.add_column("api_keys", sa.Column("allowed", sa.Text, nullable=False, server_default="[]"))
    op.add_column("api_keys", sa.Column("expires_at_ms", sa.BigInteger))


def create_api_keys() -> None:
    """The keys of keys.py, as they were first."""
    op.create_table(
        "api_keys",
        sa.Column("key_hash", sa.Text, primary_key=True),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("markets", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    )
