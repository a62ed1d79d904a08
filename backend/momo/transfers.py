"""What momo's outbox does: ask the provider, read the status, tell billing.

    request --taken, or nobody knows--> poll --paid--> confirm --> billing
            --refused, never sent-----> failed

Each step ends in `happened`: one transaction that applies the table of states.py and puts the next row.
A step that runs again (a crash, a lease that ran out) finds the state there and changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from backend.kit.batch import WriteBatch
from backend.kit.database import Database
from backend.kit.errors import BackendError, InternalError, Unavailable
from backend.kit.http import TimedOut, Unreachable
from backend.kit.outbox import Done, Handler, Leased, Outcome, Outgoing, Retry
from backend.kit.runtime import Clock, iso
from backend.momo.callback_paths import CallbackPaths
from backend.momo.ports import (
    Billing,
    Debit,
    Failed,
    OneOf,
    Provider,
    ProviderStatus,
    Standing,
    Succeeded,
    Taken,
)
from backend.momo.states import PAID, TABLE, Event, State
from backend.momo.store import PaymentRow, Store

REQUEST, POLL, CONFIRM = "request", "poll", "confirm"  # kinds of outbox rows; their key is the payment id

PROVIDER_WAIT_S = 60  # what a provider has before a payment is unknown (resolutions 23)
FORGOTTEN_S = 600  # a request that the provider still does not know was never taken: approvals last 5 minutes
FIRST_RETRY_S = 0.5  # of a request that was not taken; later ones wait a quarter of the payment's age
FIRST_POLL_S = 2.0  # the callback is nearly always sooner
MAX_POLL_S = 600.0  # between two looks at an old payment


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to a payment, and columns to write with it."""

    payment_id: str
    event: Event
    values: dict[str, str | int | None] = field(default_factory=dict[str, str | int | None])


