"""What operators do with plans, accounts and devices (issue 4). A caller sees its own markets only.

    device   registering -> in_stock -> paired -> in_stock (return) or faulty (swap)
                         -> refused: Moto does not take it; it may be sent in again
    pair     money that waited on the account for a device buys days for it (purchases.py)
    swap     the days that are left on the old device are ordered anew for the new one; of the old one's
             orders nothing more is sent

operator_routes.py has the HTTP, registration.py tells Moto, corrections.py moves money.
"""

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Conflict, NotFound
from backend.kit.keys import Client, market_of
from backend.kit.runtime import Clock, Entropy, iso
from backend.solarium.accounts import NewAccount, account_row, business_row
from backend.solarium.actions_store import Action, actions, note
from backend.solarium.confirmations import order_days
from backend.solarium.customers_store import DAY_MS, paid_until_ms
from backend.solarium.events_store import events_of
from backend.solarium.operations_store import (
    FAULTY,
    IN_STOCK,
    PAIRED,
    AccountRecord,
    DeviceRecord,
    OperationsStore,
    Plan,
)
from backend.solarium.operator_schemas import (
    AccountPage,
    AccountRequest,
    AccountView,
    ActionPage,
    ActionView,
    DeviceCounts,
    DevicePage,
    DeviceView,
    EventList,
    EventView,
    PairingView,
    PlanList,
    PlanRequest,
)
from backend.solarium.orders import end_orders
from backend.solarium.purchases import spend
from backend.solarium.store import Store

MAX_EVENTS = 200  # of one answer: half a year of a device


