"""Decides what a customer sees next. Next: pages.py (the menu as a table), reading.py (what an input means),
paying.py (the payment), rendering.py (texts), store.py (SQL).

    hop      known already?  the same answer again
             added to the session's text?  each input is read into an event, the table gives the next page
    payment  PAYING is stored before momo is asked, with a key that fits one payment: whoever comes again (a
             repeated hop, a restart in between) continues with the same payment. Stored with it is that the
             payment is followed up, which the answer takes back: after a kill in between nobody need come
    end      the aggregator says that the session is over: a hop that comes after it changes nothing, and what
             the customer was not shown any more he is told by SMS (followup.py)

Sessions live in the database. Two hops at once: one writes the next revision, the other reads it and follows.
A token is never stored: a repeated hop of the page TOKEN asks for it again.
"""

from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import BadRequest, TooManyRequests
from backend.kit.migrations import migrate
from backend.kit.ratelimit import RateLimit
from backend.kit.runtime import Clock, Entropy, token_hex
from backend.mese.followup import FOLLOW_UP, FollowUp, follow_up
from backend.mese.markets import MARKETS, market_of
from backend.mese.pages import ADVANCES, ENDS, TABLE, Event, Page, inputs, may_confirm
from backend.mese.paying import WAIT_S, Paying
from backend.mese.ports import Accounts, Payments, Sms
from backend.mese.reading import Reader, Reading
from backend.mese.rendering import end, page
from backend.mese.schemas import SUCCESS, Ending, Hop
from backend.mese.store import Session, Store

MAX_HOPS = 40  # of one session; a payment takes five
MAX_RACES = 5  # hops of one session at once; the aggregator sends one, or repeats it
# New hops of a number: 5 a second. Nobody types faster, and a whole session of MAX_HOPS may come at once.
PACE, PACE_WINDOW_S = 50, 10
KEEP_S = 86_400  # of sessions and their hops; the aggregator repeats a hop within a minute
PURGE_START = 500  # old sessions a transaction at the start
PURGE_NEW = 2  # with each new one: more go than come
UNSTORED = frozenset((Page.PAYING, Page.TOKEN))  # not known yet; not to be kept
FALLBACK = "en"  # for who is in none of our markets


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database knows of a hop's session before the hop is read."""

    session: Session | None
    answer: str | None  # of this very hop
    ended: bool
    language: str | None  # that the number has chosen


