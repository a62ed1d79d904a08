"""Statements over many rows at once: rows travel as one JSON parameter, and what is read comes back as one.

What the hot write batches are made of. The text of a statement does not depend on how many rows there are, so
it is compiled once, and the database works through them in one step. Bytes, for which JSON has no form, go
end to end in a second parameter, each row naming its part (`Blob`). On SQLite that step runs without
Python's interpreter lock, beside the event loop; `executemany` and `fetchall` take the lock again for every
row, and each time wait for the event loop to let go of it. On PostgreSQL each statement is a round trip:
round_trips.py makes one of several.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    LargeBinary,
    Select,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy import Column as TableColumn
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import Insert as PgInsert
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.dml import ReturningInsert

T = TypeVar("T")
Rows = Sequence[object]  # each a sequence of values, or an array-like msgspec Struct
Column = ColumnElement[Any]
Statement = SqliteInsert | PgInsert | Select[*tuple[Any, ...]] | Update

POSTGRESQL = "postgresql"  # the name of its dialect
TOGETHER = "payg.together"  # in a connection's info: what waits for the end of round_trips.together


def insert_into(dialect: str, table: Table) -> SqliteInsert | PgInsert:
    """INSERT in the words of the database named `dialect`: the generic one knows no ON CONFLICT."""
    return pg_insert(table) if dialect == POSTGRESQL else sqlite_insert(table)


def insert_new(connection: Connection, table: Table) -> SqliteInsert | PgInsert:
    """INSERT of what does not break a unique index; the rest is left as it is."""
    return insert_into(connection.dialect.name, table).on_conflict_do_nothing()


def id_column() -> TableColumn[int]:
    """The column `id`, which the database counts by itself; 64 bits, which on SQLite is what INTEGER has."""
    kind = BigInteger().with_variant(Integer, "sqlite")
    return TableColumn("id", kind, primary_key=True, autoincrement=True)


def next_ids(connection: Connection, table: Table, count: int) -> list[int]:
    """`count` ids for rows to insert into `table`, rising; nobody else is given one of them.

    On SQLite because the transaction is the only one that writes.
    """
    if connection.dialect.name == "postgresql":
        following = func.nextval(func.pg_get_serial_sequence(table.name, "id"))
        numbers = func.generate_series(1, count).table_valued("number")
        return sorted(connection.execute(select(following).select_from(numbers)).scalars())
    last = connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
    return list(range(last + 1, last + 1 + count))


class Blob:
    """Bytes for the rows of one statement: `add` gives where they are, for two positions of the row."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> tuple[int, int]:
        """(start, size); the first byte is 1, as in SQL."""
        start = self._size + 1
        self._parts.append(part)
        self._size += len(part)
        return start, len(part)

    def joined(self) -> bytes:
        """All of them, and never nothing: SQLite takes parts of an empty parameter for NULL."""
        return b"".join(self._parts) or bytes(1)


