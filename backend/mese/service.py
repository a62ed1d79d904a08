"""Decides what a customer sees next. Next: pages.py (the menu as a table), store.py (SQL).

    hop      known already?  the same answer again
             added to the session's text?  each input is read into an event, the table gives the next page
    payment  PAYING is stored before momo is asked, with a key that fits one payment: whoever comes again (a
             repeated hop, a restart in between) continues with the same payment

Sessions live in the database. Two hops at once: one writes the next revision, the other reads it and follows.
"""

import asyncio
import re
from dataclasses import replace

import structlog
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import BackendError, BadRequest, Unavailable
from backend.kit.http import TimedOut
from backend.kit.migrations import migrate
from backend.kit.runtime import Clock, Entropy, token_hex
from backend.mese.followup import FOLLOW_UP, FollowUp, follow_up
from backend.mese.languages.english import TEXTS
from backend.mese.markets import market_of
from backend.mese.pages import ADVANCES, ENDS, TABLE, Event, Page, inputs, may_confirm
from backend.mese.ports import Payments, Sms
from backend.mese.schemas import Hop
from backend.mese.store import Session, Store

WAIT_S = 8.0  # then the customer is told that it is pending (resolutions 23)
LOOKUP_S = 4.0  # of one question to momo; three of them stay under the aggregator's 15 s
MAX_HOPS = 40  # of one session; a payment takes five
MAX_RACES = 5  # hops of one session at once; the aggregator sends one, or repeats it
KEEP_S = 86_400  # of sessions and their hops; the aggregator repeats a hop within a minute
PURGE_START = 500  # old sessions a transaction at the start
PURGE_NEW = 2  # with each new one: more go than come
MAX_NAME = 40  # characters of a customer's name that fit a USSD page
REFERENCE = re.compile(r"[A-Za-z0-9/_.-]{1,40}")
AMOUNT = re.compile(r"[0-9]{1,12}")

AMOUNT_EVENTS = {
    "ok": Event.GOOD,
    "amount_too_low": Event.TOO_LOW,
    "amount_too_high": Event.TOO_HIGH,
    "reference_not_found": Event.NOT_FOUND,
}
PAYMENT_EVENTS = {"confirmed": Event.PAID, "failed": Event.FAILED}