class MeseService:
    """The USSD host. `wait_s`: how long a customer waits for his payment to settle."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        payments: Payments,
        accounts: Accounts,
        sms: Sms,
        wait_s: float = WAIT_S,
    ):
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._store = Store()
        self._reader = Reader(payments=payments, accounts=accounts)
        self._paying = Paying(payments=payments, wait_s=wait_s)
        self._dispatcher = Dispatcher(
            outbox=self._store.outbox,
            database=database,
            clock=clock,
            handlers={FOLLOW_UP: FollowUp(payments=payments, sms=sms, clock=clock).handle},
            service="mese",
        )
        self._pace = RateLimit(limit=PACE, window_s=PACE_WINDOW_S, clock=clock)
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
        """The answer to a hop, beginning with "CON " or "END ". BadRequest: another number's session.

        A number that goes too fast is told to try again (checklist 101). A repeated hop, and one of a payment
        that is on its way, is never too fast: an END would make the customer pay again.
        """
        try:
            for _ in range(MAX_RACES):
                answer = await self._try(hop)
                if answer is not None:
                    return answer
        except TooManyRequests:
            self._log.warning("ussd.too_fast", session_id=hop.session_id)
        return end("unavailable", _spoken(hop.msisdn, None))

    async def end(self, ending: Ending) -> None:
        """The aggregator's word that a session is over; the first counts. BadRequest: another number's."""

        def write(connection: Connection) -> bool:
            session = self._store.session(connection, ending.session_id, lock=True)
            if session is not None and session.msisdn != ending.msisdn:
                raise BadRequest("phoneNumber is not the one that this sessionId began with")
            now_ms = self._clock.now_ms()
            first = self._store.end(connection, ending.session_id, ending.status, now_ms)
            if first and session is not None and session.payment_id and ending.status != SUCCESS:
                self._store.outbox.put(connection, [follow_up(session, now_ms)], now_ms)
            return first

        if await self._database.write(write):
            self._log.info(
                "ussd.ended",
                session_id=ending.session_id,
                status=ending.status,
                hops=ending.hops,
                duration_ms=ending.duration_ms,
                cost=ending.cost,
                error=ending.error,
            )

    async def _try(self, hop: Hop) -> str | None:
        """None: another hop of the session was faster; look again."""
        known = await self._database.read(lambda connection: self._known(connection, hop))
        session = known.session
        if session is not None and session.msisdn != hop.msisdn:
            raise BadRequest("phoneNumber is not the one that this sessionId began with")
        if known.answer is not None:
            return known.answer
        if known.ended:
            return end("over", session.language if session else _spoken(hop.msisdn, known.language))
        if session is None:
            self._pace.take(hop.msisdn)
            return await self._begin(hop, known.language)
        if session.text == hop.text and session.page is Page.PAYING:
            return await self._pay(session, resumed=True)
        if session.text == hop.text and session.page is Page.TOKEN:
            again = await self._reader.again(session)
            return page(session, TABLE[session.page, again.event].text, again.values)
        if session.page in ENDS or session.revision >= MAX_HOPS:
            return end("over", session.language)
        before = f"{session.text}*" if session.text else ""
        if not hop.text.startswith(before):
            # A hop that comes late, after its successors: the customer is shown where he is.
            return await self._database.read(lambda c: self._store.answer(c, session.id, session.text))
        if session.page is not Page.PAYING:
            self._pace.take(hop.msisdn)
        return await self._walk(session, hop, hop.text.removeprefix(before))

    def _known(self, connection: Connection, hop: Hop) -> _Known:
        store = self._store
        return _Known(
            session=store.session(connection, hop.session_id),
            answer=store.answer(connection, hop.session_id, hop.text),
            ended=store.ended(connection, hop.session_id),
            language=store.language(connection, hop.msisdn),
        )

    async def _begin(self, hop: Hop, chosen: str | None) -> str | None:
        market = market_of(hop.msisdn)
        if market is None:
            return end("no_market", FALLBACK)
        session = Session(
            id=hop.session_id,
            msisdn=hop.msisdn,
            market=market,
            language=_spoken(hop.msisdn, chosen),
            payment_key=f"ussd:{token_hex(self._entropy)}",
            created_at_ms=self._clock.now_ms(),
        )
        if not hop.text:
            answer = page(session, "welcome")
            return answer if await self._save(session, answer) else None
        return await self._walk(session, hop, hop.text)

    async def _walk(self, session: Session, hop: Hop, added: str) -> str | None:
        typed = inputs(session.page, added)
        confirms = may_confirm(typed, first_hop=session.revision == 0)
        reading, text = Reading(Event.WRONG, session), "over"
        for one in typed:
            if reading.session.page is Page.CONFIRM and not confirms:
                break
            reading = await self._reader.read(reading.session, one.strip())
            step = TABLE[reading.session.page, reading.event]
            reading, text = replace(reading, session=replace(reading.session, page=step.page)), step.text
            if reading.event not in ADVANCES:
                break
        session = replace(reading.session, text=hop.text)
        answer = page(session, text, reading.values)
        kept = None if session.page in UNSTORED else answer
        if not await self._save(session, kept, chosen=reading.event is Event.CHOSEN):
            return None
        if session.page is Page.PAYING:
            return await self._pay(replace(session, revision=session.revision + 1), resumed=False)
        return answer

    async def _save(self, session: Session, answer: str | None, *, chosen: bool = False) -> bool:
        """Store a hop. False: another one was faster, or the end of the session."""

        def save(connection: Connection) -> bool:
            if self._store.ended(connection, session.id):
                return False
            if not self._store.save(connection, session, answer):
                return False
            if session.page is Page.PAYING:
                now_ms = self._clock.now_ms()
                self._store.outbox.put(connection, [follow_up(session, now_ms)], now_ms)
            if session.revision == 0:
                self._store.purge(connection, self._kept_since_ms(), PURGE_NEW)
            if chosen:
                self._store.choose(connection, session.msisdn, session.language)
            return True

        return await self._database.write(save)

    async def _pay(self, session: Session, *, resumed: bool) -> str | None:
        event, payment_id = await self._paying.pay(session, resumed=resumed)
        step = TABLE[session.page, event]
        session = replace(session, page=step.page, payment_id=payment_id)
        answer = page(session, step.text)

        def save(connection: Connection) -> bool:
            if not self._store.save(connection, session, answer):
                return False
            unseen = event is Event.PENDING or self._store.ended(connection, session.id)
            started = payment_id is not None or event is Event.PENDING
            self._store.outbox.cancel(connection, FOLLOW_UP, [session.id])
            if unseen and started:
                now_ms = self._clock.now_ms()
                self._store.outbox.put(connection, [follow_up(session, now_ms)], now_ms)
            return True

        return answer if await self._database.write(save) else None

    def _kept_since_ms(self) -> int:
        return self._clock.now_ms() - KEEP_S * 1000


def _spoken(msisdn: str, chosen: str | None) -> str:
    """The language for a number: the chosen one, if its market has it, else the market's first."""
    market = market_of(msisdn)
    if market is None:
        return FALLBACK
    languages = MARKETS[market].languages
    return chosen if chosen in languages else languages[0]
