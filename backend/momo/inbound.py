"""Payments that customers begin at the provider (MoMoEP, checklist 35): validated, told, booked once.

    validate  billing's word, within VALIDATE_S            MoMoEP's route
    confirm   the payment is stored, then answered         MoMoEP's route
    asked     a provider's validation call                 /hooks/MARKET/NAME/v/SECRET
    told      a provider's notice that money has moved     /hooks/MARKET/NAME/c/SECRET, or with Basic login

A payment is stored with its raw notice and the outbox row that tells billing, in one transaction;
transfers.py confirms it. The key is (provider_key, provider_tx): a repeat, and a notice about a payment that
we asked for ourselves, change nothing.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from backend.kit.batch import WriteBatch
from backend.kit.database import Database
from backend.kit.errors import BackendError, BadRequest, NotFound, Unavailable
from backend.kit.http import TimedOut
from backend.kit.outbox import Outgoing
from backend.kit.runtime import Clock, Entropy, uuid4
from backend.momo.callback_paths import CallbackPaths
from backend.momo.ports import Billing, Incoming, Paybill, Validation
from backend.momo.states import State
from backend.momo.store import PROVIDERS, PaymentRow, Store, Transaction, key_of
from backend.momo.transfers import CONFIRM

VALIDATE_S = 4.0  # of billing's word; a provider waits 8 s for ours (Daraja)
UNAVAILABLE, MALFORMED = "unavailable", "malformed"


@dataclass(frozen=True, slots=True)
class _Told:
    """A raw notice, and the payment that it is about."""

    notice: tuple[str, bytes] | None
    payment: PaymentRow | None


@dataclass(frozen=True, slots=True)
class _Taken:
    """Whether a payment is new. `differs`: its transaction was told before, with another amount."""

    new: bool
    differs: bool = False


class Inbound:
    """`paybills` by their hook."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        store: Store,
        billing: Billing,
        callback_paths: CallbackPaths,
        paybills: Mapping[str, Paybill],
    ):
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._store = store
        self._billing = billing
        self._callback_paths = callback_paths
        self._paybills = dict(paybills)
        self._told: WriteBatch[_Told, _Taken] = WriteBatch(database, self._decide)
        self._log = structlog.get_logger(service="momo")

    async def validate(
        self,
        *,
        reference: str,
        currency: str,
        business_account: str,
        provider_key: str,
        amount_subunit: int | None,
    ) -> Validation:
        """Billing's word on a payment that a customer is about to make. Unavailable: it has none in time."""
        try:
            async with asyncio.timeout(VALIDATE_S):
                return await self._billing.validate(
                    reference=reference,
                    currency=currency,
                    business_account=business_account,
                    provider_key=provider_key,
                    amount_subunit=amount_subunit,
                )
        except (TimeoutError, TimedOut) as error:
            raise Unavailable("billing does not answer; try again") from error

    async def confirm(self, incoming: Incoming, *, paid_at_ms: int | None = None) -> bool:
        """Take in a payment that was made. True: it is new; False: it was here before."""
        return await self._take(_Told(None, self._payment(incoming, paid_at_ms)))

    async def asked(self, *, hook: str, secret: str, authorization: str, body: bytes) -> Mapping[str, object]:
        """The answer to a provider's validation call, whose body is kept. NotFound: not one of our paths."""
        paybill = self._paybill(hook, secret, authorization)
        await self._told.submit(_Told((hook, body), None))
        return paybill.verdict(await self._word(paybill, body))

    async def told(self, *, hook: str, secret: str, authorization: str, body: bytes) -> Mapping[str, object]:
        """The answer to a notice, once it and its payment are stored. NotFound: not one of our paths."""
        paybill = self._paybill(hook, secret, authorization)
        incoming = self._read(paybill, body)
        payment = None if incoming is None else self._payment(incoming, None)
        is_new = await self._take(_Told((hook, body), payment))
        if payment is not None:
            self._log.info("paybill.told", hook=hook, payment_id=payment.id, duplicate=not is_new)
        return paybill.notice_answer

    async def _word(self, paybill: Paybill, body: bytes) -> str:
        """Billing's status for a validation, or why there is none."""
        incoming = self._read(paybill, body)
        if incoming is None:
            return MALFORMED
        try:
            validation = await self.validate(
                reference=incoming.reference,
                currency=incoming.currency,
                business_account=incoming.business_account,
                provider_key=incoming.provider_key,
                amount_subunit=incoming.amount_subunit,
            )
        except BackendError as error:
            self._log.warning("paybill.no_word", hook=paybill.hook, error=error.detail)
            return UNAVAILABLE
        return validation.status

    def _read(self, paybill: Paybill, body: bytes) -> Incoming | None:
        """What a call says. One that can't be read is kept, and an operator must hear of it."""
        try:
            return paybill.read(body)
        except BadRequest as error:
            self._log.error("paybill.unreadable", hook=paybill.hook, error=error.detail)
            return None

    def _paybill(self, hook: str, secret: str, authorization: str) -> Paybill:
        paybill = self._paybills.get(hook)
        if paybill is None or not paybill.authorizes(secret=secret, authorization=authorization):
            raise NotFound("no such path")
        return paybill

    def _payment(self, incoming: Incoming, paid_at_ms: int | None) -> PaymentRow:
        now_ms = self._clock.now_ms()
        payment_id = uuid4(self._entropy)
        return PaymentRow(
            id=payment_id,
            idempotency_key=f"{incoming.provider_key}:{incoming.provider_tx}",
            reference=incoming.reference,
            amount_subunit=incoming.amount_subunit,
            currency=incoming.currency,
            business_account=incoming.business_account,
            provider_key=incoming.provider_key,
            msisdn=incoming.sender,
            state=State.SUCCEEDED,
            base_url="",
            provider_ref=incoming.provider_tx,
            callback_hash=self._callback_paths.hash_for(payment_id),
            created_at_ms=now_ms,
            client=PROVIDERS,
            provider_tx=incoming.provider_tx,
            paid_at_ms=now_ms if paid_at_ms is None else paid_at_ms,
            paid_subunit=incoming.amount_subunit,
            paid_currency=incoming.currency,
        )

    async def _take(self, told: _Told) -> bool:
        """Whether it is new. What a repeat says otherwise is an alert (resolutions 7)."""
        taken = await self._told.submit(told)
        if taken.differs and told.payment is not None:
            self._log.error(
                "paybill.repeat_differs",
                provider_key=told.payment.provider_key,
                provider_tx=told.payment.provider_tx,
                amount_subunit=told.payment.amount_subunit,
                currency=told.payment.currency,
            )
        return taken.new

    def _decide(self, connection: Connection, items: Sequence[_Told]) -> list[_Taken]:
        """A batch: every notice is kept, each transaction's first payment stays."""
        now_ms = self._clock.now_ms()
        notices = [item.notice for item in items if item.notice is not None]
        if notices:
            self._store.add_notices(connection, notices, now_ms)
        firsts: dict[Transaction, PaymentRow] = {}
        for item in items:
            if item.payment is not None:
                firsts.setdefault(_transaction(item.payment), item.payment)
        stored = self._stored(connection, firsts)
        new = {row.id for row in firsts.values() if stored[_transaction(row)].id == row.id}
        self._store.outbox.put(connection, [Outgoing(CONFIRM, each, {}) for each in sorted(new)], now_ms)
        return [
            _Taken(False) if item.payment is None else _taken(item.payment, new, stored) for item in items
        ]

    def _stored(
        self, connection: Connection, firsts: Mapping[Transaction, PaymentRow]
    ) -> dict[Transaction, PaymentRow]:
        """Store what is not there yet; what is there then of each transaction."""
        if not firsts:
            return {}
        stored = self._store.booked(connection, list(firsts))
        rows = [row for transaction, row in firsts.items() if transaction not in stored]
        if rows:
            self._store.add(connection, rows)
            by_key = self._store.by_keys(connection, [key_of(row) for row in rows])
            stored.update({_transaction(row): by_key[key_of(row)] for row in rows})
        return stored


def _taken(payment: PaymentRow, new: Collection[str], stored: Mapping[Transaction, PaymentRow]) -> _Taken:
    first = stored[_transaction(payment)]
    told = (payment.amount_subunit, payment.currency)
    return _Taken(payment.id in new, told != (first.paid_subunit, first.paid_currency))


def _transaction(payment: PaymentRow) -> Transaction:
    return payment.provider_key, payment.provider_ref
