"""What the SERVICE_fill.py have in common: a million rows go in by transactions of thousands."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from backend.kit.database import Database

Put = Callable[[Connection, Sequence[int]], None]


async def in_parts(database: Database, count: int, put: Put, *, together: int) -> None:
    """Call `put` with the numbers below `count`, `together` in a transaction."""
    for first in range(0, count, together):
        numbers = range(first, min(count, first + together))
        await database.write(lambda connection, numbers=numbers: put(connection, numbers))
