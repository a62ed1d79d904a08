"""CSV of accounts and of a shipment's devices (issue 4): dry run, row-by-row errors, all or nothing.

The columns are the fields of AccountRequest or DeviceRequest (operator_schemas.py), an empty cell is a field
left out; sheets.py reads the file.

    judge   every row, in chunks, against the file and the database; one that is wrong, and nothing is written
    write   in chunks of one transaction each, so that no payment waits for a shipment

A row that is here already with the same values is `unchanged`, so a file that was interrupted (a kill, a lost
answer) is sent again as it is, and what is missing comes in. One that is here with other values is wrong.
What a device still needs of Moto and M2M is its state (registration.py).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, cast

import msgspec
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BackendError
from backend.kit.keys import Client
from backend.kit.runtime import Clock
from backend.solarium.accounts import account_row, business_row
from backend.solarium.actions_store import Action, note
from backend.solarium.operations import Operations
from backend.solarium.operations_store import OperationsStore, Plan
from backend.solarium.operator_schemas import AccountRequest, DeviceRequest, ImportReport, RowError
from backend.solarium.registration import Registration
from backend.solarium.sheets import Parsed, chunks
from backend.solarium.store import Store

MAX_ERRORS = 1_000  # that one answer lists

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(slots=True)
class Judged(Generic[T]):
    """Of a chunk: what is to be written, what is wrong, and how many rows are here already."""

    fresh: list[T] = field(default_factory=list[T])
    errors: list[RowError] = field(default_factory=list[RowError])
    unchanged: int = 0


class Sheet(Protocol[T]):
    """One reading of a file: it remembers what it has seen, and on which line.

    A chunk may be judged more than once: PostgreSQL runs a transaction that collided again.
    """

    @property
    def schema(self) -> type[T]: ...

    def judge(self, connection: Connection, rows: Parsed[T]) -> Judged[T]:
        """What the rows come to. Writes nothing."""
        ...

    def write(self, connection: Connection, fresh: Sequence[T]) -> None:
        """Write what was judged in the same transaction."""
        ...


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

    async def accounts(self, content: bytes, by: Client, *, dry_run: bool) -> ImportReport:
        """Import accounts."""

        def sheet() -> Sheet[AccountRequest]:
            return _Accounts(self._store, self._operations, self._clock, by)

        return await self._import(content, by, sheet(), None if dry_run else sheet())

    async def devices(self, content: bytes, by: Client, *, dry_run: bool) -> ImportReport:
        """Import a shipment: serials with their secrets, link keys and passwords."""

        def sheet() -> Sheet[DeviceRequest]:
            return _Devices(self._registration, by)

        return await self._import(content, by, sheet(), None if dry_run else sheet())

    async def _import(
        self, content: bytes, by: Client, judge: Sheet[T], writer: Sheet[T] | None
    ) -> ImportReport:
        """`writer` None: a dry run."""
        rows = unchanged = imported = 0
        errors: list[RowError] = []
        for chunk in chunks(content, judge.schema):
            judged = await self._database.read(
                lambda connection, rows=chunk.rows: judge.judge(connection, rows)
            )
            rows += len(chunk.rows)
            unchanged += judged.unchanged
            errors += sorted([*chunk.errors, *judged.errors], key=lambda error: error.row)
            if len(errors) >= MAX_ERRORS:
                last = errors[MAX_ERRORS - 1].row
                errors[MAX_ERRORS - 1 :] = [RowError(last, "", "and more; correct these first")]
                break
            await asyncio.sleep(0)  # others have requests too
        if errors or writer is None:
            return ImportReport(writer is None, rows, 0, errors, unchanged)
        for chunk in chunks(content, judge.schema):

            def run(connection: Connection, rows: Parsed[T] = chunk.rows) -> Judged[T]:
                judged = writer.judge(connection, rows)
                if not judged.errors and judged.fresh:
                    writer.write(connection, judged.fresh)
                    self._note(connection, by, judged.fresh)
                return judged

            judged = await self._database.write(run)
            if judged.errors:  # somebody else entered them meanwhile
                return ImportReport(False, rows, imported, judged.errors, unchanged)
            imported += len(judged.fresh)
            await asyncio.sleep(0)
        return ImportReport(False, rows, imported, [], unchanged)

    def _note(self, connection: Connection, by: Client, fresh: Sequence[msgspec.Struct]) -> None:
        """One row a market and chunk: a key of that market sees it."""
        rows = cast("Sequence[AccountRequest | DeviceRequest]", fresh)
        for market in sorted({row.market for row in rows}):
            number = sum(row.market == market for row in rows)
            kind = "accounts" if isinstance(rows[0], AccountRequest) else "devices"
            action = Action(f"import_{kind}", f"{number} {kind}", market)
            note(connection, self._store, by, action, self._clock.now_ms())


class _Devices:
    schema = DeviceRequest

    def __init__(self, registration: Registration, by: Client):
        self._registration = registration
        self._by = by
        self._seen: dict[str, int] = {}  # its line by serial

    def judge(self, connection: Connection, rows: Parsed[DeviceRequest]) -> Judged[DeviceRequest]:
        judged = Judged[DeviceRequest]()
        known = self._registration.standing(connection, [device for _, device in rows])
        for line, device in rows:
            error = self._error(line, device, known.get(device.serial))
            if error is not None:
                judged.errors.append(RowError(line, *error))
            elif known.get(device.serial):
                judged.unchanged += 1
            else:
                judged.fresh.append(device)
        return judged

    def write(self, connection: Connection, fresh: Sequence[DeviceRequest]) -> None:
        self._registration.enter(connection, fresh)

    def _error(self, line: int, device: DeviceRequest, same: bool | None) -> tuple[str, str] | None:
        """`same`: whether the device that is here has these values; None: it is not here."""
        if self._seen.setdefault(device.serial, line) != line:
            return "serial", "is twice in this file; delete one of the rows"
        if same is False:
            return "serial", "is here already with other values; delete the row, or check the serial"
        if (device.link_key is None) != (device.password is None):
            missing = "link_key" if device.link_key is None else "password"
            return missing, "is missing: link_key and password come together, or neither"
        return _refused(lambda: self._by.check(device.market), "market")


class _Accounts:
    schema = AccountRequest

    def __init__(self, store: Store, operations: Operations, clock: Clock, by: Client):
        self._store = store
        self._statements = OperationsStore(store.tables, store.operations)
        self._operations = operations
        self._clock = clock
        self._by = by
        self._seen: dict[tuple[str, str], int] = {}  # the line of each account
        self._markets: dict[str, str] = {}  # of business accounts, as this file has them
        self._businesses: dict[
            str, set[tuple[str, str]]
        ] = {}  # as the database and the rows so far have them

    def judge(self, connection: Connection, rows: Parsed[AccountRequest]) -> Judged[AccountRequest]:
        judged = Judged[AccountRequest]()
        plans = self._plans(connection)
        known = self._statements.accounts_named(
            connection, [(wanted.business_account, wanted.reference) for _, wanted in rows]
        )
        for line, wanted in rows:
            key = (wanted.business_account, wanted.reference)
            error = self._error(line, wanted, known.get(key))
            if error is None:
                businesses = self._business_of(connection, wanted.business_account)
                plan = plans.get((wanted.market, wanted.plan))
                error = _refused(
                    lambda wanted=wanted, plan=plan, businesses=businesses: self._operations.new_account(
                        wanted, plan, businesses, self._by
                    ),
                    "market",
                )
                if error is None and plan is not None:
                    businesses.add((wanted.market, plan.currency))  # the file's later rows must fit it
            if error is not None:
                judged.errors.append(RowError(line, *error))
            elif key in known:
                judged.unchanged += 1
            else:
                judged.fresh.append(wanted)
        return judged

    def write(self, connection: Connection, fresh: Sequence[AccountRequest]) -> None:
        now_ms = self._clock.now_ms()
        plans = self._plans(connection)
        accounts = [
            self._operations.new_account(
                wanted,
                plans[wanted.market, wanted.plan],
                self._business_of(connection, wanted.business_account),
                self._by,
            )
            for wanted in fresh
        ]
        businesses = {
            (account.business_account, account.provider_key): business_row(account) for account in accounts
        }
        rows = [account_row(account, now_ms) for account in accounts]
        self._store.put_accounts(connection, list(businesses.values()), rows)

    def _error(
        self, line: int, wanted: AccountRequest, known: AccountRequest | None
    ) -> tuple[str, str] | None:
        if self._seen.setdefault((wanted.business_account, wanted.reference), line) != line:
            return "reference", "is twice in this file; delete one of the rows"
        if known is not None and msgspec.structs.replace(wanted, provider_key="") != known:
            return "reference", "is here already with other values; delete the row, or change the account"
        if self._markets.setdefault(wanted.business_account, wanted.market) != wanted.market:
            return "business_account", "is of two markets in this file"
        return None

    def _plans(self, connection: Connection) -> dict[tuple[str, str], Plan]:
        return {
            (plan.market, plan.name): plan for plan in self._statements.plans(connection, self._by.markets)
        }

    def _business_of(self, connection: Connection, business: str) -> set[tuple[str, str]]:
        if business not in self._businesses:
            self._businesses[business] = self._statements.business_of(connection, business)
        return self._businesses[business]


class _Check(Protocol):
    def __call__(self) -> object: ...


def _refused(check: _Check, field: str) -> tuple[str, str] | None:
    """What `check` refuses; `field` is the one at fault if it names none."""
    try:
        check()
    except BackendError as error:
        return error.fields[0] if error.fields else (field, error.detail)
    return None
