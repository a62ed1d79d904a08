"""What Solarium does: validate, confirm, resolve, take callbacks, and hand payments to the ops feed.

Confirming goes through a write batch (confirmations.py decides it); what it sets going leaves through the
outbox (orders.py). The external API is in external.py, invariants are counted in audit.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
import structlog

from backend.kit.batch import MAX_BATCH, ReadBatch, WriteBatch
from backend.kit.database import Database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import BadRequest, NotFound
from backend.kit.feed import FeedItem, RowFeed
from backend.kit.keys import Client
from backend.kit.migrations import migrate
from backend.kit.outbox import Leased
from backend.kit.runtime import Clock, Entropy
from backend.kit.vault import Vault
from backend.solarium.accounts import NewAccount, account_row, business_row
from backend.solarium.audit import Audit, audit
from backend.solarium.booked_store import booked_between, booked_named
from backend.solarium.confirmations import PAYMENT, Confirmation, Confirmations
from backend.solarium.corrections import Corrections
from backend.solarium.customers import Customers
from backend.solarium.events import Events
from backend.solarium.external import External
from backend.solarium.imports import Imports
from backend.solarium.operations import Operations
from backend.solarium.orders import Orders, Partners
from backend.solarium.posting import SUSPENSE, Account
from backend.solarium.registration import Registration
from backend.solarium.schemas import (
    MAX_BOOKED,
    OK,
    AccountRoute,
    Booked,
    CommandReply,
    ConfirmRequest,
    Validation,
    epoch_ms,
)
from backend.solarium.store import SERVED, Replied, Store
from backend.solarium.validation import judge
from backend.solarium.webhook import verify

SERVICE = "solarium"


@dataclass(frozen=True, slots=True)
class SolariumConfig:
    """Secrets and addresses. `callback_base`: Solarium's own base URL, as M2M reaches it."""

    master_key: bytes = field(repr=False)
    callback_base: str
    callback_secret: bytes = field(repr=False)
    max_batch: int = MAX_BATCH


class PaymentFeed:
    """Payments for the ops topics; the bridge leases and confirms them."""

    def __init__(self, *, store: Store, database: Database, clock: Clock):
        self._database = database
        self._outbox = store.outbox
        self._rows = RowFeed(outbox=store.outbox, database=database, clock=clock, kinds=[PAYMENT])

    async def lease(self, *, limit: int, wait_s: float) -> list[FeedItem]:
        """Up to `limit` events, waiting up to `wait_s` seconds for the first."""
        if not await self._rows.wait(wait_s):
            return []
        rows = await self._database.write(lambda connection: self._rows.lease(connection, limit))
        return [_feed_item(row) for row in rows]

    async def confirm(self, ids: Sequence[int]) -> None:
        """These are published."""
        await self._database.write(lambda connection: self._outbox.done(connection, ids))


