"""The desk: what customers send is kept once and answered by SMS. Next: keywords.py (the texts).

    receive   kept, with the row that answers it; the same message of a provider again changes nothing
    answer    outbox: asks for the customer's accounts in the market of his number, and answers by SMS
    pay       a payment is asked for with a key of its message: a handler that runs again asks for no second
    follow    outbox: a payment that fails in the end is told; one that succeeds is told by its token. Where
              momo stays away it is looked for by its key first: who may have been asked for his PIN must not
              be told to pay again

Answered are keywords, and anything else only if the number has an account: an auto-reply of a stranger starts
no conversation. MAX_HOURLY bounds what one number can make us send.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import structlog
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BackendError, Unavailable
from backend.kit.http import TimedOut
from backend.kit.outbox import Dead, Done, Leased, Outcome, Outgoing, Policy, Retry
from backend.kit.runtime import Clock, Entropy, uuid4
from backend.mega import keywords
from backend.mega.keywords import Balance, LastToken, Pay, wish_of
from backend.mega.ports import Accounts, CustomerAccount, Payments, Received
from backend.mega.schemas import MAX_TEXT
from backend.mega.store import Store
from backend.mega.tables import InboundRow

ANSWER, FOLLOW = "answer", "follow"
ANSWER_TRIES = 6  # about 15 s of a partner that is away; then the customer is told so
ANSWER_POLICY = Policy(attempts=60)
FOLLOW_AGAIN_S = 10.0  # between the first looks at a payment that is not settled
LOST_S = 20.0  # twice what a request to momo may take: it has arrived by then, or never will
FOLLOW_MAX_S = 600.0  # a payment whose provider is silent waits for days
MAX_HOURLY = 20  # messages of one number in an hour that are answered
HOUR_MS = 3_600_000


class Send(Protocol):
    """MegaService.send."""

    def __call__(self, *, to: str, text: str, market: str, reference: str) -> Awaitable[object]: ...


@dataclass(frozen=True, slots=True)
class Partners:
    """The services that are asked."""

    accounts: Accounts
    payments: Payments


class Desk:
    """Handlers for the dispatcher. Without `partners` messages are kept and nobody is answered."""

    def __init__(
        self,
        *,
        store: Store,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        send: Send,
        serves: Callable[[str, str], bool],
    ):
        self._store = store
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._send = send
        self._serves = serves  # whether a provider (first) is one of a market's
        self._log = structlog.get_logger(service="mega")
        self.partners: Partners | None = None
        self.handlers = {ANSWER: self._answer, FOLLOW: self._follow}
        self.policies = {ANSWER: ANSWER_POLICY}

    async def receive(self, provider: str, message: Received, *, market: str) -> str:
        """Keep a customer's message, `sender` without +; our id of it."""
        now_ms = self._clock.now_ms()
        row = InboundRow(
            id=uuid4(self._entropy),
            provider=provider,
            provider_message_id=message.provider_message_id,
            sender=message.sender,
            receiver=message.to,
            text=message.text,
            market=market,
            received_at_ms=now_ms if message.received_at_ms is None else message.received_at_ms,
            created_at_ms=now_ms,
        )

        def work(connection: Connection) -> str:
            if not self._store.add_inbound(connection, row):
                return self._store.inbound_of(connection, provider, message.provider_message_id).id
            if self._is_answered(connection, row):
                self._store.outbox.put(connection, [Outgoing(ANSWER, row.id, {})], now_ms)
            return row.id

        return await self._database.write(work)

    def _is_answered(self, connection: Connection, row: InboundRow) -> bool:
        """Only in the market of the number, through a provider of that market, and not without end."""
        if self.partners is None or not row.market or not self._serves(row.provider, row.market):
            return False
        recent = self._store.inbound_since(connection, row.sender, row.created_at_ms - HOUR_MS)
        if recent > MAX_HOURLY:
            self._log.warning("inbound.too_many", inbound_id=row.id, recent=recent)
        return recent <= MAX_HOURLY

    async def _answer(self, leased: Leased) -> Outcome:
        row = await self._database.read(lambda c: self._store.inbound(c, leased.key))
        partners = self.partners
        if row is None or partners is None:
            return Dead("nobody answers customers here")
        try:
            return await self._answered(row, partners)
        except Unavailable as error:
            if leased.attempt < ANSWER_TRIES or isinstance(error, TimedOut):  # it may have been paid
                return Retry(f"{error.code}: {error.detail}", after_s=error.retry_after_s)
            if isinstance(wish_of(row.text), Pay):  # an earlier try may have been taken
                self._log.warning("inbound.payment_unknown", inbound_id=row.id, error=error.detail)
                return Done(lambda c: self._look_for(c, row))
            await self._reply(row, keywords.UNAVAILABLE)
            return Dead(f"{error.code}: {error.detail}")

    async def _answered(self, row: InboundRow, partners: Partners) -> Outcome:
        wish = wish_of(row.text)
        accounts = await partners.accounts.accounts(msisdn=row.sender, market=row.market)
        if not accounts:
            if wish is not None:
                await self._reply(row, keywords.NO_ACCOUNT)
            return Done()
        match wish:
            case Balance():
                await self._reply(row, keywords.balances(accounts))
            case LastToken():
                await self._reply(row, await self._tokens(row, accounts, partners.accounts))
            case Pay():
                return await self._pay(row, wish, accounts, partners.payments)
            case None:
                await self._reply(row, keywords.HELP)
        return Done()

    async def _tokens(self, row: InboundRow, accounts: Sequence[CustomerAccount], solarium: Accounts) -> str:
        return keywords.last_tokens(
            {
                account.reference: await solarium.tokens(
                    msisdn=row.sender, market=row.market, reference=account.reference
                )
                for account in accounts
            }
        )

    async def _pay(
        self, row: InboundRow, wish: Pay, accounts: Sequence[CustomerAccount], payments: Payments
    ) -> Outcome:
        account = keywords.which(accounts, wish)
        if isinstance(account, str):
            await self._reply(row, account)
            return Done()
        words = {
            "currency": account.currency,
            "amount": keywords.major(wish.amount_major * 100),
            "reference": account.reference,
        }
        route = await payments.resolve(reference=account.reference, market=row.market, msisdn=row.sender)
        if route is None:
            await self._reply(row, keywords.REFUSED.format(**words))
            return Done()
        try:
            payment = await payments.pay(
                reference=account.reference,
                amount_subunit=wish.amount_major * 100,
                currency=route.currency,
                business_account=route.business_account,
                provider_key=route.provider_key,
                msisdn=row.sender,
                idempotency_key=_payment_key(row),
            )
        except Unavailable:
            raise
        except BackendError as error:
            text = keywords.REFUSALS.get(error.code, keywords.REFUSED)
            await self._reply(row, text.format(**words))
            return Done()
        if payment.status == "failed":
            await self._reply(row, keywords.FAILED.format(**words))
            return Done()
        await self._reply(row, keywords.ASKED.format(**words))
        follow = Outgoing(FOLLOW, row.id, {"payment_id": payment.payment_id, **words})
        return Done(lambda c: self._store.outbox.put(c, [follow], self._clock.now_ms()))

    async def _follow(self, leased: Leased) -> Outcome:
        row = await self._database.read(lambda c: self._store.inbound(c, leased.key))
        if row is None or self.partners is None:
            return Dead("nobody answers customers here")
        payment_id = cast("str | None", leased.payload["payment_id"])
        if payment_id is None:
            payment = await self.partners.payments.find(_payment_key(row))
        else:
            payment = await self.partners.payments.wait(payment_id, wait_s=0)
        status = "failed" if payment is None else payment.status
        if status == "confirmed":
            return Done()
        if status != "failed":
            return leased.look_again(
                "not settled", self._clock.now_ms(), least_s=FOLLOW_AGAIN_S, most_s=FOLLOW_MAX_S
            )
        text = keywords.UNAVAILABLE if payment_id is None else keywords.FAILED.format(**leased.payload)
        await self._reply(row, text, kind=FOLLOW)
        return Done()

    def _look_for(self, connection: Connection, row: InboundRow) -> None:
        """Follow a payment of which nobody knows whether it was taken in hand."""
        now_ms = self._clock.now_ms()
        follow = Outgoing(FOLLOW, row.id, {"payment_id": None}, due_at_ms=now_ms + int(LOST_S * 1000))
        self._store.outbox.put(connection, [follow], now_ms)

    async def _reply(self, row: InboundRow, text: str, *, kind: str = ANSWER) -> None:
        reference = f"{kind}:{row.id}"
        await self._send(to=row.sender, text=text[:MAX_TEXT], market=row.market, reference=reference)


def _payment_key(row: InboundRow) -> str:
    """One payment for one message."""
    return f"sms:{row.id}"
