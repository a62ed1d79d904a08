"""Whether the rows of an imported file are right, and what they write (imports.py has the flow)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from backend.kit.errors import BackendError, Conflict
from backend.kit.keys import Client
from backend.kit.runtime import Clock
from backend.solarium.accounts import NewAccount, account_row, business_row
from backend.solarium.operations import Operations
from backend.solarium.operations_store import OperationsStore, Plan
from backend.solarium.operator_schemas import AccountRequest, DeviceRequest, RowError
from backend.solarium.registration import Entries, Registration
from backend.solarium.sheets import Parsed
from backend.solarium.store import Store

T = TypeVar("T", AccountRequest, DeviceRequest)


@dataclass(slots=True)
class Judged(Generic[T]):
    """Of a chunk: what is to be written, what is wrong, and how many rows are here already."""

    fresh: list[T] = field(default_factory=list[T])
    errors: list[RowError] = field(default_factory=list[RowError])
    unchanged: int = 0


class Sheet(Protocol[T]):
    """One reading of a file: it remembers what it has seen, and on which line."""

    @property
    def schema(self) -> type[T]: ...

    def judge(self, connection: Connection, rows: Parsed[T]) -> Judged[T]:
        """What the rows come to. Writes nothing."""
        ...

    def prepare(self, fresh: Sequence[T]) -> None:
        """Make ready what `write` writes of them."""
        ...

    def write(self, connection: Connection) -> None:
        """Write all that was prepared. Conflict: something of it came in meanwhile, with other values."""
        ...


class DeviceSheet:
    """A shipment."""

    schema = DeviceRequest

    def __init__(self, registration: Registration, by: Client):
        self._registration = registration
        self._by = by
        self._seen: dict[str, int] = {}  # its line by serial
        self._entries: list[Entries] = []

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

    def prepare(self, fresh: Sequence[DeviceRequest]) -> None:
        self._entries.append(self._registration.entries(fresh))

    def write(self, connection: Connection) -> None:
        for entries in self._entries:
            self._registration.enter(connection, entries)

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


@dataclass(frozen=True, slots=True)
class _Ready:
    """An account that is ready to be written, and how it is read again."""

    stored: AccountRequest
    business: dict[str, Any]
    row: dict[str, Any]


class AccountSheet:
    """Accounts, each on a plan of its market.

    A row of one that is here, with a provider that its business account does not have, is new: it lets that
    provider pay in.
    """

    schema = AccountRequest

    def __init__(self, store: Store, operations: Operations, clock: Clock, by: Client):
        self._store = store
        self._statements = OperationsStore(store.tables, store.operations)
        self._operations = operations
        self._clock = clock
        self._by = by
        self._seen: dict[tuple[str, str], int] = {}  # the line of each account
        self._markets: dict[str, str] = {}  # of business accounts, as this file has them
        # The (market, currency) pairs of business accounts, as the database and the rows so far have them.
        self._businesses: dict[str, set[tuple[str, str]]] = {}
        self._providers: dict[str, set[str]] = {}  # of business accounts, as the database has them
        self._plans: dict[tuple[str, str], Plan] = {}
        self._ready: list[Mapping[tuple[str, str], _Ready]] = []

    def judge(self, connection: Connection, rows: Parsed[AccountRequest]) -> Judged[AccountRequest]:
        judged = Judged[AccountRequest]()
        plans = self._statements.plans(connection, self._by.markets)
        self._plans = {(plan.market, plan.name): plan for plan in plans}
        known = self._statements.accounts_named(connection, [_name(wanted) for _, wanted in rows])
        for line, wanted in rows:
            error = self._error(line, wanted, known.get(_name(wanted)))
            if error is None:
                businesses = self._business_of(connection, wanted.business_account)
                error = _refused(lambda wanted=wanted: self._account(wanted), "market")
                if error is None:  # the file's later rows must fit it
                    businesses.add((wanted.market, self._plans[wanted.market, wanted.plan].currency))
            if error is not None:
                judged.errors.append(RowError(line, *error))
            elif _name(wanted) in known and wanted.provider_key in self._providers[wanted.business_account]:
                judged.unchanged += 1
            else:
                judged.fresh.append(wanted)
        return judged

    def prepare(self, fresh: Sequence[AccountRequest]) -> None:
        now_ms = self._clock.now_ms()
        accounts = {_name(wanted): (wanted, self._account(wanted)) for wanted in fresh}
        self._ready.append(
            {
                name: _Ready(_stored(wanted), business_row(account), account_row(account, now_ms))
                for name, (wanted, account) in accounts.items()
            }
        )

    def write(self, connection: Connection) -> None:
        for ready in self._ready:
            businesses = {
                (each.business["business_account"], each.business["provider_key"]): each.business
                for each in ready.values()
            }
            rows = [each.row for each in ready.values()]
            self._store.put_accounts(connection, list(businesses.values()), rows)
            stored = self._statements.accounts_named(connection, list(ready))
            if any(stored[name] != each.stored for name, each in ready.items()):
                raise Conflict("an account was entered with other values in this moment")
        for business, pairs in self._businesses.items():
            if self._statements.business_of(connection, business) != pairs:
                raise Conflict("a business account was entered with other values in this moment")

    def _account(self, wanted: AccountRequest) -> NewAccount:
        """Raises what does not fit."""
        plan = self._plans.get((wanted.market, wanted.plan))
        return self._operations.new_account(wanted, plan, self._businesses[wanted.business_account], self._by)

    def _error(
        self, line: int, wanted: AccountRequest, known: AccountRequest | None
    ) -> tuple[str, str] | None:
        if self._seen.setdefault((wanted.business_account, wanted.reference), line) != line:
            return "reference", "is twice in this file; delete one of the rows"
        if known is not None and _stored(wanted) != known:
            return "reference", "is here already with other values; delete the row, or change the account"
        if self._markets.setdefault(wanted.business_account, wanted.market) != wanted.market:
            return "business_account", "is of two markets in this file"
        return None

    def _business_of(self, connection: Connection, business: str) -> set[tuple[str, str]]:
        if business not in self._businesses:
            self._businesses[business] = self._statements.business_of(connection, business)
            self._providers[business] = self._statements.providers_of(connection, business)
        return self._businesses[business]


def _name(wanted: AccountRequest) -> tuple[str, str]:
    return wanted.business_account, wanted.reference


def _stored(wanted: AccountRequest) -> AccountRequest:
    """As `accounts_named` has it."""
    return msgspec.structs.replace(wanted, provider_key="")


def _refused(check: Callable[[], object], field: str) -> tuple[str, str] | None:
    """What `check` refuses; `field` is the one at fault if it names none."""
    try:
        check()
    except BackendError as error:
        return error.fields[0] if error.fields else (field, error.detail)
    return None
