"""What the hub keeps: its keys, hashed."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from backend.hub.store import Store
from backend.kit.database import open_database
from backend.kit.migrations import migrate


async def test_migrations_make_the_tables_of_the_store(empty_database_url: str) -> None:
    database = open_database(empty_database_url, "hub")
    await migrate(database, "hub")
    store = Store(b"pepper")

    def work(connection: Connection) -> tuple[list[object], str]:
        store.keys.install(connection, "plain-key", "partner", ["UG"], 0)
        kept = str(connection.exec_driver_sql("SELECT * FROM api_keys").all())
        return compare_metadata(MigrationContext.configure(connection), store.metadata), kept

    differences, kept = await database.write(work)
    await database.close()
    assert differences == []
    assert "partner" in kept
    assert "plain-key" not in kept
