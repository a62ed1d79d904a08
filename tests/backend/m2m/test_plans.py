"""PostgreSQL keeps a statement's plan: one made on an empty database must be right on one of years."""

import pytest
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.rows import POSTGRESQL, Given
from backend.m2m.service import M2mService


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("stored", "records_pkey"),
        ("by_reference", "commands_reference"),
        ("open_commands", "commands_open"),
        ("count_open", "commands_open"),
    ],
)
async def test_what_a_device_has_is_found_by_its_own_index(
    service: M2mService, database: Database, name: str, index: str
) -> None:
    statement = getattr(service._store._batch, name)

    def plan(connection: Connection) -> str:
        text = statement.build(Given(POSTGRESQL)).compile(dialect=connection.dialect)
        connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        connection.exec_driver_sql(f"PREPARE look (text) AS {text}")
        return "\n".join(connection.exec_driver_sql("EXPLAIN EXECUTE look ('[]')").scalars())

    shown = await database.write(plan)
    assert f"using {index}" in shown, shown
    assert "Seq Scan" not in shown, shown