class MeseService:
    """The USSD host. `wait_s`: how long a customer waits for his payment to settle."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        payments: Payments,
        sms: Sms,
        wait_s: float = WAIT_S,
    ):
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._wait_s = wait_s
        self._payments = payments
        self._store = Store()
        self._dispatcher = Dispatcher(
            outbox=self._store.outbox,
            database=database,
            clock=clock,
            handlers={FOLLOW_UP: FollowUp(payments=payments, sms=sms).handle},
            policies={},
            service="mese",
        )
        self._log = structlog.get_logger(service="mese")

    async def start(self) -> None:
        """Bring the schema up to date, forget old sessions, follow up what was pending."""
        await migrate(self._database, "mese")
        while await self._database.write(lambda c: self._store.purge(c, self._kept_since_ms(), PURGE_START)):
            continue
        await self._dispatcher.start()

    async def stop(self) -> None:
        """Stop at once; what is pending is followed up after the next start."""
        await self._dispatcher.stop()

    async def hop(self, hop: Hop) -> str:
        """The answer to a hop, beginning with "CON " or "END ". BadRequest: another number's session."""
        for _ in range(MAX_RACES):
            answer = await self._try(hop)
            if answer is not None:
                return answer
        return _end("unavailable")

    async def _try(self, hop: Hop) -> str | None:
        """None: another hop of the session was faster; look again."""

        def read(connection: Connection) -> tuple[Session | None, str | None]:
            session = self._store.session(connection, hop.session_id)
            return session, self._store.answer(connection, hop.session_id, hop.text)

        session, answer = await self._database.read(read)
        if session is not None and session.msisdn != hop.msisdn:
            raise BadRequest("phoneNumber is not the one that this sessionId began with")
        if answer is not None:
            return answer
        if session is None:
            return await self._begin(hop)
        if session.page is Page.PAYING and session.text == hop.text:
            return await self._pay(session, resumed=True)
        if session.page in ENDS or session.revision >= MAX_HOPS:
            return _end("over")
        before = f"{session.text}*" if session.text else ""
        if not hop.text.startswith(before):
            # A hop that comes late, after its successors: the customer is shown where he is.
            return await self._database.read(lambda c: self._store.answer(c, session.id, session.text))
        return await self._walk(session, hop, hop.text.removeprefix(before))

    async def _begin(self, hop: Hop) -> str | None:
        market = market_of(hop.msisdn)
        if market is None:
            return _end("no_market")
        session = Session(
            id=hop.session_id,
            msisdn=hop.msisdn,
            market=market,
            payment_key=f"ussd:{token_hex(self._entropy)}",
            created_at_ms=self._clock.now_ms(),
        )
        if not hop.text:
            return await self._save(session, "welcome")
        return await self._walk(session, hop, hop.text)

    async def _walk(self, session: Session, hop: Hop, added: str) -> str | None:
        text = "over"
        typed = inputs(session.page, added)
        confirms = may_confirm(typed, first_hop=session.revision == 0)
        for one in typed:
            if session.page is Page.CONFIRM and not confirms:
                break
            event, session = await self._read(session, one.strip())
            step = TABLE[session.page, event]
            session, text = replace(session, page=step.page), step.text
            if event not in ADVANCES:
                break
        session = replace(session, text=hop.text)
        if session.page is not Page.PAYING:
            return await self._save(session, text)
        if not await self._database.write(lambda c: self._store.save(c, session, None)):
            return None
        return await self._pay(replace(session, revision=session.revision + 1), resumed=False)

    async def _save(self, session: Session, text: str, *, follows: bool = False) -> str | None:
        answer = _rendered(session, text)

        def save(connection: Connection) -> bool:
            saved = self._store.save(connection, session, answer)
            if saved and session.revision == 0:
                self._store.purge(connection, self._kept_since_ms(), PURGE_NEW)
            if saved and follows:
                self._store.outbox.put(connection, [follow_up(session)], self._clock.now_ms())
            return saved

        return answer if await self._database.write(save) else None

    def _kept_since_ms(self) -> int:
        return self._clock.now_ms() - KEEP_S * 1000

    async def _read(self, session: Session, typed: str) -> tuple[Event, Session]:
        """What an input means on the session's page, and what the session learns from it."""
        try:
            async with asyncio.timeout(LOOKUP_S):
                match session.page:
                    case Page.ACCOUNT:
                        return await self._read_account(session, typed)
                    case Page.AMOUNT:
                        return await self._read_amount(session, typed)
                    case Page.CONFIRM:
                        return {"1": Event.YES, "2": Event.NO}.get(typed, Event.WRONG), session
                    case _:
                        return Event.PAY if typed == "1" else Event.WRONG, session
        except (TimeoutError, BackendError) as error:
            self._log.warning("ussd.lookup_failed", page=session.page, error=repr(error))
            return Event.UNAVAILABLE, session

    async def _read_account(self, session: Session, typed: str) -> tuple[Event, Session]:
        if not REFERENCE.fullmatch(typed):
            return Event.NOT_FOUND, session
        route = await self._payments.resolve(reference=typed, market=session.market)
        if route is None:
            return Event.NOT_FOUND, session
        session = replace(
            session,
            reference=typed,
            business_account=route.business_account,
            currency=route.currency,
            provider_key=route.provider_key,
        )
        validation = await self._payments.validate(
            reference=typed,
            currency=route.currency,
            business_account=route.business_account,
            provider_key=route.provider_key,
        )
        if validation.status != "ok":
            return Event.NOT_FOUND, session
        return Event.FOUND, replace(session, customer_name=validation.customer_name)

    async def _read_amount(self, session: Session, typed: str) -> tuple[Event, Session]:
        if not AMOUNT.fullmatch(typed) or int(typed) == 0:
            return Event.BAD, session
        amount_subunit = int(typed) * 100
        validation = await self._payments.validate(
            reference=session.reference,
            currency=session.currency,
            business_account=session.business_account,
            provider_key=session.provider_key,
            amount_subunit=amount_subunit,
        )
        return AMOUNT_EVENTS[validation.status], replace(session, amount_subunit=amount_subunit)

    async def _pay(self, session: Session, *, resumed: bool) -> str | None:
        event, payment_id = await self._payment(session, resumed=resumed)
        step = TABLE[session.page, event]
        session = replace(session, page=step.page, payment_id=payment_id)
        follows = event is Event.PENDING and payment_id is not None
        return await self._save(session, step.text, follows=follows)

    async def _payment(self, session: Session, *, resumed: bool) -> tuple[Event, str | None]:
        """What became of the session's payment within `wait_s`. `resumed`: it may have been started."""
        payment_id = session.payment_id
        deadline = asyncio.get_running_loop().time() + self._wait_s
        try:
            async with asyncio.timeout_at(deadline + 1):
                payment = await self._payments.pay(
                    reference=session.reference,
                    amount_subunit=session.amount_subunit,
                    currency=session.currency,
                    business_account=session.business_account,
                    provider_key=session.provider_key,
                    msisdn=session.msisdn,
                    idempotency_key=session.payment_key,
                )
                payment_id = payment.payment_id
                left_s = deadline - asyncio.get_running_loop().time()
                payment = await self._payments.wait(payment_id, wait_s=max(0.0, left_s))
        except (TimedOut, TimeoutError):
            return Event.PENDING, payment_id
        except BackendError as error:
            if error.code in AMOUNT_EVENTS:
                self._log.warning("ussd.payment_refused", session_id=session.id, code=error.code)
                return Event.FAILED, None  # what the customer was shown has changed since
            self._log.error("ussd.payment_failed", session_id=session.id, error=repr(error))
            started = payment_id is not None or (resumed and isinstance(error, Unavailable))
            return Event.PENDING if started else Event.UNAVAILABLE, payment_id
        return PAYMENT_EVENTS.get(payment.status, Event.PENDING), payment_id


def _rendered(session: Session, text: str) -> str:
    name = " ".join((session.customer_name or "").split())[:MAX_NAME]
    customer = name or TEXTS["customer"].format(reference=session.reference)
    shown = TEXTS[text].format(amount=session.amount_subunit // 100, customer=customer)
    return f"{'END' if session.page in ENDS else 'CON'} {shown}"


def _end(text: str) -> str:
    return f"END {TEXTS[text]}"
