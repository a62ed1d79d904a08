"""What operators do with money (issue 4): suspense resolved, payments reversed, statements of accounts.

Nothing booked is ever changed: a correction is a ledger transaction of its own.

    resolution   suspense -> customer account, and then as any payment: it buys days
    reversal     the mirror of all that was booked of the payment; days whose token is made stay with the
                 device, and of the others none is made any more

A payment is corrected once in each way; of concurrent corrections one is booked.
"""

from collections.abc import Collection

import structlog
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Conflict, NotFound, Unprocessable
from backend.kit.keys import Client, market_of
from backend.kit.runtime import Clock, Entropy, iso
from backend.solarium.actions_store import Action, note
from backend.solarium.confirmations import ORDER_TOKEN, order_days, payment_event
from backend.solarium.ledger_store import (
    Correction,
    LedgerPayment,
    Moved,
    moved,
    payment,
    put_correction,
    suspended,
    turn,
)
from backend.solarium.messages import receipt
from backend.solarium.operations_store import OperationsStore
from backend.solarium.operator_schemas import (
    CorrectionView,
    ResolutionRequest,
    Statement,
    StatementLine,
    SuspensePage,
    SuspenseView,
)
from backend.solarium.orders_store import orders_bought, withdraw
from backend.solarium.posting import CUSTOMER, RESOLVED, REVERSED, SUSPENSE, Account, Entry, post
from backend.solarium.purchases import REVERSAL
from backend.solarium.store import Store

RESOLUTION = "resolution"
MAX_LINES = 1000  # of one statement: years of a customer


