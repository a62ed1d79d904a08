"""Decides about payments. Next: states.py (the table), transfers.py (what the outbox does), store.py (SQL).

inbound.py takes in the payments that customers begin at the provider; reconciliation.py compares statements,
schedule.py has it run every day.

    pay       asks billing, stores the payment and its request in one transaction, then answers
    request   outbox: asks the provider           poll      outbox: reads the status until it is settled
    callback  stored raw, then a hint to poll now  confirm   outbox: tells billing

Every change of a payment goes through `Transfers.happened`, which applies the table of states.py.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from backend.kit.batch import WriteBatch
from backend.kit.database import Database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import Conflict, NotFound, Unavailable, Unprocessable
from backend.kit.http import TimedOut
from backend.kit.keys import market_of
from backend.kit.migrations import migrate
from backend.kit.outbox import Outgoing
from backend.kit.repeating import Repeating
from backend.kit.runtime import Clock, Entropy, uuid4
from backend.momo.callback_paths import CallbackPaths
from backend.momo.errors import BY_CODE
from backend.momo.inbound import Inbound
from backend.momo.networks import choose
from backend.momo.ports import Billing, Paybill, Provider, SharedHook, Statements, Validation
from backend.momo.reconciliation import Reconciliation
from backend.momo.reports import Reports
from backend.momo.schedule import TICK_S, Plan, Schedule
from backend.momo.schemas import Payment, RouteAnswer
from backend.momo.states import PAID, SETTLED, STATUS, State
from backend.momo.store import Key, PaymentRow, Store, key_of
from backend.momo.transfers import POLL, REQUEST, Transfers
from backend.momo.watch import Watch

MAX_WAIT_S = 30.0  # of one long poll; callers come again
RECHECK_S = 1.0  # another process on the same database may have settled it, and its commits wake nobody here
AUDIT_LIMIT = 100  # stuck payments that an audit names
VALIDATE_S = 4.0  # of billing's word on a new payment; the caller himself waits 8 s (resolutions 23)


@dataclass(frozen=True, slots=True)
class Config:
    """`callback_base_url` is where providers reach our /hooks/. `pepper` keys the hashes of api keys, and
    what ends the path of a payment's callback (callback_paths.py).

    `order_client`: whose idempotency keys those of `pay` without a client are. reconcile: when it runs by
    itself.
    """

    callback_base_url: str
    pepper: bytes = field(repr=False)
    order_client: str = "mese"
    reconcile: Plan = field(default_factory=Plan)


@dataclass(frozen=True, slots=True)
class Audit:
    """What stands in the books of momo. Amounts in subunits by currency."""

    payments_by_state: Mapping[str, int]
    confirmed_subunit: Mapping[str, int]
    stuck: tuple[str, ...]  # ids of unsettled payments older than asked for, at most AUDIT_LIMIT
    mismatched: tuple[str, ...]  # as many: money was taken in another currency, an operator decides
    dead_letters: int


class MomoService:
    """The gateway. `providers` by provider_key (resolutions 24), the hooks by their path."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        config: Config,
        billing: Billing,
        providers: Mapping[str, Provider],
        paybills: Mapping[str, Paybill] | None = None,
        shared_hooks: Mapping[str, SharedHook] | None = None,
        statements: Mapping[str, Statements] | None = None,
    ):
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._billing = billing
        self._providers = dict(providers)
        self._shared_hooks = dict(shared_hooks or {})
        self._order_client = config.order_client
        self._store = Store(config.pepper)
        self.keys = self._store.keys
        self._callback_paths = CallbackPaths(config.callback_base_url, config.pepper)
        self.inbound = Inbound(
            database=database,
            clock=clock,
            entropy=entropy,
            store=self._store,
            billing=billing,
            callback_paths=self._callback_paths,
            paybills=paybills or {},
        )
        self._watch = Watch()
        self._payments: WriteBatch[PaymentRow, PaymentRow] = WriteBatch(database, self._decide)
        self._transfers = Transfers(
            database=database,
            clock=clock,
            store=self._store,
            billing=billing,
            providers=self._providers,
            callback_paths=self._callback_paths,
            wake=self._watch.wake,
        )
        self.reconciliation = Reconciliation(
            database=database,
            clock=clock,
            entropy=entropy,
            store=self._store,
            billing=billing,
            transfers=self._transfers,
            inbound=self.inbound,
            providers=self._providers,
            statements=statements or {},
        )
        self.reports = Reports(database=database, clock=clock, store=self._store)
        self._schedule = Schedule(
            database=database,
            clock=clock,
            store=self._store,
            reconciliation=self.reconciliation,
            plan=config.reconcile,
        )
        self._repeating = Repeating(self._schedule.tick, every_s=TICK_S, service="momo", name="schedule")
        self._dispatcher = Dispatcher(
            outbox=self._store.outbox,
            database=database,
            clock=clock,
            handlers=self._transfers.handlers,
            service="momo",
        )

    async def start(self) -> None:
        """Bring the schema up to date, load the keys, take up what was left undone."""
        await migrate(self._database, "momo")
        await self.keys.open(self._database, self._clock)
        await self._dispatcher.start()
        self._repeating.start()

    async def stop(self) -> None:
        """Stop at once; what was in hand is taken up at the next start."""
        await self._repeating.stop()
        await self._dispatcher.stop()

    async def install_key(self, key: str, *, client: str, markets: Sequence[str] = ()) -> None:
        """Make an api key valid, if it is not yet."""
        await self.keys.add(key, client=client, markets=markets)

    async def resolve(self, *, reference: str, market: str, msisdn: str | None = None) -> RouteAnswer | None:
        """The route of an account of `market`, or None; `msisdn`: who pays (networks.py)."""
        route = await self._billing.resolve(reference=reference, market=market)
        if route is None:
            return None
        here = [key for key in route.provider_keys if key in self._providers]
        return RouteAnswer(
            reference=route.reference,
            business_account=route.business_account,
            currency=route.currency,
            provider_key=choose(here or route.provider_keys, msisdn),
            customer_name=route.customer_name,
        )

    async def validate(
        self,
        *,
        reference: str,
        currency: str,
        business_account: str,
        provider_key: str,
        amount_subunit: int | None = None,
    ) -> Validation:
        """Billing's word on a payment that is about to be made (checklist 12, 13)."""
        return await self._billing.validate(
            reference=reference,
            currency=currency,
            business_account=business_account,
            provider_key=provider_key,
            amount_subunit=amount_subunit,
        )

    async def pay(
        self,
        *,
        reference: str,
        amount_subunit: int,
        currency: str,
        business_account: str,
        provider_key: str,
        msisdn: str,
        idempotency_key: str,
        client: str | None = None,
    ) -> Payment:
        """Take a payment in hand; the first one, if the client used this `idempotency_key` before.

        Unprocessable: no such provider, or an amount or currency that it can't move. Conflict: the key was
        used for another payment. ReferenceNotFound, AmountTooLow, AmountTooHigh: billing's word; Unavailable:
        it has none now. Nothing is stored then.
        """
        provider = self._providers.get(provider_key)
        if provider is None:
            raise Unprocessable(f"no provider is configured for {provider_key!r}")
        provider.check(amount_subunit=amount_subunit, currency=currency)
        payment_id = uuid4(self._entropy)
        row = PaymentRow(
            id=payment_id,
            idempotency_key=idempotency_key,
            reference=reference,
            amount_subunit=amount_subunit,
            currency=currency,
            business_account=business_account,
            provider_key=provider_key,
            msisdn=msisdn,
            state=State.CREATED,
            base_url=provider.base_url,
            provider_ref=uuid4(self._entropy),
            callback_hash=self._callback_paths.hash_for(payment_id),
            created_at_ms=self._clock.now_ms(),
            client=client or self._order_client,
        )
        key = key_of(row)
        known = await self._database.read(lambda connection: self._store.by_keys(connection, [key]))
        if key in known:
            return _answer(_same(known[key], row))
        await self._check_with_billing(row)
        return _answer(_same(await self._payments.submit(row), row))

    async def _check_with_billing(self, row: PaymentRow) -> None:
        try:
            async with asyncio.timeout(VALIDATE_S):
                validation = await self.validate(
                    reference=row.reference,
                    currency=row.currency,
                    business_account=row.business_account,
                    provider_key=row.provider_key,
                    amount_subunit=row.amount_subunit,
                )
        except (TimeoutError, TimedOut) as error:
            # Not TimedOut for the caller: certainly nobody was asked for money.
            raise Unavailable("billing does not answer; nothing was paid, try again") from error
        if validation.status != "ok":
            raise BY_CODE[validation.status](f"billing refuses the payment: {validation.status}")

    async def wait(self, payment_id: str, *, wait_s: float, markets: Sequence[str] = ()) -> Payment:
        """The payment, as soon as it is confirmed or failed, or after `wait_s` seconds (at most MAX_WAIT_S).

        NotFound: no such payment, or of none of `markets` (none named: of any).
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(wait_s, MAX_WAIT_S)
        with self._watch.on(payment_id) as changed:
            while True:
                changed.clear()
                row = await self._database.read(lambda c: self._store.by_id(c, payment_id))
                if row is None or (markets and market_of(row.provider_key) not in markets):
                    raise NotFound("no such payment")
                left_s = deadline - loop.time()
                if row.state in SETTLED or left_s <= 0:
                    return _answer(row)
                try:
                    async with asyncio.timeout(min(left_s, RECHECK_S)):
                        await changed.wait()
                except TimeoutError:
                    continue

    async def find(self, idempotency_key: str, *, client: str | None = None) -> Payment | None:
        """The payment that `client` asked for with this key; None: it was never taken in hand."""
        key = (client or self._order_client, idempotency_key)
        found = await self._database.read(lambda connection: self._store.by_keys(connection, [key]))
        return _answer(found[key]) if key in found else None

    async def callback(self, *, hook: str, secret: str, body: bytes) -> Mapping[str, object] | None:
        """Keep a provider's callback as it came, and read the status now; what to answer.

        NotFound: not one of our paths.
        """
        shared = self._shared_hooks.get(hook)
        provider_ref = None if shared is None else shared.named(secret, body)

        def work(connection: Connection) -> Provider | None:
            if provider_ref is not None:
                row = self._store.by_provider_ref(connection, provider_ref)
            else:
                row = self._store.by_callback_hash(connection, self._callback_paths.hash_of(secret))
                if row is not None and not self._callback_paths.is_secret_of(secret, row.id):
                    row = None  # its row was changed
            provider = None if row is None else self._providers.get(row.provider_key)
            if row is None or provider is None or provider.hook != hook:
                return None
            now_ms = self._clock.now_ms()
            self._store.add_callback(connection, row.id, body, now_ms)
            if row.state not in PAID:
                # Not put on top of the row that waits, which may be due in minutes only.
                self._store.outbox.cancel(connection, POLL, [row.id])
                self._store.outbox.put(connection, [Outgoing(POLL, row.id, {})], now_ms)
            return provider

        provider = await self._database.write(work)
        if provider is None:
            raise NotFound("no such path")
        return provider.callback_answer

    async def audit(self, *, older_than_s: float = 120.0) -> Audit:
        """Payments by state, sums, and those that should have been settled by now."""
        before_ms = self._clock.now_ms() - int(older_than_s * 1000)
        return await self._database.read(
            lambda connection: Audit(
                payments_by_state=self._store.count_by_state(connection),
                confirmed_subunit=self._store.confirmed_by_currency(connection),
                stuck=self._store.open_before(connection, before_ms, AUDIT_LIMIT),
                mismatched=self._store.in_state(connection, State.MISMATCHED, AUDIT_LIMIT),
                dead_letters=self._store.dead_letters(connection),
            )
        )

    def _decide(self, connection: Connection, rows: Sequence[PaymentRow]) -> list[PaymentRow]:
        """A batch of new payments: each key's first one stays, with its request to the provider."""
        firsts: dict[Key, PaymentRow] = {}
        for row in rows:
            firsts.setdefault(key_of(row), row)
        self._store.add(connection, list(firsts.values()))
        stored = self._store.by_keys(connection, list(firsts))
        new = [stored[key].id for key, row in firsts.items() if stored[key].id == row.id]
        outgoing = [Outgoing(REQUEST, payment_id, {}) for payment_id in new]
        self._store.outbox.put(connection, outgoing, self._clock.now_ms())
        return [stored[key_of(row)] for row in rows]


def _same(stored: PaymentRow, asked: PaymentRow) -> PaymentRow:
    """What is stored under a key, if it is what is asked for; the route may have changed meanwhile."""
    for name in ("reference", "amount_subunit", "currency", "msisdn"):
        if getattr(stored, name) != getattr(asked, name):
            raise Conflict(f"this idempotency_key was used for a payment with another {name}; use a new key")
    return stored


def _answer(row: PaymentRow) -> Payment:
    reason = row.failure_reason if row.state is State.FAILED else None
    return Payment(payment_id=row.id, status=STATUS[row.state], reason=reason)
