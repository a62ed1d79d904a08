"""The SQL of operations.py: plans, accounts, devices and their pairings.

Every statement of an account or a device is told the markets that its caller may see; none: every market.
Locks are taken in one order: accounts by id, then devices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct
from sqlalchemy import Column, Connection, func, insert, literal, literal_column, select, update

from backend.kit.rows import Given, RowsStatement, Statement, insert_new
from backend.solarium.operations_tables import OperationsTables
from backend.solarium.operator_schemas import AccountRequest
from backend.solarium.tables import Tables

REGISTERING = "registering"  # Moto and M2M are being told of it
REFUSED = "refused"  # one of them does not take it: its serial or secrets are wrong
IN_STOCK = "in_stock"
PAIRED = "paired"
FAULTY = "faulty"  # swapped for another

Markets = tuple[str, ...]


class EnteredRow(Struct, array_like=True, frozen=True):
    """A device as it comes in, in the order of the columns."""

    serial: str
    market: str
    token_family: str
    state: str
    created_at_ms: int
    identity_hash: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a day costs, and how many days one payment may buy."""

    market: str
    name: str
    currency: str
    price_per_day_subunit: int
    min_days: int
    max_days: int


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account, as operators see it."""

    id: int
    reference: str
    business_account: str
    market: str
    currency: str
    customer_name: str | None
    msisdn: str
    device: str
    token_family: str
    balance_subunit: int
    plan: str | None
    price_per_day_subunit: int
    min_days: int
    max_days: int
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """A device, as operators see it."""

    serial: str
    market: str
    token_family: str
    state: str
    account_id: int | None


@dataclass(frozen=True, slots=True)
class PairingRecord:
    """When which device was paired with an account."""

    device: str
    paired_at_ms: int
    ended_at_ms: int | None
    ended_by: str | None


class OperationsStore:
    """The statements; each runs in its caller's transaction."""

    def __init__(self, tables: Tables, operations: OperationsTables):
        self._accounts = tables.accounts
        self._businesses = tables.business_accounts
        self._orders = tables.token_orders
        self._plans = operations.plans
        self._devices = operations.devices
        self._pairings = operations.pairings
        self._put_devices = RowsStatement(self._putting_devices)

    # Plans

    def put_plan(self, connection: Connection, plan: Mapping[str, Any]) -> bool:
        """Add a plan; False: its market has one of that name."""
        return connection.execute(insert_new(connection, self._plans), dict(plan)).rowcount == 1

    def plans(self, connection: Connection, markets: Markets) -> list[Plan]:
        """Every plan of the markets."""
        table = self._plans
        columns = [table.c[name] for name in Plan.__dataclass_fields__]
        statement = select(*columns).where(*_within(table.c.market, markets))
        return [Plan(*row) for row in connection.execute(statement.order_by(table.c.market, table.c.name))]

    # Accounts

    def accounts(
        self,
        connection: Connection,
        markets: Markets,
        *,
        equal: Mapping[str, Any],
        before: int | None = None,
        limit: int = 1,
        lock: bool = False,
    ) -> list[AccountRecord]:
        """Accounts whose columns are `equal`, newest first."""
        table = self._accounts
        columns = [table.c[name] for name in AccountRecord.__dataclass_fields__]
        where = [table.c[name] == value for name, value in equal.items() if value is not None]
        if before is not None:
            where.append(table.c.id < before)
        statement = select(*columns).where(*where, *_within(table.c.market, markets))
        statement = statement.order_by(table.c.id.desc()).limit(limit)
        rows = connection.execute(statement.with_for_update() if lock else statement)
        return [AccountRecord(*row) for row in rows]

    def account(
        self, connection: Connection, account_id: int, markets: Markets, *, lock: bool = False
    ) -> AccountRecord | None:
        """One account."""
        found = self.accounts(connection, markets, equal={"id": account_id}, lock=lock)
        return found[0] if found else None

    def accounts_named(
        self, connection: Connection, names: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], AccountRequest]:
        """Those that are there of (business account, reference), as they were asked for, but the provider."""
        table = self._accounts
        statement = select(
            table.c.reference,
            table.c.business_account,
            literal("").label("provider_key"),
            table.c.market,
            func.coalesce(table.c.plan, ""),
            table.c.msisdn,
            table.c.customer_name,
        ).where(table.c.reference.in_(sorted({reference for _, reference in names})))
        found = [AccountRequest(*row) for row in connection.execute(statement)]
        return {(each.business_account, each.reference): each for each in found}

    def business_of(self, connection: Connection, business_account: str) -> set[tuple[str, str]]:
        """The (market, currency) pairs of a business account: one, or none yet."""
        table = self._businesses
        statement = select(table.c.market, table.c.currency).where(
            table.c.business_account == business_account
        )
        return {(row[0], row[1]) for row in connection.execute(statement)}

    def providers_of(self, connection: Connection, business_account: str) -> set[str]:
        """Who may pay into a business account."""
        table = self._businesses
        statement = select(table.c.provider_key).where(table.c.business_account == business_account)
        return set(connection.execute(statement).scalars())

    def give_device(
        self, connection: Connection, account_id: int, *, device: str, token_family: str | None = None
    ) -> None:
        """Write which device an account has; empty: none."""
        values = (
            {"device": device} if token_family is None else {"device": device, "token_family": token_family}
        )
        table = self._accounts
        connection.execute(update(table).where(table.c.id == account_id).values(**values))

    def last_payment(self, connection: Connection, account_id: int, device: str) -> int:
        """The payment of the newest order for a device of an account that has one."""
        table = self._orders
        statement = select(func.max(table.c.payment_id)).where(
            table.c.account_id == account_id, table.c.device == device
        )
        return connection.execute(statement).scalar_one()

    # Devices

    def put_devices(self, connection: Connection, rows: Sequence[EnteredRow]) -> None:
        """Add devices; one that was refused takes the new values, every other stays as it is."""
        self._put_devices.run(connection, rows)

    def _putting_devices(self, given: Given) -> Statement:
        insert = given.insert(self._devices, EnteredRow.__struct_fields__)
        return insert.on_conflict_do_update(
            index_elements=["serial"],
            set_={name: insert.excluded[name] for name in EnteredRow.__struct_fields__[1:]},
            where=self._devices.c.state == literal_column(f"'{REFUSED}'"),
        )

    def identities(self, connection: Connection, serials: Sequence[str]) -> dict[str, tuple[str, str | None]]:
        """State and fingerprint of the identity of those that are there."""
        table = self._devices
        found: dict[str, tuple[str, str | None]] = {}
        for start in range(0, len(serials), 500):  # a statement has so many parameters at most
            chunk = serials[start : start + 500]
            statement = select(table.c.serial, table.c.state, table.c.identity_hash)
            rows = connection.execute(statement.where(table.c.serial.in_(chunk)))
            found.update((row[0], (row[1], row[2])) for row in rows)
        return found

    def devices_by_state(self, connection: Connection, markets: Markets) -> dict[str, int]:
        """How many devices there are in each state."""
        table = self._devices
        statement = select(table.c.state, func.count()).where(*_within(table.c.market, markets))
        return {row[0]: row[1] for row in connection.execute(statement.group_by(table.c.state))}

    def devices(
        self,
        connection: Connection,
        markets: Markets,
        *,
        equal: Mapping[str, Any],
        after: str = "",
        limit: int = 1,
    ) -> list[DeviceRecord]:
        """Devices whose columns are `equal`, by serial."""
        table = self._devices
        columns = [table.c[name] for name in DeviceRecord.__dataclass_fields__]
        where = [table.c[name] == value for name, value in equal.items() if value is not None]
        statement = select(*columns).where(*where, table.c.serial > after, *_within(table.c.market, markets))
        rows = connection.execute(statement.order_by(table.c.serial).limit(limit))
        return [DeviceRecord(*row) for row in rows]

    def move_device(
        self, connection: Connection, serial: str, *, of: str, to: str, account_id: int | None = None
    ) -> bool:
        """Change a device's state from `of`; False: it has another by now."""
        table = self._devices
        held = update(table).where(table.c.serial == serial, table.c.state == of)
        return connection.execute(held.values(state=to, account_id=account_id)).rowcount == 1

    # Pairings

    def begin_pairing(self, connection: Connection, account_id: int, device: str, now_ms: int) -> None:
        """Note that a pairing began."""
        row = {"account_id": account_id, "device": device, "paired_at_ms": now_ms}
        connection.execute(insert(self._pairings), row)

    def end_pairing(self, connection: Connection, account_id: int, *, ended_by: str, now_ms: int) -> None:
        """Note that the account's pairing ended."""
        table = self._pairings
        current = update(table).where(table.c.account_id == account_id, table.c.ended_at_ms.is_(None))
        connection.execute(current.values(ended_at_ms=now_ms, ended_by=ended_by))

    def pairings(self, connection: Connection, account_id: int) -> list[PairingRecord]:
        """The account's pairings, oldest first."""
        table = self._pairings
        columns = [table.c[name] for name in PairingRecord.__dataclass_fields__]
        statement = select(*columns).where(table.c.account_id == account_id).order_by(table.c.id)
        return [PairingRecord(*row) for row in connection.execute(statement)]