class Solarium:
    """The service. `start` before anything else, `stop` at the end."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        config: SolariumConfig,
        partners: Partners,
    ):
        vault = Vault(config.master_key, SERVICE, entropy)
        store = Store(vault.pepper)
        orders = Orders(
            store=store,
            database=database,
            clock=clock,
            vault=vault,
            partners=partners,
            callback_base=config.callback_base,
        )
        self._database = database
        self._clock = clock
        self._vault = vault
        self._store = store
        self.operations = Operations(store=store, database=database, clock=clock, entropy=entropy)
        self.corrections = Corrections(
            store=store, database=database, clock=clock, entropy=entropy, service=SERVICE
        )
        self.registration = Registration(
            store=store, database=database, clock=clock, vault=vault, partners=partners
        )
        self.imports = Imports(
            store=store,
            database=database,
            clock=clock,
            operations=self.operations,
            registration=self.registration,
        )
        self._batch = WriteBatch(
            database,
            Confirmations(store=store, clock=clock, entropy=entropy).decide,
            max_batch=config.max_batch,
            overlapping=True,
        )
        self._orders = orders
        self._replies = WriteBatch(database, store.replied)
        self._accounts = ReadBatch(database, store.accounts_by_reference)
        self._dispatcher = Dispatcher(
            outbox=store.outbox,
            database=database,
            clock=clock,
            handlers={**orders.handlers(), **self.registration.handlers()},
            settlers=orders.settlers(),
            service=SERVICE,
        )
        self._log = structlog.get_logger(service=SERVICE)
        self.config = config
        self.keys = store.keys
        self.feed = PaymentFeed(store=store, database=database, clock=clock)
        self.customers = Customers(store=store, database=database, clock=clock, vault=vault)
        self.events = Events(store=store, database=database, clock=clock, service=SERVICE)
        self.external = External(
            store=store,
            database=database,
            clock=clock,
            entropy=entropy,
            vault=vault,
            submit=self._pay,
        )

    async def start(self) -> None:
        """Bring the schema up to date, load the keys, take up what a dead process left."""
        await migrate(self._database, SERVICE)
        await self.keys.open(self._database, self._clock)
        await self._dispatcher.start()

    async def stop(self) -> None:
        """Stop at once; the database stays open, it is the caller's."""
        await self._dispatcher.stop()

    # Payments

    async def validate(
        self,
        *,
        reference: str,
        currency: str,
        business_account: str,
        provider_key: str,
        amount_subunit: int | None = None,
    ) -> Validation:
        """Whether the account would take the money (checklist 25-29)."""
        accounts = await self._accounts.submit(reference)
        account = next(
            (
                each
                for each in accounts
                if each.business_account == business_account
                and each.provider_key == provider_key
                and each.currency == currency
            ),
            None,
        )
        status = judge(account, amount_subunit)
        return Validation(status, account.customer_name if account is not None and status == OK else None)

    async def confirm(
        self,
        *,
        reference: str,
        amount_subunit: int,
        currency: str,
        sender_phone_number: str,
        provider_tx: str,
        provider_key: str,
        momoep_id: str,
        business_account: str,
        received_at: str,
        extra: Mapping[str, str] | None = None,
    ) -> bool:
        """Book a payment, once. True: new; False: its key was there. BadRequest names a wrong field.

        extra: the other fields of resolutions 7.
        """
        fields = dict(extra or {}) | dict(locals())
        for name in ("self", "extra"):
            del fields[name]
        try:
            request = msgspec.convert(fields, ConfirmRequest)
        except msgspec.ValidationError as error:
            raise BadRequest(str(error)) from error
        return (await self.book(request)).new

    async def book(self, request: ConfirmRequest) -> Confirmation:
        """`confirm` of a parsed request. What an operator must see is logged."""
        answer = await self._batch.submit(request)
        if answer.outcome == SUSPENSE:
            self._log.error("payment.suspense", payment_id=answer.payment_id, reference=request.reference)
        if answer.differs:
            self._log.error(
                "payment.repeat_differs", payment_id=answer.payment_id, provider_tx=request.provider_tx
            )
        return answer

    async def _pay(self, request: ConfirmRequest) -> str:
        return (await self.book(request)).receipt

    async def resolve(self, *, reference: str, market: str) -> AccountRoute | None:
        """The account's route by reference and market; None if no account has the reference, or several."""
        accounts = await self._accounts.submit(reference)
        found = [account for account in accounts if account.market == market]
        if len({account.id for account in found}) != 1:
            return None
        return _route(sorted(found, key=lambda account: account.provider_key))

    async def booked_payments(self, provider_key: str, transactions: Sequence[str]) -> list[Booked]:
        """Those of a provider's transactions that are in the ledger."""
        wanted = list(transactions)
        return await self._database.read(lambda c: booked_named(c, self._store, provider_key, wanted))

    async def booked_between(
        self, provider_key: str, *, first_ms: int, last_ms: int, after: int = 0
    ) -> list[Booked]:
        """A page of MAX_BOOKED of what was booked in a time; `after` is the id of the last one before."""
        return await self._database.read(
            lambda connection: booked_between(
                connection,
                self._store,
                provider_key,
                first_ms=first_ms,
                last_ms=last_ms,
                after=after,
                limit=MAX_BOOKED,
            )
        )

    # Orders

    def check_callback(self, headers: tuple[str, str, str], body: bytes) -> None:
        """Whether M2M signed `body`. Raises Unauthorized (webhook.py)."""
        verify(secret=self.config.callback_secret, headers=headers, body=body, now_ms=self._clock.now_ms())

    async def command_replied(self, order_id: str, reply: CommandReply) -> None:
        """M2M says that the device has answered; the first time counts. NotFound: not an order of ours."""
        # PostgreSQL takes no NUL in text, not even to look for it.
        order = await self._orders.stored.submit(order_id) if order_id.isprintable() else None
        if order is None:
            raise NotFound("no such order")
        if order.device != reply.identifier:
            raise BadRequest("another device", fields=[("identifier", "is not the device of this order")])
        first = await self._replies.submit(
            Replied(order_id, reply.device_response, epoch_ms(reply.delivered_at), self._clock.now_ms())
        )
        if first and reply.device_response not in SERVED:
            self._log.error(
                "order.refused", order=order_id, device=order.device, response=reply.device_response
            )
        elif first:
            self._log.info("order.replied", order=order_id, response=reply.device_response)

    async def audit(self) -> Audit:
        """Counts for the invariants of ARCHITECTURE.md."""
        return await self._database.read(lambda connection: audit(connection, self._store))

    # What a composition root installs

    async def register_accounts(self, accounts: Sequence[NewAccount]) -> None:
        """Add accounts and their business accounts; those that are there stay as they are."""
        now_ms = self._clock.now_ms()
        businesses = {
            (account.business_account, account.provider_key): business_row(account) for account in accounts
        }
        rows = [account_row(account, now_ms) for account in accounts]
        await self._database.write(
            lambda connection: self._store.put_accounts(connection, list(businesses.values()), rows)
        )

    async def install_key(self, key: str, *, client: str, markets: Sequence[str] = ()) -> None:
        """Make an API key of the inbound routes valid."""
        await self.keys.add(key, client=client, markets=markets)

    async def install_client(
        self, client_id: str, client_secret: str, *, markets: Sequence[str] = ()
    ) -> None:
        """Add a client of the external API; no market listed: every market."""
        secret_hash = self._vault.fingerprint(client_secret)
        now_ms = self._clock.now_ms()
        await self._database.write(
            lambda connection: self._store.put_client(
                connection,
                Client(client_id, tuple(markets)),
                secret_hash=secret_hash,
                now_ms=now_ms,
            )
        )


def _feed_item(row: Leased) -> FeedItem:
    payload: Mapping[str, object] = row.payload
    return FeedItem(
        id=row.id,
        serial=cast(str, payload["serial"]),
        market=cast(str, payload["market"]),
        channel=PAYMENT,
        payload=msgspec.json.encode(payload),
    )


def _route(ways: Sequence[Account]) -> AccountRoute:
    account = ways[0]
    return AccountRoute(
        reference=account.reference,
        business_account=account.business_account,
        currency=account.currency,
        provider_key=account.provider_key,
        customer_name=account.customer_name,
        provider_keys=[way.provider_key for way in ways],
    )
