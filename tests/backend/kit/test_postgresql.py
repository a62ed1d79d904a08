"""What only PostgreSQL does: snapshots, collisions of copies, a server that goes away and comes back."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    Table,
    Text,
    insert,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from backend.kit.batch import WriteBatch
from backend.kit.database import Database, open_database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import Unavailable
from backend.kit.outbox import Outbox
from backend.kit.rows import POSTGRESQL, Given, RowsStatement
from backend.kit.runtime import SystemClock
from tests.backend.kit.conftest import Answers, out
from tests.postgresql import Server

metadata = MetaData()
numbers = Table("numbers", metadata, Column("name", Text, primary_key=True), Column("n", BigInteger))
outbox = Outbox(metadata)

only_postgresql = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)


@pytest.fixture
async def copies(database_url: str) -> AsyncIterator[tuple[Database, Database]]:
    """Two copies of a service, each with its own connections."""
    first, second = open_database(database_url, "kit"), open_database(database_url, "kit")
    await first.alter(metadata.create_all)
    await first.write(lambda c: c.execute(insert(numbers), [{"name": "a", "n": 1}, {"name": "b", "n": 1}]))
    yield first, second
    await first.close()
    await second.close()


def add(connection: Connection, name: str) -> None:
    connection.execute(update(numbers).where(numbers.c.name == name).values(n=numbers.c.n + 1))


def total(connection: Connection) -> list[int]:
    return list(connection.execute(select(numbers.c.n).order_by(numbers.c.name)).scalars())


@only_postgresql
async def test_a_read_sees_one_snapshot_and_writes_nothing(copies: tuple[Database, Database]) -> None:
    first, second = copies
    loop = asyncio.get_running_loop()

    def twice(connection: Connection) -> tuple[list[int], list[int]]:
        before = total(connection)
        # Another copy commits between two statements of ours.
        write = second.write(lambda other: add(other, "a"))
        asyncio.run_coroutine_threadsafe(write, loop)
        for _ in range(50):
            connection.execute(text("SELECT pg_sleep(0.01)"))
        return before, total(connection)

    assert await first.read(twice) == ([1, 1], [1, 1])
    assert await first.read(total) == [2, 1]
    with pytest.raises(DBAPIError, match="read-only"):
        await first.read(lambda connection: add(connection, "a"))


@only_postgresql
async def test_a_plan_that_is_kept_from_when_a_table_was_small_goes_by_its_index(
    copies: tuple[Database, Database],
) -> None:
    stored = RowsStatement(lambda given: given.packed(given.stored(numbers, ("name",), ("n",))))

    def plan(connection: Connection) -> str:
        statement = stored.build(Given(POSTGRESQL)).compile(dialect=connection.dialect)
        connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        connection.exec_driver_sql(f"PREPARE look (text) AS {statement}")
        return "\n".join(connection.exec_driver_sql("EXPLAIN EXECUTE look ('[]')").scalars())

    shown = await copies[0].write(plan)
    assert "Index Scan using numbers_pkey" in shown, shown


@only_postgresql
async def test_a_deadlock_is_run_again(copies: tuple[Database, Database]) -> None:
    met = asyncio.Barrier(2)
    tries: list[str] = []

    async def cross(database: Database, names: str) -> None:
        await met.wait()

        def work(connection: Connection) -> None:
            tries.append(names)
            add(connection, names[0])
            connection.execute(text("SELECT pg_sleep(0.3)"))  # the other one has its first row by then
            add(connection, names[1])

        await database.write(work)

    await asyncio.gather(cross(copies[0], "ab"), cross(copies[1], "ba"))
    assert await copies[0].read(total) == [3, 3]
    assert len(tries) == 3


@only_postgresql
async def test_a_write_that_always_collides_is_unavailable(copies: tuple[Database, Database]) -> None:
    tries: list[int] = []

    def work(connection: Connection) -> None:
        tries.append(1)
        connection.execute(text("DO $$ BEGIN RAISE 'x' USING ERRCODE = '40001'; END $$"))

    with pytest.raises(Unavailable) as told:
        await copies[0].write(work)
    assert (len(tries), told.value.retry_after_s) == (5, 1)


@only_postgresql
@pytest.mark.parametrize(
    "code",
    ["53100", "55P03", "57014", "58030", "XX001"],
    ids=["disk full", "locked", "time-out", "disk fails", "damaged"],
)
async def test_what_the_server_cannot_do_now_is_unavailable(
    copies: tuple[Database, Database], code: str
) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text(f"DO $$ BEGIN RAISE 'x' USING ERRCODE = '{code}'; END $$"))

    for run in (copies[0].write, copies[0].read):
        with pytest.raises(Unavailable):
            await run(work)


@only_postgresql
async def test_a_server_that_only_reads_is_unavailable_for_writes(copies: tuple[Database, Database]) -> None:
    """A standby that clients were sent to too early, or a server that saves its disk."""
    database = copies[0]

    def work(connection: Connection) -> None:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        add(connection, "a")

    with pytest.raises(Unavailable) as told:
        await database.write(work)
    assert told.value.retry_after_s == 1
    assert await database.read(total) == [1, 1]


@only_postgresql
async def test_what_another_copy_has_added_meanwhile_is_found_by_the_second_try(
    copies: tuple[Database, Database],
) -> None:
    def add_once(connection: Connection) -> bool:
        if connection.execute(select(numbers.c.n).where(numbers.c.name == "c")).first() is not None:
            return False
        connection.execute(text("SELECT pg_sleep(0.1)"))
        connection.execute(insert(numbers).values(name="c", n=1))
        return True

    added = await asyncio.gather(*(database.write(add_once) for database in copies))
    assert sorted(added) == [False, True]
    with pytest.raises(IntegrityError):
        await copies[0].write(lambda c: c.execute(insert(numbers).values(name="c", n=1)))


@only_postgresql
async def test_only_who_is_alone_takes_over(copies: tuple[Database, Database], database_url: str) -> None:
    first, second = copies
    assert await first.write(first.is_alone), "the other one has not connected yet"
    await second.read(total)
    await first.read(total)
    assert not await first.write(first.is_alone)
    assert not await second.write(second.is_alone)
    await second.close()
    assert await first.write(first.is_alone)
    other_service = open_database(database_url, "other")
    await other_service.write(lambda c: c.execute(text("SELECT 1")))
    assert await first.write(first.is_alone)
    await other_service.close()


# A server that goes away


@pytest.fixture
async def database(own_server: Server) -> AsyncIterator[Database]:
    database = open_database(own_server.url, "kit")
    await database.alter(metadata.create_all)
    yield database
    await database.alter(metadata.drop_all)
    await database.close()


async def test_a_server_that_comes_back_is_used_again(own_server: Server, database: Database) -> None:
    await database.write(lambda c: c.execute(insert(numbers).values(name="a", n=1)))
    batch: WriteBatch[int, int] = WriteBatch(database, lambda _, requests: [*requests])
    assert await batch.submit(1) == 1
    sleeping = [
        asyncio.create_task(run(lambda c: c.execute(text("SELECT pg_sleep(60)"))))
        for run in (database.read, database.write)
    ]
    await asyncio.sleep(0.2)  # they sleep on the server; should they not yet, they fail all the same
    own_server.kill()
    for task in sleeping:
        with pytest.raises(Unavailable):
            await task
    for asked in (database.read(total), database.write(total), batch.submit(2), batch.submit(3)):
        with pytest.raises(Unavailable) as told:
            await asked
        assert told.value.retry_after_s == 1
    own_server.start()
    assert await database.read(total) == [1], "committed before it went"
    assert await database.write(total) == [1]
    assert await batch.submit(4) == 4


async def test_the_outbox_goes_on_where_it_was(own_server: Server, database: Database) -> None:
    handler = Answers()
    dispatcher = Dispatcher(
        outbox=outbox,
        database=database,
        clock=SystemClock(),
        handlers={"k": handler},
        service="kit",
    )
    await dispatcher.start()
    now_ms = SystemClock().now_ms()
    await database.write(lambda c: outbox.put(c, [out("a")], now_ms))
    await handler.until(1)
    own_server.kill()
    dispatcher._wake.set()
    with pytest.raises(Unavailable):
        await database.write(lambda c: outbox.put(c, [out("b")], now_ms))
    own_server.start()
    await database.write(lambda c: outbox.put(c, [out("b")], now_ms))
    await handler.until(2)
    await dispatcher.stop()
    assert {row.key for row in handler.seen} == {"a", "b"}


@pytest.mark.parametrize(
    "changes", [{"database": "nowhere"}, {"username": "nobody"}, {"query": {"host": "/x"}}]
)
async def test_a_server_that_does_not_let_us_in_is_unavailable(
    own_server: Server, changes: dict[str, object]
) -> None:
    url = make_url(own_server.url).set(**changes)
    database = open_database(url.render_as_string(hide_password=False), "kit")
    for run in (database.read, database.write):
        with pytest.raises(Unavailable):
            await run(total)
    await database.close()