def adopt_devices(connection: Connection, tables: Tables, operations: OperationsTables) -> None:
    """Enter devices of accounts that are not entered yet as paired with them."""
    accounts, devices, pairings = tables.accounts, operations.devices, operations.pairings
    missing = (
        select(
            accounts.c.device,
            func.min(accounts.c.market),
            func.min(accounts.c.token_family),
            literal(PAIRED),
            func.min(accounts.c.id),
            func.min(accounts.c.created_at_ms),
        )
        .select_from(accounts)
        .outerjoin(devices, devices.c.serial == accounts.c.device)
        .where(devices.c.serial.is_(None), accounts.c.device != "")
        .group_by(accounts.c.device)
    )
    names = ["serial", "market", "token_family", "state", "account_id", "created_at_ms"]
    connection.execute(insert(devices).from_select(names, missing))
    unnoted = (
        select(devices.c.account_id, devices.c.serial, devices.c.created_at_ms)
        .select_from(devices)
        .outerjoin(pairings, pairings.c.account_id == devices.c.account_id)
        .where(devices.c.account_id.is_not(None), pairings.c.id.is_(None))
    )
    connection.execute(insert(pairings).from_select(["account_id", "device", "paired_at_ms"], unnoted))


def _within(column: Column[str], markets: Markets) -> list[Any]:
    return [column.in_(markets)] if markets else []