class Corrections:
    """A part of the service, as `External` is."""

    def __init__(self, *, store: Store, database: Database, clock: Clock, entropy: Entropy, service: str):
        self._store = store
        self._operations = OperationsStore(store.tables, store.operations)
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._log = structlog.get_logger(service=service)

    async def suspense(self, by: Client, *, before: int | None, limit: int) -> SuspensePage:
        """Payments in suspense, newest first."""
        found = await self._database.read(
            lambda connection: suspended(
                connection, self._store, markets=by.markets, before=before, limit=limit
            )
        )
        views = [
            SuspenseView(
                payment_id=each.id,
                reference=each.reference,
                business_account=each.business_account,
                provider_tx=each.provider_tx,
                provider_key=each.provider_key,
                amount_subunit=each.amount_subunit,
                currency=each.currency,
                sender_phone_number=each.sender_phone_number,
                confirmed_at=iso(each.confirmed_at_ms),
            )
            for each in found
        ]
        return SuspensePage(views, found[-1].id if len(found) == limit else None)

    async def resolve(self, payment_id: int, wanted: ResolutionRequest, by: Client) -> CorrectionView:
        """Give a payment in suspense to an account of its market and currency."""
        view = await self._database.write(lambda c: self._resolve(c, payment_id, wanted, by))
        self._log.info("payment.resolved", payment_id=payment_id, operator=by.name)
        return view

    async def reverse(self, payment_id: int, reason: str, by: Client) -> CorrectionView:
        """Book the mirror of a payment."""
        view = await self._database.write(lambda c: self._reverse(c, payment_id, reason, by))
        self._log.warning("payment.reversed", payment_id=payment_id, operator=by.name)
        return view

    async def statement(self, account_id: int, by: Client, *, from_ms: int, to_ms: int) -> Statement:
        """The account's entries from a time to another. Unprocessable: more than MAX_LINES of them."""

        def read(connection: Connection) -> tuple[str, str, list[Moved]]:
            account = self._operations.account(connection, account_id, by.markets)
            if account is None:
                raise NotFound("no such account")
            entries = moved(connection, self._store, account_id, until_ms=to_ms)
            return account.reference, account.currency, entries

        reference, currency, entries = await self._database.read(read)
        balance = opening = sum(_net(entry) for entry in entries if entry.at_ms < from_ms)
        lines: list[StatementLine] = []
        for entry in entries:
            if entry.at_ms >= from_ms:
                balance += _net(entry)
                lines.append(_line(entry, balance))
        if len(lines) > MAX_LINES:
            raise Unprocessable(f"more than {MAX_LINES} lines; ask for a shorter time")
        return Statement(account_id, reference, currency, opening, balance, lines)

    def _resolve(
        self, connection: Connection, payment_id: int, wanted: ResolutionRequest, by: Client
    ) -> CorrectionView:
        now_ms = self._clock.now_ms()
        found = self._visible(connection, payment_id, by)
        if found.outcome != SUSPENSE:
            raise Conflict(f"the payment is {found.outcome}, not in suspense")
        account = self._owner(connection, found, wanted)
        if not turn(connection, self._store, found, RESOLVED, account.id):
            raise Conflict("the payment is not in suspense any more")
        posting = post(account, account.balance_subunit, found.amount_subunit, found.provider_key)
        from_suspense = Entry(f"suspense:{found.provider_key}", None, found.amount_subunit, 0)
        correction = Correction(RESOLUTION, payment_id, by.name, wanted.reason, now_ms)
        correction_id = put_correction(
            connection, self._store, correction, found.currency, [from_suspense, *posting.entries[1:]]
        )
        self._store.set_balances(connection, {account.id: posting.balance_subunit})
        bought = [(payment_id, account.id, account.device, posting.days)]
        outgoing = order_days(connection, self._store, self._entropy, bought, now_ms)
        if account.device:
            outgoing.append(payment_event(found, account, payment_id, days=posting.days, at=iso(now_ms)))
        if not posting.days:
            told = receipt(
                payment_id,
                account,
                amount_subunit=found.amount_subunit,
                balance_subunit=posting.balance_subunit,
            )
            outgoing.append(told)
        self._store.outbox.put(connection, outgoing, now_ms)
        action = Action(
            "resolve",
            f"payment {payment_id}, account {account.id}",
            market_of(found.provider_key),
            wanted.reason,
        )
        note(connection, self._store, by, action, now_ms)
        return CorrectionView(correction_id, payment_id, RESOLVED, posting.balance_subunit, posting.days)

    def _owner(self, connection: Connection, found: LedgerPayment, wanted: ResolutionRequest) -> Account:
        """The account that the operator names, locked."""
        route = (wanted.business_account, found.currency, market_of(found.provider_key))
        for account in self._store.accounts_of(connection, [wanted.reference], lock=True):
            if (account.business_account, account.currency, account.market) == route:
                return account
        text = "is no account of the payment's market and currency"
        raise BadRequest("no such account", fields=[("reference", text)])

    def _reverse(self, connection: Connection, payment_id: int, reason: str, by: Client) -> CorrectionView:
        now_ms = self._clock.now_ms()
        found = self._visible(connection, payment_id, by)
        if found.outcome == REVERSED:
            raise Conflict("the payment is reversed already")
        balance: int | None = None
        entries = [Entry(f"clearing:{found.provider_key}", None, 0, found.amount_subunit)]
        if found.account_id is None:
            entries.append(Entry(f"suspense:{found.provider_key}", None, found.amount_subunit, 0))
        else:
            account = self._operations.account(connection, found.account_id, (), lock=True)
            if account is None:
                raise NotFound("no such account")
            booked = moved(connection, self._store, account.id, payment_id=payment_id)
            net = sum(_net(entry) for entry in booked)
            entries += _mirror(account.id, net, found.amount_subunit - net, f"revenue:{account.market}")
            balance = account.balance_subunit - net
            self._withdraw(connection, account.id, payment_id, {entry.at_ms for entry in booked})
            self._store.set_balances(connection, {account.id: balance})
        if not turn(connection, self._store, found, REVERSED, found.account_id):
            raise Conflict("the payment was changed in this moment; look again")
        correction = Correction(REVERSAL, payment_id, by.name, reason, now_ms)
        correction_id = put_correction(connection, self._store, correction, found.currency, entries)
        action = Action("reverse", f"payment {payment_id}", market_of(found.provider_key), reason)
        note(connection, self._store, by, action, now_ms)
        return CorrectionView(correction_id, payment_id, REVERSED, balance, 0)

    def _withdraw(
        self, connection: Connection, account_id: int, payment_id: int, booked_ms: Collection[int]
    ) -> None:
        """Have no token made of what a reversed payment bought, if it is not made yet."""
        tables = self._store.tables
        bought = orders_bought(connection, tables, account_id, payment_id, booked_ms)
        self._store.outbox.cancel(connection, ORDER_TOKEN, withdraw(connection, tables, bought))

    def _visible(self, connection: Connection, payment_id: int, by: Client) -> LedgerPayment:
        found = payment(connection, self._store, payment_id)
        if found is None or not by.sees(market_of(found.provider_key)):
            raise NotFound("no such payment")
        return found


def _mirror(account_id: int, net: int, cost: int, revenue: str) -> list[Entry]:
    """What takes `net` off a customer's account again, and `cost` off the revenue."""
    entries: list[Entry] = []
    if net:
        entries.append(Entry(CUSTOMER, account_id, max(net, 0), max(-net, 0)))
    if cost:
        entries.append(Entry(revenue, None, cost, 0))
    return entries


def _net(entry: Moved) -> int:
    return entry.credit_subunit - entry.debit_subunit


def _line(entry: Moved, balance_subunit: int) -> StatementLine:
    if entry.kind == REVERSAL:
        kind = REVERSAL
    elif entry.credit_subunit:
        kind = entry.kind or "payment"
    else:
        kind = "days"
    return StatementLine(
        at=iso(entry.at_ms),
        kind=kind,
        payment_id=entry.payment_id,
        provider_tx=entry.provider_tx,
        debit_subunit=entry.debit_subunit,
        credit_subunit=entry.credit_subunit,
        balance_subunit=balance_subunit,
    )