class Operations:
    """A part of the service, as `External` is."""

    def __init__(self, *, store: Store, database: Database, clock: Clock, entropy: Entropy):
        self._store = store
        self._operations = OperationsStore(store.tables, store.operations)
        self._database = database
        self._clock = clock
        self._entropy = entropy

    # Plans

    async def create_plan(self, wanted: PlanRequest, by: Client) -> PlanRequest:
        """Add a plan. Conflict: its market has one of that name."""
        by.check(wanted.market)
        if wanted.min_days > wanted.max_days:
            raise BadRequest("a plan's limits cross", fields=[("min_days", "is above max_days")])
        row = msgspec.structs.asdict(wanted)

        def create(connection: Connection) -> None:
            if not self._operations.put_plan(connection, row):
                raise Conflict("the market has a plan of that name")
            self._note(connection, by, Action("create_plan", wanted.name, wanted.market))

        await self._database.write(create)
        return wanted

    async def plans(self, by: Client) -> PlanList:
        """Every plan."""
        found = await self._database.read(lambda connection: self._operations.plans(connection, by.markets))
        return PlanList([msgspec.convert(plan, PlanRequest, from_attributes=True) for plan in found])

    # Accounts

    async def create_account(self, wanted: AccountRequest, by: Client) -> AccountView:
        """Add an account. Conflict: the business account has given that reference."""

        def create(connection: Connection) -> AccountView:
            plans = {plan.name: plan for plan in self._operations.plans(connection, (wanted.market,))}
            businesses = self._operations.business_of(connection, wanted.business_account)
            account = self.new_account(wanted, plans.get(wanted.plan), businesses, by)
            where = {"reference": wanted.reference, "business_account": wanted.business_account}
            if self._operations.accounts(connection, (), equal=where):
                raise Conflict("the business account has an account of that reference")
            self._store.put_accounts(
                connection, [business_row(account)], [account_row(account, self._clock.now_ms())]
            )
            name = (wanted.business_account, wanted.reference)
            stored = self._operations.accounts_named(connection, [name])[name]
            if stored != msgspec.structs.replace(wanted, provider_key=""):  # another copy was faster
                raise Conflict("the business account has an account of that reference")
            view = _account_view(self._operations.accounts(connection, by.markets, equal=where)[0])
            self._note(connection, by, Action("create_account", f"account {view.id}", wanted.market))
            return view

        return await self._database.write(create)

    @staticmethod
    def new_account(
        wanted: AccountRequest, plan: Plan | None, businesses: Set[tuple[str, str]], by: Client
    ) -> NewAccount:
        """The account that a request comes to. BadRequest or Forbidden say what does not fit.

        businesses: the (market, currency) pairs of its business account, if that is here.
        """
        by.check(wanted.market)
        if market_of(wanted.provider_key) != wanted.market:
            raise BadRequest("another market's provider", fields=[("provider_key", "is of another market")])
        if plan is None:
            raise BadRequest("no such plan", fields=[("plan", "is no plan of this market")])
        if businesses - {(wanted.market, plan.currency)}:
            text = "is of another market or currency"
            raise BadRequest("another business account", fields=[("business_account", text)])
        return NewAccount(
            reference=wanted.reference,
            business_account=wanted.business_account,
            provider_key=wanted.provider_key,
            currency=plan.currency,
            market=wanted.market,
            customer_name=wanted.customer_name,
            msisdn=wanted.msisdn,
            device="",
            price_per_day_subunit=plan.price_per_day_subunit,
            min_days=plan.min_days,
            max_days=plan.max_days,
            plan=plan.name,
        )

    async def accounts(
        self, by: Client, *, equal: Mapping[str, Any], before: int | None, limit: int
    ) -> AccountPage:
        """Accounts, newest first."""
        found = await self._database.read(
            lambda connection: self._operations.accounts(
                connection, by.markets, equal=equal, before=before, limit=limit
            )
        )
        return AccountPage([_account_view(each) for each in found], next_of(found, limit))

    async def account(self, account_id: int, by: Client) -> AccountView:
        """One account with its pairings."""
        return await self._database.read(lambda connection: self._shown(connection, account_id, by))

    # Devices

    async def devices(self, by: Client, *, equal: Mapping[str, Any], after: str, limit: int) -> DevicePage:
        """Devices by serial."""
        found = await self._database.read(
            lambda connection: self._operations.devices(
                connection, by.markets, equal=equal, after=after, limit=limit
            )
        )
        following = found[-1].serial if len(found) == limit else None
        return DevicePage([_device_view(each) for each in found], following)

    async def device_counts(self, by: Client) -> DeviceCounts:
        """How many devices are in each state: how far an import is."""
        counts = await self._database.read(lambda c: self._operations.devices_by_state(c, by.markets))
        return DeviceCounts(**counts)

    async def events(self, serial: str, by: Client) -> EventList:
        """The newest billing events of a device."""

        def read(connection: Connection) -> EventList:
            if not self._operations.devices(connection, by.markets, equal={"serial": serial}):
                raise NotFound("no such device")
            rows = events_of(connection, self._store.tables, serial, limit=MAX_EVENTS)
            views = [
                EventView(
                    row.event_id,
                    row.type,
                    iso(row.occurred_at_ms),
                    iso(row.received_at_ms),
                    msgspec.json.decode(row.data, type=dict[str, object]),
                )
                for row in rows
            ]
            return EventList(serial, views)

        return await self._database.read(read)

    # Pairing

    async def pair(
        self, account_id: int, serial: str, by: Client, *, reason: str | None = None
    ) -> AccountView:
        """Pair a device in stock with an account that has none, and buy what its money is worth.

        Conflict: it is not so.
        """

        def pair(connection: Connection) -> AccountView:
            account = self._locked(connection, account_id, by)
            if account.device:
                raise Conflict("the account has a device; swap it")
            self._take(connection, account, serial)
            with_device, now_ms = replace(account, device=serial), self._clock.now_ms()
            spend(connection, self._store, self._entropy, with_device, by=by, now_ms=now_ms)
            subject = f"account {account_id}, device {serial}"
            self._note(connection, by, Action("pair", subject, account.market, reason))
            return self._shown(connection, account_id, by)

        return await self._database.write(pair)

    async def give_back(self, account_id: int, by: Client, *, reason: str | None = None) -> AccountView:
        """End the pairing; the device is in stock again. The money that is left stays on the account."""

        def give_back(connection: Connection) -> AccountView:
            account = self._locked(connection, account_id, by)
            self._release(connection, account, to=IN_STOCK, ended_by="return")
            self._operations.give_device(connection, account_id, device="")
            subject = f"account {account_id}, device {account.device}"
            self._note(connection, by, Action("return", subject, account.market, reason))
            return self._shown(connection, account_id, by)

        return await self._database.write(give_back)

    async def swap(
        self, account_id: int, serial: str, by: Client, *, reason: str | None = None
    ) -> AccountView:
        """Pair another device with the account; the days that are left move to it."""

        def swap(connection: Connection) -> AccountView:
            now_ms = self._clock.now_ms()
            account = self._locked(connection, account_id, by)
            left_ms = paid_until_ms(connection, self._store.tables, account_id) - now_ms
            self._release(connection, account, to=FAULTY, ended_by="swap")
            end_orders(connection, self._store, account_id, account.device)
            self._take(connection, account, serial)
            if left_ms > 0:
                payment_id = self._operations.last_payment(connection, account_id, account.device)
                moved = (payment_id, account_id, serial, -(-left_ms // DAY_MS))  # a day begun counts
                outgoing = order_days(connection, self._store, self._entropy, [moved], now_ms)
                self._store.outbox.put(connection, outgoing, now_ms)
            subject = f"account {account_id}, device {account.device} for {serial}"
            self._note(connection, by, Action("swap", subject, account.market, reason))
            return self._shown(connection, account_id, by)

        return await self._database.write(swap)

    async def journal(self, by: Client, *, before: int | None, limit: int) -> ActionPage:
        """What operators did, newest first."""
        found = await self._database.read(
            lambda c: actions(c, self._store, markets=by.markets, before=before, limit=limit)
        )
        views = [
            ActionView(
                each.id,
                iso(each.at_ms),
                each.operator,
                each.action,
                each.subject,
                each.market,
                each.reason,
            )
            for each in found
        ]
        return ActionPage(views, found[-1].id if len(found) == limit else None)

    def _note(self, connection: Connection, by: Client, action: Action) -> None:
        note(connection, self._store, by, action, self._clock.now_ms())

    def _locked(self, connection: Connection, account_id: int, by: Client) -> AccountRecord:
        account = self._operations.account(connection, account_id, by.markets, lock=True)
        if account is None:
            raise NotFound("no such account")
        return account

    def _take(self, connection: Connection, account: AccountRecord, serial: str) -> None:
        """Pair a device in stock with the (locked) account."""
        found = self._operations.devices(connection, (account.market,), equal={"serial": serial})
        if not found:
            raise NotFound("no such device in the account's market")
        device = found[0]
        if not self._operations.move_device(
            connection, serial, of=IN_STOCK, to=PAIRED, account_id=account.id
        ):
            raise Conflict(f"the device is {device.state}, not in stock")
        self._operations.give_device(connection, account.id, device=serial, token_family=device.token_family)
        self._operations.begin_pairing(connection, account.id, serial, self._clock.now_ms())

    def _release(self, connection: Connection, account: AccountRecord, *, to: str, ended_by: str) -> None:
        """End the (locked) account's pairing."""
        if not self._operations.move_device(connection, account.device, of=PAIRED, to=to):
            raise Conflict("the account has no device")
        self._operations.end_pairing(connection, account.id, ended_by=ended_by, now_ms=self._clock.now_ms())

    def _shown(self, connection: Connection, account_id: int, by: Client) -> AccountView:
        account = self._operations.account(connection, account_id, by.markets)
        if account is None:
            raise NotFound("no such account")
        pairings = [
            PairingView(
                each.device,
                iso(each.paired_at_ms),
                None if each.ended_at_ms is None else iso(each.ended_at_ms),
                each.ended_by,
            )
            for each in self._operations.pairings(connection, account_id)
        ]
        return msgspec.structs.replace(_account_view(account), pairings=pairings)


def next_of(found: "list[AccountRecord]", limit: int) -> int | None:
    """The `before` of the next page."""
    return found[-1].id if len(found) == limit else None


def _account_view(account: AccountRecord) -> AccountView:
    shared = {
        name: getattr(account, name)
        for name in AccountView.__struct_fields__
        if name not in ("created_at", "pairings")
    }
    return AccountView(**shared, created_at=iso(account.created_at_ms))


def _device_view(device: DeviceRecord) -> DeviceView:
    return DeviceView(device.serial, device.market, device.token_family, device.state, device.account_id)
