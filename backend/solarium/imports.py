"""CSV of accounts and of a shipment's devices (issue 4): dry run, row-by-row errors, all or nothing.

The columns are the fields of AccountRequest or DeviceRequest (operator_schemas.py), an empty cell is a field
left out; sheets.py reads the file, judging.py knows what is right.

    judge    every row, in chunks, against the file and the database; one is wrong: nothing is written
    prepare  what the new ones come to, sealed and hashed, outside every transaction
    write    all of it in one transaction: 100,000 devices hold SQLite's writer for some 2 s

Whatever happens meanwhile (a kill, a lost answer, another operator), the file is in as a whole or not at all.
A row that is here already with the same values is `unchanged`, so a file may be sent again as it is; one that
is here with other values is wrong. What a device still needs of Moto and M2M is its state (registration.py).
"""

import asyncio
from collections import Counter
from collections.abc import Callable

import msgspec
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import Conflict
from backend.kit.keys import Client
from backend.kit.runtime import Clock
from backend.solarium.actions_store import Action, note
from backend.solarium.judging import AccountSheet, DeviceSheet, Sheet, T
from backend.solarium.operations import Operations
from backend.solarium.operator_schemas import AccountRequest, DeviceRequest, ImportReport, RowError
from backend.solarium.registration import Registration
from backend.solarium.sheets import chunks
from backend.solarium.store import Store

MAX_ERRORS = 1_000  # that one answer lists
TRIES = 3  # when another operator enters a row between the judgement and the transaction, all is judged again
OVERTAKEN = "others enter rows of this file in this moment; nothing of it is in, send it again"

Fresh = Counter[str]  # new rows by market


class Imports:
    """A part of the service, as `External` is."""

    def __init__(
        self,
        *,
        store: Store,
        database: Database,
        clock: Clock,
        operations: Operations,
        registration: Registration,
    ):
        self._store = store
        self._database = database
        self._clock = clock
        self._operations = operations
        self._registration = registration
        self._one = asyncio.Lock()  # a large file is in memory once, not once an operator

    async def accounts(self, content: bytes, by: Client, *, dry_run: bool) -> ImportReport:
        """Import accounts."""

        def sheet() -> Sheet[AccountRequest]:
            return AccountSheet(self._store, self._operations, self._clock, by)

        return await self._import("accounts", content, by, sheet, dry_run=dry_run)

    async def devices(self, content: bytes, by: Client, *, dry_run: bool) -> ImportReport:
        """Import a shipment: serials with their secrets, link keys and passwords."""

        def sheet() -> Sheet[DeviceRequest]:
            return DeviceSheet(self._registration, by)

        return await self._import("devices", content, by, sheet, dry_run=dry_run)

    async def _import(
        self, kind: str, content: bytes, by: Client, begin: Callable[[], Sheet[T]], *, dry_run: bool
    ) -> ImportReport:
        """Conflict: somebody else entered rows of the file between each judgement and its transaction."""
        if dry_run:
            return (await self._judge(content, begin(), keep=False))[0]
        async with self._one:
            for _ in range(TRIES):
                sheet = begin()
                report, fresh = await self._judge(content, sheet, keep=True)
                if report.errors:
                    return report

                def write(connection: Connection, sheet: Sheet[T] = sheet, fresh: Fresh = fresh) -> None:
                    sheet.write(connection)
                    self._note(connection, by, kind, fresh)

                try:
                    await self._database.write(write)
                except Conflict:
                    continue
                return msgspec.structs.replace(report, imported=fresh.total())
        raise Conflict(OVERTAKEN)

    async def _judge(self, content: bytes, sheet: Sheet[T], *, keep: bool) -> tuple[ImportReport, Fresh]:
        """The report of a file of which nothing is written, and how many rows are new in each market."""
        rows = unchanged = 0
        errors: list[RowError] = []
        fresh: Fresh = Counter()
        for chunk in chunks(content, sheet.schema):
            judged = await self._database.read(
                lambda connection, rows=chunk.rows: sheet.judge(connection, rows)
            )
            rows += len(chunk.rows)
            unchanged += judged.unchanged
            errors += sorted([*chunk.errors, *judged.errors], key=lambda error: error.row)
            fresh.update(row.market for row in judged.fresh)
            if len(errors) >= MAX_ERRORS:
                last = errors[MAX_ERRORS - 1].row
                errors[MAX_ERRORS - 1 :] = [RowError(last, "", "and more; correct these first")]
                break
            if keep and not errors:
                sheet.prepare(judged.fresh)
            await asyncio.sleep(0)  # others have requests too
        return ImportReport(not keep, rows, 0, errors, unchanged), fresh

    def _note(self, connection: Connection, by: Client, kind: str, fresh: Fresh) -> None:
        """One row a market: a key of that market sees it."""
        for market, number in sorted(fresh.items()):
            action = Action(f"import_{kind}", f"{number} {kind}", market)
            note(connection, self._store, by, action, self._clock.now_ms())
