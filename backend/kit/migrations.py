"""Schema migrations that run at start: Alembic, one history a service under SERVICE/migrations/."""

from importlib.resources import files

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from backend.kit.database import Database


async def migrate(database: Database, service: str) -> None:
    """Bring `service`'s schema to its newest revision; one transaction, nothing done when it is there."""

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(files("backend.kit") / "alembic"))
        config.set_main_option("version_locations", str(files(f"backend.{service}") / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    await database.write(upgrade)
