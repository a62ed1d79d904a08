"""The migrated schema of every service is what its store declares."""

from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, text

from backend.build import SERVICES
from backend.kit.database import open_database
from backend.kit.errors import CannotStart
from backend.kit.migrations import configuration, migrate, newest
from backend.kit.vault import Vault
from simulator.clock import SeededEntropy


def _metadata(service: str) -> MetaData:
    from importlib import import_module

    store = import_module(f"backend.{service}.store").Store
    vault = Vault(bytes(32), service, SeededEntropy(1))
    arguments: dict[str, list[object]] = {"mese": [], "mega": [vault], "m2m": [vault]}
    return store(*arguments.get(service, [vault.pepper])).metadata


def _changes(metadata: MetaData) -> Callable[[Connection], list[object]]:
    return lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)


@pytest.mark.parametrize("service", SERVICES)
def test_a_start_and_alembic_know_the_same_newest_revision(service: str) -> None:
    assert ScriptDirectory.from_config(configuration(service)).get_current_head() == newest(service)


@pytest.mark.parametrize("service", SERVICES)
async def test_the_migrations_make_the_declared_tables(service: str, empty_database_url: str) -> None:
    database = open_database(empty_database_url, service)
    for _ in range(2):  # the second time there is nothing to do
        await migrate(database, service)
    metadata = _metadata(service)
    assert await database.read(_changes(metadata)) == []
    names = await database.read(lambda connection: set(inspect(connection).get_table_names()))
    assert set(metadata.tables) < names
    await database.close()


async def test_a_database_of_a_newer_payg_is_told_and_stays(empty_database_url: str) -> None:
    database = open_database(empty_database_url, "hub")
    await migrate(database, "hub")
    await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(CannotStart, match=f"of a newer payg .*at 9999.*up to {newest('hub')}"):
        await migrate(database, "hub")
    found = await database.read(lambda c: c.execute(text("SELECT version_num FROM alembic_version")).scalar())
    assert found == "9999"
    await database.close()
