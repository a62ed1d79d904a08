"""Several statements in one round trip on PostgreSQL; the same rows on both databases."""

from collections.abc import AsyncIterator

import pytest
from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
    select,
)
from sqlalchemy.exc import IntegrityError

from backend.kit.database import Database, open_database
from backend.kit.round_trips import PutNew, together
from backend.kit.rows import Blob, RowsStatement


class Parent(Struct, array_like=True, frozen=True):
    key: str
    note: str


class Kept(Struct, array_like=True, frozen=True):
    key: str
    note: str
    made: int


metadata = MetaData()
parents = Table(
    "parents",
    metadata,
    Column("key", Text, primary_key=True),
    Column("note", Text),
    Column("made", BigInteger, server_default="7"),
)
children = Table(
    "children",
    metadata,
    Column("parent", Text, ForeignKey("parents.key")),
    Column("raw", LargeBinary),
)
put_new = PutNew(parents, row=Parent, key=("key",), stored=Kept)
put_parents = RowsStatement(lambda given: given.insert(parents, Parent.__struct_fields__))
put_children = RowsStatement(
    lambda given: given.insert(
        children, ("parent", "raw"), values=[given.column(0, children.c.parent), given.part(1)]
    )
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = open_database(database_url, "kit")
    await database.write(metadata.create_all)
    yield database
    await database.close()


async def test_what_is_new_is_put_and_what_is_stored_comes_back(database: Database) -> None:
    def put(*rows: Parent):
        return lambda connection: sorted(put_new.run(connection, rows), key=lambda kept: kept.key)

    assert await database.write(put(Parent("a", "1"), Parent("b", "2"))) == [
        Kept("a", "1", 7),
        Kept("b", "2", 7),
    ]
    assert await database.write(put(Parent("c", "3"))) == [Kept("c", "3", 7)]
    assert await database.write(put(Parent("d", "4"), Parent("a", "5"))) == [
        Kept("a", "1", 7),
        Kept("d", "4", 7),
    ]
    assert await database.write(put(Parent("a", "6"))) == [Kept("a", "1", 7)]
    assert await database.write(put()) == []


def put_family(connection: Connection, *names: str, orphan: str = "") -> None:
    blob = Blob()
    with together(connection):
        put_parents.run(connection, [Parent(name, name) for name in names])
        put_children.run(connection, [(name, *blob.add(name.upper().encode())) for name in names], blob)
        put_children.run(connection, [(orphan, *blob.add(b"-"))] if orphan else [], blob)


async def test_statements_go_together(database: Database, database_kind: str) -> None:
    statements: list[str] = []

    def counted(connection: Connection) -> list[tuple[str, bytes]]:
        event.listen(connection, "before_cursor_execute", lambda *args: statements.append(args[2]))
        put_family(connection, "a", "b")
        put_family(connection)
        assert len(statements) == (2 if database_kind == "postgresql" else 6)
        return sorted((row[0], bytes(row[1])) for row in connection.execute(select(children)))

    assert await database.write(counted) == [("a", b"A"), ("b", b"B")]


async def test_what_fails_together_is_not_there_and_leaves_nothing_behind(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await database.write(lambda connection: put_family(connection, "a", orphan="nobody"))

    def give_up(connection: Connection) -> None:
        with together(connection):
            put_parents.run(connection, [Parent("b", "b")])
            raise LookupError

    with pytest.raises(LookupError):
        await database.write(give_up)
    await database.write(lambda connection: put_family(connection, "c"))
    keys = await database.read(lambda connection: connection.execute(select(parents.c.key)).scalars().all())
    assert keys == ["c"]
