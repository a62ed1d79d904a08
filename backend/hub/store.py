"""The tables of `hub`: its API keys, and which client created which command.

M2M knows all clients of the hub as one, and numbers commands one after the other.
"""

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, select

from backend.kit.keys import ApiKeys
from backend.kit.rows import insert_new


class Store:
    """All that the hub keeps."""

    def __init__(self, pepper: bytes):
        self.metadata = MetaData()
        self.keys = ApiKeys(self.metadata, pepper)
        self.commands = Table(
            "commands",
            self.metadata,
            Column("id", BigInteger, primary_key=True, autoincrement=False),
            Column("client", Text, nullable=False),
        )

    def add_command(self, connection: Connection, command_id: int, client: str) -> None:
        """Note whose command it is; again changes nothing."""
        statement = insert_new(connection, self.commands)
        connection.execute(statement, [{"id": command_id, "client": client}])

    def client_of(self, connection: Connection, command_id: int) -> str | None:
        """Who created a command; None: nobody did it here."""
        table = self.commands
        found: str | None = connection.scalar(select(table.c.client).where(table.c.id == command_id))
        return found
