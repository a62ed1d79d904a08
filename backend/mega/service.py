"""Decides about short messages. Next: states.py, store.py (SQL), providers/ (who sends).

    send     stores the message and its outbox row in one transaction, then answers
    outbox   hands it to the market's provider; what is unknown after a time-out is not sent again
    report   a delivery report: kept, and applied to its message; one that overtakes our commit waits there

A process that dies while a provider is answering sends again at its next start: a token that comes twice is
worth no more than once, one that never comes leaves a house dark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from backend.kit.batch import WriteBatch
from backend.kit.database import Database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import Forbidden, InternalError, NotFound, Unprocessable
from backend.kit.http import TimedOut
from backend.kit.migrations import migrate
from backend.kit.outbox import Dead, Done, Leased, Outcome, Outgoing, Policy
from backend.kit.runtime import Clock, Entropy, iso, uuid4
from backend.mega.ports import Refused, SmsProvider
from backend.mega.schemas import InboxMessage, Queued
from backend.mega.segments import count
from backend.mega.states import FINAL, OPEN, Status, after_report
from backend.mega.store import Key, MessageRow, Report, Store, key_of

SEND = "send"  # kind of outbox row; its key is the message id
ATTEMPTS = 60  # about an hour of a provider that is away; then an operator decides
INBOX_LIMIT = 100  # messages of one inbox answer; the newest
MAX_REASON = 200  # characters of a provider's reason that are kept


class NoRoute(Unprocessable):
    """No provider is configured for this market (resolutions 22)."""

    code = "no_route"


@dataclass(frozen=True, slots=True)
class Config:
    """Routing and secrets.

    `routes`: provider by market; a market that is not there is not served. `prefixes`: market by country
    prefix, for messages that name no market. `sender_ids`: by market, when a message names none.
    `dlr_secret`: path part of the delivery report hooks. `development`: numbers' inboxes can be read.
    `order_client`: whose references those of `send` without a client are.
    """

    routes: Mapping[str, str]
    prefixes: Mapping[str, str]
    pepper: bytes = field(repr=False)
    dlr_secret: str = field(repr=False)
    sender_ids: Mapping[str, str] = field(default_factory=dict[str, str])
    development: bool = False
    order_client: str = "solarium"


@dataclass(frozen=True, slots=True)
class Audit:
    """What stands in the books of mega."""

    messages_by_status: Mapping[str, int]
    dead_letters: int


def check_markets(allowed: Sequence[str], *wanted: str | None) -> None:
    """Forbidden unless what is wanted, as far as it is named, is allowed; an empty `allowed` allows all."""
    for market in wanted:
        if allowed and market and market not in allowed:
            raise Forbidden(f"this key is not for the market {market}")


class MegaService:
    """The gateway. `providers` by the names that `config.routes` uses."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        config: Config,
        providers: Mapping[str, SmsProvider],
    ):
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self.config = config
        self._providers = dict(providers)
        self._store = Store(config.pepper)
        self.keys = self._store.keys
        self._log = structlog.get_logger(service="mega")
        self._messages: WriteBatch[MessageRow, MessageRow] = WriteBatch(database, self._decide)
        self._dispatcher = Dispatcher(
            outbox=self._store.outbox,
            database=database,
            clock=clock,
            handlers={SEND: self._send},
            policies={SEND: Policy(attempts=ATTEMPTS, on_dead=self._gave_up)},
            service="mega",
        )

    async def start(self) -> None:
        """Bring the schema up to date, load the keys, take up what was left undone."""
        await migrate(self._database, "mega")
        await self.keys.load(self._database)
        await self._dispatcher.start()

    async def stop(self) -> None:
        """Stop at once; what was in hand is taken up at the next start."""
        await self._dispatcher.stop()

    async def install_key(self, key: str, *, client: str, markets: Sequence[str] = ()) -> None:
        """Make an api key valid, if it is not yet."""
        now_ms = self._clock.now_ms()
        await self._database.write(lambda c: self.keys.install(c, key, client, markets, now_ms))
        await self.keys.load(self._database)

    async def send(
        self,
        *,
        to: str,
        text: str,
        market: str | None = None,
        sender_id: str | None = None,
        reference: str | None = None,
        client: str | None = None,
        markets: Sequence[str] = (),
    ) -> Queued:
        """Take a message in hand; the first one, if the client used this `reference` before.

        NoRoute: see there. Forbidden: number or route are of none of `markets` (none: every one is fine).
        """
        msisdn = to.removeprefix("+")
        check_markets(markets, market, self.market_of(msisdn))
        market = market or self.market_of(msisdn)
        provider = self.config.routes.get(market)
        if provider is None or provider not in self._providers:
            raise NoRoute(f"no SMS provider is configured for market {market or 'of this number'}")
        message_id = uuid4(self._entropy)
        row = MessageRow(
            id=message_id,
            reference=f"id:{message_id}" if reference is None else f"ref:{reference}",
            to_msisdn=msisdn,
            text=text,
            market=market,
            sender_id=sender_id or self.config.sender_ids.get(market),
            segments=count(text),
            provider=provider,
            status=Status.QUEUED,
            created_at_ms=self._clock.now_ms(),
            client=client or self.config.order_client,
        )
        stored = await self._messages.submit(row)
        return Queued(message_id=stored.id, status=Status.QUEUED, segments=stored.segments)

    async def report(
        self,
        *,
        provider: str,
        provider_message_id: str,
        status: Status,
        failure_reason: str | None = None,
        at_ms: int | None = None,
    ) -> MessageRow | None:
        """Keep a delivery report and apply it; the message after it, or None if none has this id (yet)."""
        at_ms = self._clock.now_ms() if at_ms is None else at_ms
        report = Report(provider, provider_message_id, status, failure_reason, at_ms)

        def work(connection: Connection) -> MessageRow | None:
            self._store.add_report(connection, report)
            row = self._store.by_provider_id(connection, provider, provider_message_id)
            if row is None:
                return None
            self._apply(connection, row, report)
            return self._store.by_id(connection, row.id)

        return await self._database.write(work)

    async def update_dlr(
        self,
        *,
        provider: str,
        provider_message_id: str,
        status: Status,
        failure_reason: str | None = None,
        at_ms: int | None = None,
        markets: Sequence[str] = (),
    ) -> MessageRow:
        """`report`, for callers that know our messages: NotFound, and nothing kept, for an unknown one.

        Forbidden: it is of none of `markets`.
        """
        known = await self._database.read(
            lambda c: self._store.by_provider_id(c, provider, provider_message_id)
        )
        if known is not None:
            check_markets(markets, known.market)
        row = known and await self.report(
            provider=provider,
            provider_message_id=provider_message_id,
            status=status,
            failure_reason=failure_reason,
            at_ms=at_ms,
        )
        if row is None:
            raise NotFound("no such message")
        return row

    async def inbox(self, msisdn: str) -> list[InboxMessage]:
        """What went out to a number, newest last. NotFound: not in development."""
        if not self.config.development:
            raise NotFound("no such path")
        rows = await self._database.read(lambda c: self._store.received(c, msisdn, INBOX_LIMIT))
        return [
            InboxMessage(
                message_id=row.id,
                sender=row.sender_id or "",
                to=row.to_msisdn,
                text=row.text,
                status=row.status,
                received_at=iso(row.sent_at_ms or row.created_at_ms),
            )
            for row in rows
        ]

    async def audit(self) -> Audit:
        """Messages by status, and what was given up."""
        return await self._database.read(
            lambda connection: Audit(
                messages_by_status=self._store.count_by_status(connection),
                dead_letters=self._store.dead_letters(connection),
            )
        )

    def market_of(self, msisdn: str) -> str:
        """The market of a number, by its prefix; "" for one of nowhere."""
        return next(
            (self.config.prefixes[msisdn[:n]] for n in (3, 2, 1) if msisdn[:n] in self.config.prefixes), ""
        )

    def _decide(self, connection: Connection, rows: Sequence[MessageRow]) -> list[MessageRow]:
        """A batch of new messages: each reference's first one stays, with its outbox row."""
        firsts: dict[Key, MessageRow] = {}
        for row in rows:
            firsts.setdefault(key_of(row), row)
        self._store.add(connection, list(firsts.values()))
        stored = self._store.by_keys(connection, list(firsts))
        new = [row.id for key, row in firsts.items() if stored[key].id == row.id]
        outgoing = [Outgoing(SEND, message_id, {}) for message_id in new]
        self._store.outbox.put(connection, outgoing, self._clock.now_ms())
        return [stored[key_of(row)] for row in rows]

    async def _send(self, leased: Leased) -> Outcome:
        row = await self._database.read(lambda c: self._store.by_id(c, leased.key))
        if row is None:
            raise InternalError(f"outbox row {leased.key}: no such message")
        if row.status not in OPEN:
            return Done()
        provider = self._providers.get(row.provider)
        if provider is None:
            raise NoRoute(f"provider {row.provider!r} is not configured any more")
        try:
            answer = await provider.send(to=row.to_msisdn, text=row.text, sender_id=row.sender_id)
        except TimedOut as error:
            self._log.warning("message.unknown", message_id=row.id, error=error.detail)
            return Dead(error.detail, lambda c: self._store.set_status(c, row.id, Status.UNKNOWN, {}))
        if isinstance(answer, Refused):
            reason = answer.reason[:MAX_REASON]
            return Dead(reason, lambda connection: self._failed(connection, row.id, reason))
        provider_message_id = answer.provider_message_id
        return Done(lambda connection: self._sent(connection, row, provider_message_id))

    def _sent(self, connection: Connection, row: MessageRow, provider_message_id: str | None) -> None:
        values: dict[str, str | int | None] = {
            "provider_message_id": provider_message_id,
            "sent_at_ms": self._clock.now_ms(),
        }
        self._store.set_status(connection, row.id, Status.SENT, values)
        if provider_message_id is None:
            return
        for report in self._store.reports_of(connection, row.provider, provider_message_id):
            current = self._store.by_id(connection, row.id)
            if current is not None:
                self._apply(connection, current, report)

    def _apply(self, connection: Connection, row: MessageRow, report: Report) -> None:
        status = after_report(row.status, Status(report.status))
        if status is row.status:
            return
        values: dict[str, str | int | None] = {"failure_reason": report.failure_reason}
        if status in FINAL:
            values["done_at_ms"] = report.at_ms
        self._store.set_status(connection, row.id, status, values)

    def _failed(self, connection: Connection, message_id: str, reason: str) -> None:
        values: dict[str, str | int | None] = {
            "failure_reason": reason,
            "done_at_ms": self._clock.now_ms(),
        }
        self._store.set_status(connection, message_id, Status.FAILED, values)

    def _gave_up(self, connection: Connection, leased: Leased) -> None:
        self._failed(connection, leased.key, "the provider was not available")
