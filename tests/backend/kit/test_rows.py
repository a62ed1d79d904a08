"""Statements over many rows at once."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from backend.kit.rows import Blob, Given, RowsStatement


class Thing(Struct, array_like=True, frozen=True):
    """A row of the table."""

    key: str
    count: int | None
    good: bool | None
    note: str | None


metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("key", Text, primary_key=True),
    Column("count", BigInteger),
    Column("good", Boolean),
    Column("note", Text),
)
NAMES = Thing.__struct_fields__


def _chosen(given: Given) -> object:
    keys = select(given.column(0, things.c.key)).select_from(given.table)
    return select(*(things.c[name] for name in NAMES)).where(things.c.key.in_(keys)).order_by(things.c.key)


put = RowsStatement(lambda given: given.insert_new(things, NAMES))
get = RowsStatement(lambda given: given.packed(_chosen(given)))  # type: ignore[arg-type]
count = RowsStatement(
    lambda given: (
        update(things)
        .where(things.c.key == given.column(0, things.c.key))
        .values(count=given.column(1, things.c.count))
    )
)

parts = Table("parts", metadata, Column("key", BigInteger, primary_key=True), Column("raw", LargeBinary))
put_parts = RowsStatement(
    lambda given: given.insert(
        parts, ("key", "raw"), values=[given.column(0, parts.c.key), given.part(1)]
    ).on_conflict_do_nothing()
)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
rows = st.builds(
    Thing,
    key=texts,
    count=st.none() | st.integers(-(2**63), 2**63 - 1),
    good=st.none() | st.booleans(),
    note=st.none() | texts,
)


def memory() -> Connection:
    connection = create_engine("sqlite://").connect()
    metadata.create_all(connection)
    return connection


@given(st.lists(rows, max_size=20, unique_by=lambda row: row.key))
def test_what_is_put_is_read(given_rows: list[Thing]) -> None:
    with memory() as connection:
        put.run(connection, given_rows)
        found = connection.execute(select(things)).all()
        assert {Thing(*row) for row in found} == set(given_rows)
        packed = get.read(
            connection, [(row.key,) for row in given_rows], tuple[str, int | None, int | None, str | None]
        )
        assert sorted(packed) == sorted((row.key, row.count, row.good, row.note) for row in given_rows)


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_bytes_travel_beside_the_rows(raw: list[bytes]) -> None:
    blob = Blob()
    given_rows = [(key, *blob.add(each)) for key, each in enumerate(raw)]
    with memory() as connection:
        put_parts.run(connection, given_rows, blob)
        found = connection.execute(select(parts.c.raw).order_by(parts.c.key)).scalars().all()
        assert found == raw


def test_zero_and_one_are_read_as_booleans() -> None:
    with memory() as connection:
        put.run(connection, [Thing("a", 1, True, None), Thing("b", 0, None, None)])
        assert get.read(connection, [("a",), ("b",)], Thing) == [
            Thing("a", 1, True, None),
            Thing("b", 0, None, None),
        ]


def test_rows_that_are_there_stay_as_they_are() -> None:
    with memory() as connection:
        put.run(connection, [Thing("a", 1, None, None)])
        put.run(connection, [Thing("a", 2, None, None), Thing("b", 3, None, None)])
        count.run(connection, [("b", 4), ("c", 5)])
        assert connection.execute(select(things.c.key, things.c.count).order_by("key")).all() == [
            ("a", 1),
            ("b", 4),
        ]


def test_postgresql_gets_its_own_words() -> None:
    text = str(Given("postgresql").insert_new(things, NAMES).compile(dialect=postgresql.dialect()))
    assert "FROM jsonb_array_elements(CAST(%(rows)s::VARCHAR AS JSONB)) AS given" in text
    assert "CAST(given.value ->> 1 AS BIGINT)" in text
    assert "ON CONFLICT DO NOTHING" in text
