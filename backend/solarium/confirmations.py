"""The decision on a batch of payments: one transaction, set-based (ARCHITECTURE.md, Writes).

Deduplicated by (provider_tx, provider_key) within the batch and against the table, posted in the order they
came with a running balance for each account, written with a few multi-row statements. What must leave goes
into the outbox of the same transaction: token orders (orders.py), payment events (the feed), and a word to
the customer where there is no token to tell him (messages.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct
from sqlalchemy import Connection

from backend.kit.outbox import Outgoing
from backend.kit.round_trips import together
from backend.kit.runtime import Clock, Entropy, iso, token_hex
from backend.solarium.messages import receipt
from backend.solarium.posting import CREDITED, SUSPENSE, Account, Posting, post, split
from backend.solarium.schemas import ConfirmRequest, epoch_ms
from backend.solarium.store import ORDERED, Paid, Store
from backend.solarium.tables import EntryRow, OrderRow, PaymentRow, TransactionRow

ORDER_TOKEN = "order_token"  # noqa: S105 - an outbox kind
PAYMENT = "payment"

# Bytes of an order's id; before them stands the time, so that new ids are neighbours on disk.
ORDER_RANDOM = 12

Routes = Mapping[tuple[str, str, str], Account]  # by business account, reference and provider key
Key = tuple[str, str]  # (provider_tx, provider_key): unique for ever (resolutions 8)


class Confirmation(Struct, frozen=True):
    """The answer to one request. `differs`: a duplicate that says something else than the first (`_told`)."""

    new: bool
    payment_id: int
    receipt: str
    outcome: str = ""
    differs: bool = False


@dataclass(slots=True)
class _Booking:
    """One new payment on its way into the ledger."""

    request: ConfirmRequest
    account: Account | None
    payment_id: int
    posting: Posting


class Confirmations:
    """`decide` is what the write batch of service.py runs."""

    def __init__(self, *, store: Store, clock: Clock, entropy: Entropy):
        self._store = store
        self._clock = clock
        self._entropy = entropy

    def decide(self, connection: Connection, requests: Sequence[ConfirmRequest]) -> list[Confirmation]:
        """Book what is new; one answer a request, in order."""
        now_ms = self._clock.now_ms()
        firsts: dict[Key, ConfirmRequest] = {}
        for request in requests:
            firsts.setdefault(_key(request), request)
        references = {request.reference for request in firsts.values()}
        accounts = _routes(self._store.accounts_of(connection, references, lock=True))
        batch = token_hex(self._entropy, 12)
        rows = [
            _payment(firsts[key], _fitting(accounts, firsts[key]), f"{batch}{number:04x}", now_ms)
            for number, key in enumerate(sorted(firsts))
        ]
        stored = self._store.put_payments(connection, rows)
        # New are those that have the receipt that we gave them; with the others somebody was first.
        ours = {(row.provider_tx, row.provider_key): row.receipt for row in rows}
        new = {key: first for key, first in firsts.items() if stored[key].receipt == ours[key]}
        bookings = _post(new, accounts, stored)
        if bookings:
            self._write(connection, bookings, now_ms)

        answers = {
            id(booking.request): Confirmation(
                True,
                booking.payment_id,
                ours[_key(booking.request)],
                booking.posting.outcome,
            )
            for booking in bookings
        }
        return [answers.get(id(request)) or _repeat(request, stored[_key(request)]) for request in requests]

    def _write(self, connection: Connection, bookings: Sequence[_Booking], now_ms: int) -> None:
        """Write everything that follows from the new payments."""
        store = self._store
        booked = [TransactionRow(each.payment_id, each.payment_id, now_ms) for each in bookings]
        balances = {
            each.account.id: each.posting.balance_subunit for each in bookings if each.account is not None
        }
        bought = [
            (each.payment_id, each.account.id, each.account.device, each.posting.days)
            for each in bookings
            if each.account is not None
        ]
        at = iso(now_ms)
        events = [
            payment_event(each.request, each.account, each.payment_id, days=each.posting.days, at=at)
            for each in bookings
            if each.account is not None and each.account.device
        ]
        receipts = [
            receipt(
                each.payment_id,
                each.account,
                amount_subunit=each.request.amount_subunit,
                balance_subunit=each.posting.balance_subunit,
            )
            for each in bookings
            if each.account is not None and not each.posting.days
        ]
        with together(connection):
            store.put_transactions(connection, booked)
            store.put_entries(connection, [entry for each in bookings for entry in _entries(each)])
            store.set_balances(connection, balances)
            orders = order_days(connection, store, self._entropy, bought, now_ms)
            store.outbox.put(connection, orders + events + receipts, now_ms)


def order_days(
    connection: Connection,
    store: Store,
    entropy: Entropy,
    bought: Sequence[tuple[int, int, str, int]],
    now_ms: int,
) -> list[Outgoing]:
    """Store orders for what was bought: (payment, account, device, days). The outbox rows that they need.

    Their ids are part of callback URLs and not to be guessed.
    """
    wanted = [
        (payment_id, account_id, device, days)
        for payment_id, account_id, device, total in bought
        for days in split(total)
    ]
    random = entropy.token_bytes(ORDER_RANDOM * len(wanted)).hex()
    size = 2 * ORDER_RANDOM
    ids = [f"{now_ms:011x}-{random[start : start + size]}" for start in range(0, len(random), size)]
    orders = [
        OrderRow(order_id, payment_id, account_id, device, days, ORDERED, now_ms)
        for order_id, (payment_id, account_id, device, days) in zip(ids, wanted, strict=True)
    ]
    store.put_orders(connection, orders)
    return [Outgoing(ORDER_TOKEN, order.id, {"device": order.device, "days": order.days}) for order in orders]


def _post(new: Mapping[Key, ConfirmRequest], accounts: Routes, stored: Mapping[Key, Paid]) -> list[_Booking]:
    """Post the new payments in the order they came, with a running balance for each account."""
    balances: dict[int, int] = {}
    bookings: list[_Booking] = []
    for key, request in new.items():
        account = _fitting(accounts, request)
        balance = 0 if account is None else balances.get(account.id, account.balance_subunit)
        posting = post(account, balance, request.amount_subunit, request.provider_key)
        if account is not None:
            balances[account.id] = posting.balance_subunit
        bookings.append(_Booking(request, account, stored[key].id, posting))
    return bookings


def _key(request: ConfirmRequest) -> Key:
    return request.provider_tx, request.provider_key


def _routes(accounts: Sequence[Account]) -> Routes:
    return {(each.business_account, each.reference, each.provider_key): each for each in accounts}


def _fitting(accounts: Routes, request: ConfirmRequest) -> Account | None:
    """The account that the payment is for, if its currency and provider fit (resolutions 6)."""
    account = accounts.get((request.business_account, request.reference, request.provider_key))
    return None if account is None or account.currency != request.currency else account


def _payment(request: ConfirmRequest, account: Account | None, receipt: str, now_ms: int) -> PaymentRow:
    return PaymentRow(
        receipt=receipt,
        provider_tx=request.provider_tx,
        provider_key=request.provider_key,
        account_id=None if account is None else account.id,
        outcome=SUSPENSE if account is None else CREDITED,
        reference=request.reference,
        business_account=request.business_account,
        amount_subunit=request.amount_subunit,
        currency=request.currency,
        sender_phone_number=request.sender_phone_number,
        sender_masked="*" in request.sender_phone_number,
        momoep_id=str(request.momoep_id),
        received_at_ms=epoch_ms(request.received_at),
        confirmed_at_ms=now_ms,
        provider_name=request.provider_name,
        provider_brand=request.provider_brand,
        provider_country=request.provider_country,
        provider_humanized=request.provider_humanized,
        sender_name=request.sender_name,
        transaction_at=request.transaction_at,
        transaction_kind=request.transaction_kind,
        secondary_provider_tx=request.secondary_provider_tx,
    )


def _entries(booking: _Booking) -> list[EntryRow]:
    return [
        EntryRow(
            booking.payment_id,
            entry.ledger_account,
            entry.account_id,
            booking.request.currency,
            entry.debit_subunit,
            entry.credit_subunit,
        )
        for entry in booking.posting.entries
    ]


class Shown(Protocol):
    """What of a payment is shown."""

    @property
    def amount_subunit(self) -> int: ...

    @property
    def currency(self) -> str: ...

    @property
    def provider_key(self) -> str: ...


def payment_event(payment: Shown, account: Account, payment_id: int, *, days: int, at: str) -> Outgoing:
    """A payment as the ops topic shows it: nothing of who paid."""
    payload = {
        "serial": account.device,
        "market": account.market,
        "at": at,
        "reference": account.reference,
        "amount_subunit": payment.amount_subunit,
        "currency": payment.currency,
        "days": days,
        "provider_key": payment.provider_key,
    }
    return Outgoing(PAYMENT, str(payment_id), payload)


def _repeat(request: ConfirmRequest, first: Paid) -> Confirmation:
    return Confirmation(False, first.id, first.receipt, differs=_told(request) != _told(first))


def _told(payment: ConfirmRequest | Paid) -> tuple[int, str, str, str]:
    """What a repeat has to have in common with the first."""
    return payment.amount_subunit, payment.currency, payment.reference, payment.business_account
