"""What momo's outbox does: ask the provider, read the status, tell billing.

    request --taken, or nobody knows--> poll --paid--> confirm --> billing
            --refused-----------------> failed

Each step ends in `happened`: one transaction that applies the table of states.py and puts the next row.
A step that runs again (a crash, a lease that ran out) finds the state there and changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from backend.kit.batch import WriteBatch
from backend.kit.database import Database
from backend.kit.errors import InternalError, Unavailable
from backend.kit.http import TimedOut
from backend.kit.outbox import Dead, Done, Handler, Leased, Outcome, Outgoing, Retry
from backend.kit.runtime import Clock, iso
from backend.momo.ports import Billing, Debit, Failed, Provider, Standing, Succeeded
from backend.momo.states import PAID, TABLE, Event, State
from backend.momo.store import PaymentRow, Store

REQUEST, POLL, CONFIRM = "request", "poll", "confirm"  # kinds of outbox rows; their key is the payment id

PROVIDER_WAIT_S = 60  # what a provider has before a payment is unknown (resolutions 23)
FORGOTTEN_S = 600  # a request that the provider still does not know was never taken: approvals last 5 minutes
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
        callback_base_url: str,
        wake: Callable[[str], None],
    ):
        self._database = database
        self._clock = clock
        self._store = store
        self._billing = billing
        self._providers = providers
        self._callback_base_url = callback_base_url.rstrip("/")
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

    async def _request(self, row: Leased) -> Outcome:
        payment = await self._load(row)
        if payment.state not in (State.CREATED, State.UNKNOWN):
            return Done()
        provider = self._provider(payment)
        try:
            standing = await provider.request(self._debit(payment, provider))
            if isinstance(standing, Failed) and (row.attempt > 1 or payment.state is State.UNKNOWN):
                # An earlier try may have been taken: only the status can tell.
                seen = await provider.status(payment.provider_ref, base_url=payment.base_url)
                standing = standing if seen is Standing.NOT_FOUND else seen
        except TimedOut as error:
            self._log.warning("payment.timed_out", payment_id=payment.id, error=error.detail)
            await self.happened(Change(payment.id, Event.TIMED_OUT))
            return Done()
        except Unavailable as error:
            if self._age_s(payment) < PROVIDER_WAIT_S:
                return Retry(error.detail, after_s=error.retry_after_s)
            await self.happened(Change(payment.id, Event.TIMED_OUT))
            return Done()
        match standing:
            case Succeeded():
                return await self._paid(payment, standing)
            case Failed(reason):
                return await self._refused(payment, reason)
            case Standing():
                await self.happened(Change(payment.id, Event.ACCEPTED))
                return Done()

    async def _poll(self, row: Leased) -> Outcome:
        payment = await self._load(row)
        if payment.state in PAID:
            return Done()
        provider = self._provider(payment)
        seen = await provider.status(payment.provider_ref, base_url=payment.base_url)
        age_s = self._age_s(payment)
        match seen:
            case Succeeded():
                return await self._paid(payment, seen)
            case Failed(reason):
                return await self._refused(payment, reason)
            case Standing.NOT_FOUND if age_s > FORGOTTEN_S:
                return await self._refused(payment, "NOT_RECEIVED")
            case Standing.NOT_FOUND if payment.state is State.UNKNOWN and age_s <= PROVIDER_WAIT_S:
                await self._ask_again(payment)
            case Standing():
                pass
        if age_s > PROVIDER_WAIT_S and payment.state in (State.CREATED, State.REQUESTED):
            await self.happened(Change(payment.id, Event.TIMED_OUT))
        return Retry(seen.value, after_s=min(max(1.0, age_s / 4), MAX_POLL_S), free=True)

    async def _confirm(self, row: Leased) -> Outcome:
        payment = await self._load(row)
        if payment.provider_tx is None or payment.paid_at_ms is None:
            raise InternalError(f"payment {payment.id} is to be confirmed, but was not paid")
        is_new = await self._billing.confirm(
            reference=payment.reference,
            amount_subunit=payment.amount_subunit,
            currency=payment.currency,
            sender_phone_number=payment.msisdn,
            provider_tx=payment.provider_tx,
            provider_key=payment.provider_key,
            momoep_id=payment.id,
            business_account=payment.business_account,
            received_at=iso(payment.paid_at_ms),
        )
        self._log.info("payment.confirmed", payment_id=payment.id, duplicate=not is_new)
        await self.happened(Change(payment.id, Event.CREDITED, {"confirmed_at_ms": self._clock.now_ms()}))
        return Done()

    async def _paid(self, payment: PaymentRow, seen: Succeeded) -> Outcome:
        if (seen.amount_subunit, seen.currency) != (payment.amount_subunit, payment.currency):
            return Dead(f"payment {payment.id}: the provider took {seen.amount_subunit} {seen.currency}")
        values: dict[str, str | int | None] = {
            "provider_tx": seen.provider_tx,
            "paid_at_ms": self._clock.now_ms(),
        }
        await self.happened(Change(payment.id, Event.PAID, values))
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
            base_url=payment.base_url,
            reference=payment.reference,
            amount_subunit=payment.amount_subunit,
            currency=payment.currency,
            msisdn=payment.msisdn,
            callback_url=f"{self._callback_base_url}/hooks/{provider.hook}/{payment.callback_secret}",
        )

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
