"""What a provider remembers by name: its key, a setting, whether a number's last request went wrong."""

from collections.abc import Callable

from sqlalchemy import Column, Connection, MetaData, Table, Text, select

from backend.kit.rows import insert_into


class Facts:
    """The table and its statements."""

    def __init__(self, metadata: MetaData):
        self._table = Table(
            "facts",
            metadata,
            Column("name", Text, primary_key=True),
            Column("value", Text, nullable=False),
        )

    def get(self, connection: Connection, name: str) -> str:
        """What is remembered, or nothing."""
        statement = select(self._table.c.value).where(self._table.c.name == name)
        return connection.execute(statement).scalar() or ""

    def set(self, connection: Connection, name: str, value: str) -> None:
        """Remember it."""
        insert = insert_into(connection.dialect.name, self._table).values(name=name, value=value)
        connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": value}))

    def made(self, connection: Connection, name: str, make: Callable[[], str]) -> str:
        """What is remembered; `make` makes it when it is asked for first."""
        value = self.get(connection, name)
        if not value:
            value = make()
            self.set(connection, name, value)
        return value

    def every_other(self, connection: Connection, number: str) -> bool:
        """Whether this request of a number is one of those that go wrong: the first, the third ..."""
        name = f"often:{number}"
        is_first = self.get(connection, name) != "1"
        self.set(connection, name, "1" if is_first else "0")
        return is_first
