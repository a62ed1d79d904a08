"""CSV of accounts and of a shipment's devices (issue 4): dry run, row-by-row errors, all or nothing.

A file is UTF-8 with a heading row; its columns are the fields of AccountRequest or DeviceRequest
(operator_schemas.py), an empty cell is a field left out. One transaction checks every row and then, if none
is wrong, writes them all.
"""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BackendError
from backend.kit.keys import Client
from backend.kit.runtime import Clock
from backend.solarium.accounts import NewAccount, account_row, business_row
from backend.solarium.operations import Operations, check_market
from backend.solarium.operations_store import OperationsStore
from backend.solarium.operator_schemas import AccountRequest, DeviceRequest, ImportReport, RowError
from backend.solarium.registration import Registration
from backend.solarium.store import Store

MAX_ROWS = 10_000  # of one file: one transaction, during which no payment is booked

T = TypeVar("T", bound=msgspec.Struct)
Parsed = list[tuple[int, T]]  # with the line in the file, the heading is line 1
Write = Callable[[], None]
Judge = Callable[[Connection, Parsed[Any], list[RowError]], Write]


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
        self._statements = OperationsStore(store.tables, store.operations)
        self._database = database
        self._clock = clock
        self._operations = operations
        self._registration = registration

    async def accounts(self, content: bytes, by: Client, *, dry_run: bool) -> ImportReport:
        """Import accounts."""

        def judge(connection: Connection, rows: Parsed[AccountRequest], errors: list[RowError]) -> Write:
            accounts = self._accounts(connection, rows, errors, by)
            return lambda: self._put(connection, accounts)

        return await self._import(content, AccountRequest, judge, dry_run=dry_run)

    async def devices(self, content: bytes, by: Client, *, dry_run: bool) -> ImportReport:
        """Import a shipment's serials and secrets."""

        def judge(connection: Connection, rows: Parsed[DeviceRequest], errors: list[RowError]) -> Write:
            devices = [row for _, row in rows]
            known = self._registration.known(connection, [device.serial for device in devices])
            for line, device in rows:
                if device.serial in known:
                    errors.append(RowError(line, "serial", "is here already, or twice in this file"))
                known.add(device.serial)
                _judged(lambda market=device.market: check_market(by, market), line, "market", errors)
            return lambda: self._registration.enter(connection, devices)

        return await self._import(content, DeviceRequest, judge, dry_run=dry_run)

    async def _import(self, content: bytes, schema: type[T], judge: Judge, *, dry_run: bool) -> ImportReport:
        rows, errors = parse(content, schema)

        def run(connection: Connection) -> ImportReport:
            write = judge(connection, rows, errors)
            written = not errors and not dry_run
            if written:
                write()
            found = sorted(errors, key=lambda error: error.row)
            return ImportReport(dry_run, len(rows), len(rows) if written else 0, found)

        return await self._database.write(run)

    def _accounts(
        self, connection: Connection, rows: Parsed[AccountRequest], errors: list[RowError], by: Client
    ) -> list[NewAccount]:
        plans = {(plan.market, plan.name): plan for plan in self._statements.plans(connection, by.markets)}
        given: dict[str, set[str]] = {}
        markets: dict[str, str] = {}
        accounts: list[NewAccount] = []
        for line, wanted in rows:
            business = wanted.business_account
            if business not in given:
                given[business] = self._statements.references(connection, business)
            if wanted.reference in given[business]:
                errors.append(RowError(line, "reference", "is there already, or twice in this file"))
            given[business].add(wanted.reference)
            if markets.setdefault(business, wanted.market) != wanted.market:
                errors.append(RowError(line, "business_account", "is of two markets in this file"))
            plan = plans.get((wanted.market, wanted.plan))
            _judged(
                lambda wanted=wanted, plan=plan: accounts.append(
                    self._operations.new_account(connection, wanted, plan, by)
                ),
                line,
                "market",
                errors,
            )
        return accounts

    def _put(self, connection: Connection, accounts: Sequence[NewAccount]) -> None:
        now_ms = self._clock.now_ms()
        businesses = {
            (account.business_account, account.provider_key): business_row(account) for account in accounts
        }
        rows = [account_row(account, now_ms) for account in accounts]
        self._store.put_accounts(connection, list(businesses.values()), rows)


def parse(content: bytes, schema: type[T]) -> tuple[Parsed[T], list[RowError]]:
    """The rows that fit `schema`, and what is wrong with the others."""
    rows: Parsed[T] = []
    errors: list[RowError] = []
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        heading = next(reader, list[str]())
        errors += _heading_errors(heading, schema)
        for cells in reader if not errors else ():
            if len(rows) + len(errors) >= MAX_ROWS:
                errors.append(RowError(reader.line_num, "", f"is beyond {MAX_ROWS} rows; split the file"))
                break
            if cells:
                found = _row(dict(zip(heading, cells, strict=False)), schema, reader.line_num)
                if len(cells) != len(heading):
                    text = f"has {len(cells)} cells, the heading has {len(heading)}"
                    errors.append(RowError(reader.line_num, "", text))
                elif isinstance(found, RowError):
                    errors.append(found)
                else:
                    rows.append((reader.line_num, found))
    except UnicodeDecodeError:
        errors.append(RowError(1, "", "the file is not in UTF-8"))
    except csv.Error as error:
        errors.append(RowError(1 + len(rows) + len(errors), "", f"no more rows can be read: {error}"))
    return rows, errors


def _row(cells: dict[str, str], schema: type[T], line: int) -> T | RowError:
    fields = {name: cell.strip() for name, cell in cells.items() if cell.strip()}
    try:
        return msgspec.convert(fields, schema, strict=False)
    except msgspec.ValidationError as error:
        text = str(error)
        named = (name for name in cells if f"`$.{name}`" in text or f"`{name}`" in text)
        return RowError(line, next(named, ""), text.partition(" - at `")[0])


def _heading_errors(heading: list[str], schema: type[T]) -> list[RowError]:
    fields = msgspec.structs.fields(schema)
    unknown = [name for name in heading if name not in {field.name for field in fields}]
    missing = [field.name for field in fields if field.required and field.name not in heading]
    if len(heading) > len(fields):
        return [RowError(1, "", f"has more than {len(fields)} columns")]
    twice = {name for name in heading if heading.count(name) > 1}
    return [
        *(RowError(1, name[:80], "is no column of this import") for name in unknown),
        *(RowError(1, name, "is a column that is missing") for name in missing),
        *(RowError(1, name, "is there twice") for name in sorted(twice)),
    ]


def _judged(check: Callable[[], None], line: int, field: str, errors: list[RowError]) -> None:
    """Note what `check` refuses; `field` is the one at fault if it names none."""
    try:
        check()
    except BackendError as error:
        fields = error.fields or ((field, error.detail),)
        errors += [RowError(line, name, text) for name, text in fields]
