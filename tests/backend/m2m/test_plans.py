"""What a batch asks of tables of years PostgreSQL finds by the index that is made for it."""

import pytest
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.rows import POSTGRESQL, Given
from backend.m2m.service import M2mService

YEARS = (
    "INSERT INTO records SELECT 'D' || n % 1000, n / 1000, 1, 0, 0, '' FROM generate_series(1, 20000) AS n",
    "INSERT INTO commands (client, reference, serial, name, argument, text, created_at_ms, expires_at_ms,"
    " replied_at_ms, markets, state) SELECT 'c', n, 'D' || n % 1000, 'sync', '', '', 0, 0, 0, '', 'replied'"
    " FROM generate_series(1, 20000) AS n",
    "ANALYZE records, commands",
)


class _Undone(Exception):
    """The plan; what the transaction wrote is rolled back."""


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
    """Of a million commands none may be open when PostgreSQL counts, and 50,000 a minute later."""
    statement = getattr(service._store._batch, name)

    def plan(connection: Connection) -> None:
        for said in YEARS:
            connection.exec_driver_sql(said)
        text = statement.build(Given(POSTGRESQL)).compile(dialect=connection.dialect)
        connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        connection.exec_driver_sql(f"PREPARE look (text) AS {text}")
        raise _Undone("\n".join(connection.exec_driver_sql("EXPLAIN EXECUTE look ('[]')").scalars()))

    with pytest.raises(_Undone, match=f"using {index} "):
        await database.write(plan)
