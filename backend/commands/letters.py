"""`payg letters`: what a service could not send (kit/outbox.py). It works beside running services.

    list    dead letters, and rows that are tried still after LATE attempts, the oldest first
    retry   dead letters get all their attempts again; what is tried still needs no help

Payloads may hold secrets and are never shown. A short message that failed is not sent again: its client was
told, and sends another one.
"""

from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import structlog
from sqlalchemy import Connection, MetaData

from backend.commands.opening import database_of
from backend.kit.database import Database
from backend.kit.dispatcher import LATE
from backend.kit.errors import CannotStart
from backend.kit.outbox import DeadLetter, Outbox
from backend.kit.runtime import SystemClock, iso
from backend.mega.delivery import LANES
from backend.process import configured, exit_code_of

MAX_SHOWN = 1_000  # rows of one list
FINAL = {"mega": frozenset(LANES.values())}  # kinds by service whose end was told already


def show(service: str, data_dir: Path, database_url: str | None) -> int:
    """Print a line for each: its id, whether it is dead, what it is, its attempts, since when, its error."""

    async def work(database: Database, outbox: Outbox) -> None:
        rows = await database.read(lambda c: outbox.undelivered(c, attempts=LATE, limit=MAX_SHOWN))
        for letter, is_dead in rows:
            print(
                f"{letter.id}  {'dead' if is_dead else 'late'}  {letter.kind} {letter.key}  "
                f"attempts={letter.attempts}  since={iso(letter.created_at_ms)}  {letter.last_error}"
            )

    return _run(service, data_dir, database_url, work)


def retry(service: str, data_dir: Path, database_url: str | None, *, ids: Collection[int] | None) -> int:
    """Send the dead letters of these ids again; None: all."""

    async def work(database: Database, outbox: Outbox) -> None:
        if ids is not None and not ids:
            raise CannotStart(f"name ids of payg letters list {service}, or --all")
        final = FINAL.get(service, frozenset())
        revived = await database.write(lambda connection: _revive(connection, outbox, ids, final))
        for letter in revived:
            structlog.get_logger().info("letters.retried", service=service, kind=letter.kind, key=letter.key)
        print(f"sent again: {len(revived)}")

    return _run(service, data_dir, database_url, work)


def _revive(
    connection: Connection, outbox: Outbox, ids: Collection[int] | None, final: Collection[str]
) -> list[DeadLetter]:
    """CannotStart, and nothing changed, if one of `ids` is no letter that may go again."""
    now_ms = SystemClock().now_ms()
    rows = outbox.undelivered(connection, attempts=LATE, limit=MAX_SHOWN)
    letters = [letter for letter, is_dead in rows if is_dead and letter.kind not in final]
    wanted = [letter for letter in letters if ids is None or letter.id in ids]
    missing = set(ids or ()) - {letter.id for letter in wanted}
    if missing:
        raise CannotStart(f"nothing was sent: {', '.join(map(str, sorted(missing)))} can't be sent again")
    return [letter for letter in wanted if outbox.revive(connection, letter, now_ms)]


def _run(
    service: str,
    data_dir: Path,
    database_url: str | None,
    work: Callable[[Database, Outbox], Awaitable[None]],
) -> int:
    async def opened() -> None:
        configured()
        async with database_of(service, data_dir, database_url) as database:
            await work(database, Outbox(MetaData()))

    return exit_code_of(opened)
