"""Fewer round trips to PostgreSQL for a write batch; on SQLite, which has none, the same statements in turn.

A statement's answer is taken up when the event loop comes round to it, and at a thousand requests a second it
has much else to do meanwhile: the database would wait for us a good part of the time.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from msgspec import Struct
from sqlalchemy import Connection, Integer, Table, literal_column, select

from backend.kit.rows import POSTGRESQL, TOGETHER, Given, Part, RowsStatement

Row = TypeVar("Row", bound=Struct)
Stored = TypeVar("Stored", bound=Struct)

# By their statements: as many as there are blocks of `together` in the code. Text, and parameters in order.
_joined: dict[tuple[RowsStatement, ...], tuple[str, Sequence[str]]] = {}


@contextmanager
def together(connection: Connection) -> Generator[None]:
    """Statements that are `run` inside go to PostgreSQL as one, at the end.

    So each must be right without seeing what the others write. Foreign keys hold at the end of them all.
    """
    if connection.dialect.name != POSTGRESQL:
        yield
        return
    parts: list[Part] = []
    connection.info[TOGETHER] = parts
    try:
        yield
    finally:
        del connection.info[TOGETHER]
    if parts:
        text, names = _join(connection, tuple(statement for statement, _ in parts))
        values = {
            f"{name}_{position}": value
            for position, (_, parameters) in enumerate(parts)
            for name, value in parameters.items()
        }
        connection.exec_driver_sql(text, tuple(values[name] for name in names))


def _join(connection: Connection, statements: tuple[RowsStatement, ...]) -> tuple[str, Sequence[str]]:
    """WITH each of `statements`."""
    known = _joined.get(statements)
    if known is None:
        parts = [
            statement.build(Given(POSTGRESQL, f"_{position}")).cte(f"part_{position}")
            for position, statement in enumerate(statements)
        ]
        compiled = select(literal_column("1", Integer)).add_cte(*parts).compile(dialect=connection.dialect)
        names: Sequence[str] = getattr(compiled, "positiontup", ())
        known = _joined[statements] = str(compiled), tuple(names)
    return known


class PutNew(Generic[Row, Stored]):
    """INSERT of rows whose key is new; what is stored for each key comes back. All are array-like Structs."""

    def __init__(self, table: Table, *, row: type[Row], key: Sequence[str], stored: type[Stored]):
        names = row.__struct_fields__
        columns = [table.c[name] for name in stored.__struct_fields__]
        self._key = tuple(key)
        self._schema = stored
        self._put = RowsStatement(lambda given: given.insert_new(table, names))
        self._put_new = RowsStatement(
            lambda given: given.packed(given.insert_new(table, names).returning(*columns))
        )
        self._find = RowsStatement(
            lambda given: given.packed(given.stored(table, key, stored.__struct_fields__))
        )

    def run(self, connection: Connection, rows: Sequence[Row]) -> list[Stored]:
        """Execute it. The keys of `rows` differ. What is stored comes in no promised order."""
        if connection.dialect.name == POSTGRESQL:
            new = self._put_new.read(connection, rows, self._schema)
            if len(new) == len(rows):
                return new
        else:
            self._put.run(connection, rows)
        keys = [tuple(getattr(row, name) for name in self._key) for row in rows]
        return self._find.read(connection, keys, self._schema)