class Given:
    """The rows inside a statement, in one database's words."""

    def __init__(self, dialect: str, suffix: str = ""):
        """`suffix` tells the parameters of statements that go together apart."""
        self._dialect = dialect
        self._postgresql = dialect == POSTGRESQL
        self._blob = f"blob{suffix}"
        rows = bindparam(f"rows{suffix}", type_=Text)
        array = func.jsonb_array_elements(cast(rows, JSONB)) if self._postgresql else func.json_each(rows)
        self.table = array.table_valued("value", name="given")

    def column(self, position: int, like: Column) -> Column:
        """The value at `position` of each row, with the type of column `like`."""
        if self._postgresql:
            return cast(self.table.c.value.op("->>")(literal_column(str(position))), like.type)
        return func.json_extract(self.table.c.value, literal_column(f"'$[{position}]'"))

    def part(self, position: int) -> Column:
        """The bytes that a Blob gave the place of, which stands at `position` and the next one."""
        whole = literal_column("0", Integer)
        place = (self.column(position, whole), self.column(position + 1, whole))
        return func.substr(bindparam(self._blob, type_=LargeBinary), *place, type_=LargeBinary)

    def hex(self, column: Column) -> Column:
        """The bytes of `column` as text, for a `packed` row; no bytes are null, or the empty text."""
        if self._postgresql:
            return func.encode(column, literal_column("'hex'"))
        return func.hex(column)

    def columns(self, table: Table, names: Sequence[str], *, start: int = 0) -> list[Column]:
        """The values from position `start` on, with the types of the named columns."""
        return [self.column(position, table.c[name]) for position, name in enumerate(names, start)]

    def stored(
        self,
        table: Table,
        key: Sequence[str],
        names: Sequence[str],
        *,
        where: ColumnElement[bool] | None = None,
    ) -> Select[*tuple[Any, ...]]:
        """SELECT the named columns of the rows of `table` whose `key` stands first in a given row.

        Given keys differ. `where` narrows the rows; it takes no parameters.
        PostgreSQL keeps a plan. One that was made while the table was small would read it from end to end
        when it has grown, so each row is looked up for itself: OFFSET 0 keeps the planner from joining.
        """
        rows = select(*(table.c[name] for name in names))
        same = and_(*(table.c[name] == self.column(place, table.c[name]) for place, name in enumerate(key)))
        if where is not None:
            same = and_(same, where)
        if not self._postgresql:
            return rows.select_from(self.table).join(table, same)
        found = rows.where(same).offset(literal_column("0")).correlate(self.table).lateral("row")
        return select(*found.c).select_from(self.table).join(found, true())

    def insert_new(
        self,
        table: Table,
        names: Sequence[str],
        *,
        values: Sequence[Column] | None = None,
        source: FromClause | None = None,
    ) -> SqliteInsert | PgInsert:
        """INSERT the rows; those that would break a unique index are left out.

        See `insert`.
        """
        return self.insert(table, names, values=values, source=source).on_conflict_do_nothing()

    def insert(
        self,
        table: Table,
        names: Sequence[str],
        *,
        values: Sequence[Column] | None = None,
        source: FromClause | None = None,
    ) -> SqliteInsert | PgInsert:
        """INSERT the rows; the caller adds what a conflict does.

        `values` and `source` fill the columns otherwise than by position from the rows alone.
        """
        chosen = self.columns(table, names) if values is None else values
        rows = select(*chosen).select_from(self.table if source is None else source)
        # SQLite's parser needs a WHERE to tell ON CONFLICT from a join's ON.
        return insert_into(self._dialect, table).from_select(list(names), rows.where(true()))

    def packed(
        self, rows: Select[*tuple[Any, ...]] | ReturningInsert[*tuple[Any, ...]]
    ) -> Select[*tuple[Any, ...]]:
        """SELECT `rows` as one JSON array of arrays; those that an INSERT returns on PostgreSQL only."""
        array, gather = (
            (func.json_build_array, func.json_agg)
            if self._postgresql
            else (func.json_array, func.json_group_array)
        )
        found = rows.subquery("found") if isinstance(rows, Select) else rows.cte("found")
        return select(cast(gather(array(*found.c)), Text))


class RowsStatement:
    """A statement over rows; `build` makes it of the Given, once for each kind of database."""

    def __init__(self, build: Callable[[Given], Statement]):
        self.build = build
        self._compiled: dict[str, tuple[str, Sequence[str]]] = {}  # text, and its parameters in order

    def run(self, connection: Connection, rows: Rows, blob: Blob | None = None) -> None:
        """Execute it. Values may be text, integers, booleans and None; bytes are in `blob`."""
        values: dict[str, str | bytes] = {"rows": _encoded(rows)}
        if blob is not None:
            values["blob"] = blob.joined()
        waiting: list[Part] | None = connection.info.get(TOGETHER)
        if waiting is not None:
            waiting.append((self, values))
            return
        text, names = self._for(connection)
        connection.exec_driver_sql(text, tuple(values[name] for name in names))

    def read(self, connection: Connection, rows: Rows, schema: type[T]) -> list[T]:
        """Execute a `packed` one; its rows as `schema`, an array-like Struct, which may have booleans."""
        text, _ = self._for(connection)
        packed = connection.exec_driver_sql(text, (_encoded(rows),)).scalar_one()
        return msgspec.json.decode(packed, type=list[schema], strict=False) if packed else []

    def _for(self, connection: Connection) -> tuple[str, Sequence[str]]:
        dialect = connection.dialect
        known = self._compiled.get(dialect.name)
        if known is None:
            compiled = self.build(Given(dialect.name)).compile(dialect=dialect)
            if not {"rows"} <= compiled.params.keys() <= {"rows", "blob"}:
                raise ValueError("a rows statement takes no parameter besides its rows and their blob")
            names = getattr(compiled, "positiontup", None) or ("rows",)
            known = self._compiled[dialect.name] = str(compiled), tuple(names)
        return known


Part = tuple[RowsStatement, Mapping[str, str | bytes]]  # with its parameters


def _encoded(rows: Rows) -> str:
    return msgspec.json.encode(rows).decode()