class Transfers:
    """Handlers of the outbox kinds. `wake` is called with a payment's id after each committed change."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        store: Store,
        billing: Billing,
        providers: Mapping[str, Provider],
        callback_paths: CallbackPaths,
        wake: Callable[[str], None],
    ):
        self._database = database
        self._clock = clock
        self._store = store
        self._billing = billing
        self._providers = providers
        self._callback_paths = callback_paths
        self._wake = wake
        self._changes: WriteBatch[Change, None] = WriteBatch(database, self._apply)
        self._log = structlog.get_logger(service="momo")
        self.handlers: dict[str, Handler] = {
            REQUEST: self._request,
            POLL: self._poll,
            CONFIRM: self._confirm,
        }

    async def happened(self, change: Change) -> None:
        """Apply the table of states.py, durable when this returns."""
        await self._changes.submit(change)
        self._wake(change.payment_id)

    async def paid(self, payment_id: str, seen: Succeeded) -> bool:
        """What a statement says: the payment was made. One that is paid already stays as it is.

        False: it was paid by another transaction, so this one is still to be accounted for.
        """
        payment = await self._database.read(lambda connection: self._store.by_id(connection, payment_id))
        if payment is None:
            return False
        if payment.state in PAID:
            return payment.provider_tx == seen.provider_tx
        await self._paid(payment, seen)
        return True

    async def seen(self, payment: PaymentRow) -> ProviderStatus:
        """What its provider says became of a payment. Unavailable: it says nothing now."""
        provider = self._provider(payment)
        heard = await self._database.read(lambda c: self._store.callbacks_of(c, payment.id))
        seen = await provider.status(self._debit(payment, provider), heard)
        return await self._told_apart(payment, seen) if isinstance(seen, OneOf) else seen

    async def _told_apart(self, payment: PaymentRow, seen: OneOf) -> ProviderStatus:
        """The transaction that no other payment has; of several, nobody knows which it is."""
        named = [each.provider_tx for each in seen.transactions]
        taken = await self._database.read(lambda c: self._store.of_others(c, payment, named))
        left = [each for each in seen.transactions if each.provider_tx not in taken]
        if not left:
            return seen.otherwise
        return left[0] if len(left) == 1 else Standing.PENDING

    async def confirm_again(self, payment_ids: Sequence[str]) -> None:
        """Tell billing of paid payments once more: it does not have them, and books each once."""
        now_ms = self._clock.now_ms()
        rows = [Outgoing(CONFIRM, payment_id, {}) for payment_id in payment_ids]
        await self._database.write(lambda connection: self._store.outbox.put(connection, rows, now_ms))

    async def _request(self, row: Leased) -> Outcome:
        payment = await self._load(row)
        if payment.state not in (State.CREATED, State.UNKNOWN):
            return Done()
        # A try that reached nobody is free (_again), so a second attempt follows one of unknown fate.
        never_sent = row.attempt == 1 and payment.state is State.CREATED
        if self._left_s(payment) <= 0 or not (never_sent or self._provider(payment).repeatable):
            return await self._not_again(payment, never_sent=never_sent)
        try:
            standing = await self._ask(payment, never_sent=never_sent)
        except TimedOut as error:
            self._log.warning("payment.timed_out", payment_id=payment.id, error=error.detail)
            await self.happened(Change(payment.id, Event.TIMED_OUT))
            return Done()
        except Unavailable as error:
            return self._again(payment, error)
        match standing:
            case Succeeded():
                return await self._paid(payment, standing)
            case Failed(reason):
                return await self._refused(payment, reason)
            case Taken(handle):
                await self.happened(Change(payment.id, Event.ACCEPTED, {"handle": handle}))
            case Standing():
                await self.happened(Change(payment.id, Event.ACCEPTED))
        return Done()

    async def _ask(self, payment: PaymentRow, *, never_sent: bool) -> ProviderStatus:
        provider = self._provider(payment)
        standing = await provider.request(self._debit(payment, provider))
        if isinstance(standing, Failed) and not never_sent:
            # An earlier try may have been taken: only the status can tell.
            seen = await self.seen(payment)
            return standing if seen is Standing.NOT_FOUND else seen
        return standing

    def _again(self, payment: PaymentRow, error: Unavailable) -> Outcome:
        """The next try, in the payment's minute; a provider that wants to wait longer is not asked again."""
        left_s = self._left_s(payment) + 0.001
        wanted_s = error.retry_after_s or max(FIRST_RETRY_S, (PROVIDER_WAIT_S - left_s) / 4)
        self._log.warning("payment.provider_away", payment_id=payment.id, error=error.detail)
        return Retry(error.detail, after_s=min(wanted_s, left_s), free=isinstance(error, Unreachable))

    async def _not_again(self, payment: PaymentRow, *, never_sent: bool) -> Outcome:
        """Nobody is asked for money after the minute, nor twice where the provider would not notice."""
        if never_sent:
            return await self._refused(payment, "NOT_SENT")
        await self.happened(Change(payment.id, Event.TIMED_OUT))
        return Done()

    async def _poll(self, row: Leased) -> Outcome:
        payment = await self._load(row)
        if payment.state in PAID:
            return Done()
        try:
            repeatable = self._provider(payment).repeatable
            seen = await self.seen(payment)
        except Unavailable as error:
            return await self._look_again(payment, error.detail, at_least_s=error.retry_after_s or 0)
        match seen:
            case Succeeded():
                return await self._paid(payment, seen)
            case Failed(reason):
                return await self._refused(payment, reason)
            case Standing.NOT_FOUND if self._age_s(payment) > FORGOTTEN_S:
                return await self._refused(payment, "NOT_RECEIVED")
            case Standing.NOT_FOUND if (
                payment.state is State.UNKNOWN and repeatable and self._left_s(payment) > 0
            ):
                await self._ask_again(payment)
            case Standing() | Taken():
                pass
        return await self._look_again(payment, str(seen))

    async def _look_again(self, payment: PaymentRow, why: str, *, at_least_s: float = 0) -> Outcome:
        """The next poll; after its minute a payment is unknown, also when the provider can't be asked."""
        age_s = self._age_s(payment)
        after_s = min(max(1.0, at_least_s, age_s / 4), MAX_POLL_S)
        if payment.state in (State.CREATED, State.REQUESTED):
            if age_s < PROVIDER_WAIT_S:
                after_s = min(after_s, PROVIDER_WAIT_S - age_s + 0.001)
            else:
                await self.happened(Change(payment.id, Event.TIMED_OUT))
        return Retry(why, after_s=after_s, free=True)

    async def _confirm(self, row: Leased) -> Outcome:
        payment = await self._load(row)
        if payment.provider_tx is None or payment.paid_at_ms is None:
            raise InternalError(f"payment {payment.id} is to be confirmed, but was not paid")
        try:
            is_new = await self._billing.confirm(
                reference=payment.reference,
                amount_subunit=payment.paid_subunit or payment.amount_subunit,
                currency=payment.currency,
                sender_phone_number=payment.msisdn,
                provider_tx=payment.provider_tx,
                provider_key=payment.provider_key,
                momoep_id=payment.id,
                business_account=payment.business_account,
                received_at=iso(payment.paid_at_ms),
            )
        except BackendError as error:
            if row.is_told and not isinstance(error, Unavailable):  # it is tried on, but somebody must help
                self._log.error(
                    "payment.not_booked", payment_id=payment.id, error=f"{error.code}: {error.detail}"
                )
            raise
        self._log.info("payment.confirmed", payment_id=payment.id, duplicate=not is_new)
        await self.happened(Change(payment.id, Event.CREDITED, {"confirmed_at_ms": self._clock.now_ms()}))
        return Done()

    async def _paid(self, payment: PaymentRow, seen: Succeeded) -> Outcome:
        """What was taken is booked as it was taken; in another currency it can't be."""
        values: dict[str, str | int | None] = {
            "provider_tx": seen.provider_tx,
            "paid_at_ms": self._clock.now_ms(),
            "paid_subunit": seen.amount_subunit,
            "paid_currency": seen.currency,
        }
        fits = seen.currency == payment.currency and seen.amount_subunit > 0
        if (seen.amount_subunit, seen.currency) != (payment.amount_subunit, payment.currency):
            asked, taken = payment.amount_subunit, seen.amount_subunit
            self._log.error(
                "payment.mismatch",
                payment_id=payment.id,
                asked=f"{asked} {payment.currency}",
                taken=f"{taken} {seen.currency}",
                booked=fits,
            )
        await self.happened(Change(payment.id, Event.PAID if fits else Event.MISPAID, values))
        return Done()

    async def _refused(self, payment: PaymentRow, reason: str) -> Outcome:
        self._log.info("payment.refused", payment_id=payment.id, reason=reason)
        await self.happened(Change(payment.id, Event.REFUSED, {"failure_reason": reason[:200]}))
        return Done()

    async def _ask_again(self, payment: PaymentRow) -> None:
        row = Outgoing(REQUEST, payment.id, {})
        await self._database.write(
            lambda connection: self._store.outbox.put(connection, [row], self._clock.now_ms())
        )

    async def _load(self, row: Leased) -> PaymentRow:
        payment = await self._database.read(lambda connection: self._store.by_id(connection, row.key))
        if payment is None:
            raise InternalError(f"outbox row {row.kind} {row.key}: no such payment")
        return payment

    def _provider(self, payment: PaymentRow) -> Provider:
        provider = self._providers.get(payment.provider_key)
        if provider is None:
            raise Unavailable(f"no provider is configured for {payment.provider_key!r} any more")
        return provider

    def _debit(self, payment: PaymentRow, provider: Provider) -> Debit:
        return Debit(
            payment_id=payment.id,
            provider_ref=payment.provider_ref,
            handle=payment.handle,
            created_at_ms=payment.created_at_ms,
            base_url=payment.base_url,
            reference=payment.reference,
            amount_subunit=payment.amount_subunit,
            currency=payment.currency,
            msisdn=payment.msisdn,
            callback_url=self._callback_paths.url(provider.hook, payment.id),
        )

    def _left_s(self, payment: PaymentRow) -> float:
        return PROVIDER_WAIT_S - self._age_s(payment)

    def _age_s(self, payment: PaymentRow) -> float:
        return (self._clock.now_ms() - payment.created_at_ms) / 1000

    def _apply(self, connection: Connection, changes: Sequence[Change]) -> list[None]:
        payments = self._store.locked(connection, [change.payment_id for change in changes])
        states = {payment.id: payment.state for payment in payments.values()}
        now_ms = self._clock.now_ms()
        for change in changes:
            state = TABLE.get((states[change.payment_id], change.event))
            if state is None:
                continue
            states[change.payment_id] = state
            self._store.set_state(connection, change.payment_id, state, change.values)
            self._store.outbox.put(connection, _next_step(change.payment_id, state, now_ms), now_ms)
        return [None] * len(changes)


def _next_step(payment_id: str, state: State, now_ms: int) -> list[Outgoing]:
    """What a payment that has come to `state` needs done."""
    if state is State.SUCCEEDED:
        return [Outgoing(CONFIRM, payment_id, {})]
    if state in (State.REQUESTED, State.UNKNOWN):
        return [Outgoing(POLL, payment_id, {}, due_at_ms=now_ms + int(FIRST_POLL_S * 1000))]
    return []
