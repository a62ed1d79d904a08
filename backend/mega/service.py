"""Decides about short messages. Next: delivery.py (what leaves), desk.py (what comes), store.py (SQL).

send     stores the message and its outbox row in one transaction, then answers
report   a delivery report: kept, and applied to its message
receive  a customer's message: kept, and answered by the desk
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from backend.kit.batch import WriteBatch
from backend.kit.database import Database
from backend.kit.dispatcher import Dispatcher
from backend.kit.errors import Forbidden, NotFound, Unprocessable
from backend.kit.http import HttpClient
from backend.kit.migrations import migrate
from backend.kit.outbox import Outgoing
from backend.kit.ratelimit import RateLimit
from backend.kit.runtime import Clock, Entropy, iso, uuid4
from backend.kit.vault import Vault
from backend.kit.webhooks import Resolver
from backend.mega.delivery import LANES, CallbackConfig, Delivery
from backend.mega.desk import Desk, Partners
from backend.mega.ports import Dlr, Received, SmsProvider
from backend.mega.schemas import MAX_TEXT, Checked, InboxMessage, Queued, SmsStatus, status_of
from backend.mega.segments import count
from backend.mega.states import Status
from backend.mega.store import Key, Store, key_of
from backend.mega.tables import NORMAL, MessageRow

NUMBER = re.compile(r"\+?[1-9][0-9]{6,14}")
INBOX_LIMIT = 100  # messages of one inbox answer; the newest


class NoRoute(Unprocessable):
    """No provider is configured for this market (resolutions 22)."""

    code = "no_route"


@dataclass(frozen=True, slots=True)
class Config:
    """Routing and secrets.

    `master_key`: for secrets at rest. `routes`: a market's providers, the first choice first; a market that
    is not there is not served.
    `prefixes`: market by country prefix, for messages that name no market. `sender_ids`: by market, when a
    message names none. `prices`: of a segment by market, in subunits. `dlr_secret`: path part of the
    providers' hooks. `development`: numbers' inboxes can be read. `order_client`: whose references those of
    `send` without a client are.
    """

    routes: Mapping[str, Sequence[str]]
    prefixes: Mapping[str, str]
    master_key: bytes = field(repr=False)
    dlr_secret: str = field(repr=False)
    callbacks: CallbackConfig
    sender_ids: Mapping[str, str] = field(default_factory=dict[str, str])
    prices: Mapping[str, int] = field(default_factory=dict[str, int])
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
        http: HttpClient,
        resolver: Resolver,
        config: Config,
        providers: Mapping[str, SmsProvider],
    ):
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self.config = config
        self.strangers = RateLimit.of_strangers(clock)  # at /health
        self._store = Store(Vault(config.master_key, "mega", entropy))
        self.keys = self._store.keys
        self._messages: WriteBatch[MessageRow, MessageRow] = WriteBatch(database, self._decide)
        self._delivery = Delivery(
            store=self._store,
            database=database,
            clock=clock,
            http=http,
            resolver=resolver,
            providers=dict(providers),
            routes=config.routes,
            callbacks=config.callbacks,
        )
        self._desk = Desk(
            store=self._store,
            database=database,
            clock=clock,
            entropy=entropy,
            send=self.send,
            serves=lambda provider, market: provider in self._delivery.usable(market),
        )
        self._dispatcher = Dispatcher(
            outbox=self._store.outbox,
            database=database,
            clock=clock,
            handlers={**self._delivery.handlers, **self._desk.handlers},
            policies={**self._delivery.policies, **self._desk.policies},
            service="mega",
        )

    def attend(self, partners: Partners) -> None:
        """Answer customers with these partners' help; before `start`."""
        self._desk.partners = partners

    async def start(self) -> None:
        """Bring the schema up to date, load the keys, take up what was left undone."""
        await migrate(self._database, "mega")
        await self.keys.open(self._database, self._clock)
        await self._dispatcher.start()

    async def stop(self) -> None:
        """Stop at once; what was in hand is taken up at the next start."""
        await self._dispatcher.stop()

    async def install_key(self, key: str, *, client: str, markets: Sequence[str] = ()) -> None:
        """Make an api key valid, if it is not yet."""
        await self.keys.add(key, client=client, markets=markets)

    # Messages out

    async def send(
        self,
        *,
        to: str,
        text: str,
        market: str | None = None,
        sender_id: str | None = None,
        reference: str | None = None,
        callback_url: str | None = None,
        client: str | None = None,
        markets: Sequence[str] = (),
    ) -> Queued:
        """`take`, answered in short."""
        row = await self.take(
            to=to,
            text=text,
            market=market,
            sender_id=sender_id,
            reference=reference,
            callback_url=callback_url,
            client=client,
            markets=markets,
        )
        return Queued(message_id=row.id, status=Status.QUEUED, segments=row.segments)

    async def take(
        self,
        *,
        to: str,
        text: str,
        market: str | None = None,
        sender_id: str | None = None,
        reference: str | None = None,
        callback_url: str | None = None,
        priority: str = NORMAL,
        client: str | None = None,
        markets: Sequence[str] = (),
    ) -> MessageRow:
        """Take a message in hand; the first one, if the client used this `reference` before.

        `priority`: one of LANES. `callback_url` is told of the end. Raises what `rehearse` raises.
        """
        row = await self.rehearse(
            to=to, text=text, market=market, sender_id=sender_id, callback_url=callback_url, markets=markets
        )
        row = replace(
            row,
            reference=row.reference if reference is None else f"ref:{reference}",
            priority=priority,
            client=client or self.config.order_client,
        )
        return await self._messages.submit(row)

    async def rehearse(
        self,
        *,
        to: str,
        text: str,
        market: str | None = None,
        sender_id: str | None = None,
        callback_url: str | None = None,
        markets: Sequence[str] = (),
    ) -> MessageRow:
        """The message that these make, routed; nothing is stored.

        NoRoute: see there. Forbidden: number or route are of none of `markets` (none: every one is fine).
        BadRequest: a URL that is not called.
        """
        msisdn = to.removeprefix("+")
        check_markets(markets, market, self.market_of(msisdn))
        market = market or self.market_of(msisdn)
        usable = self._delivery.usable(market)
        if not usable:
            raise NoRoute(f"no SMS provider is configured for market {market or 'of this number'}")
        if callback_url is not None:
            await self._delivery.check_callback(callback_url)
        message_id = uuid4(self._entropy)
        return MessageRow(
            id=message_id,
            reference=f"id:{message_id}",
            to_msisdn=msisdn,
            text=text,
            market=market,
            sender_id=sender_id or self.config.sender_ids.get(market),
            segments=count(text),
            provider=usable[0],
            status=Status.QUEUED,
            created_at_ms=self._clock.now_ms(),
            client="",
            callback_url=callback_url,
        )

    async def status(self, message_id: str, *, markets: Sequence[str] = ()) -> SmsStatus:
        """A message. NotFound: there is none, or it is of none of `markets`."""
        return status_of(await self._message(message_id, markets))

    def check(self, *, to: str, text: str, markets: Sequence[str] = ()) -> Checked:
        """Whether `send` would take this, how many segments it has, and about what they cost."""
        segments = count(text)
        number = NUMBER.fullmatch(to)
        market = self.market_of(to.removeprefix("+")) if number else ""
        price = self.config.prices.get(market)
        allowed = not markets or market in markets
        valid = allowed and 0 < len(text) <= MAX_TEXT and bool(self._delivery.usable(market))
        return Checked(
            valid=valid,
            segments=segments,
            estimated_cost=None if price is None or not valid else price * segments,
        )

    async def health(self) -> None:
        """Unavailable: the database does not answer."""
        await self._database.read(lambda c: self._store.by_id(c, ""))

    # Reports and messages in

    async def report(self, provider: str, dlrs: Sequence[Dlr]) -> list[MessageRow]:
        """Keep delivery reports and apply them; the messages that are known, as they are then."""
        return await self._database.write(lambda c: self._delivery.take_reports(c, provider, dlrs))

    async def update_dlr(self, provider: str, dlr: Dlr, *, markets: Sequence[str] = ()) -> MessageRow:
        """`report`, for callers that know our messages.

        NotFound, and nothing kept: there is none, or it is of none of `markets`.
        """
        known = await self._database.read(
            lambda c: self._store.by_provider_id(c, provider, dlr.provider_message_id)
        )
        if known is None or (markets and known.market not in markets):
            raise NotFound("no such message")
        rows = await self.report(provider, [dlr])
        if not rows:
            raise NotFound("no such message")
        return rows[0]

    async def named(self, message_id: str, *, markets: Sequence[str] = ()) -> tuple[str, str]:
        """(provider, its id) of a message. NotFound: there is none, or the provider does not have it."""
        row = await self._message(message_id, markets)
        if row.provider_message_id is None:
            raise NotFound("no such message at a provider")
        return row.provider, row.provider_message_id

    async def receive(self, provider: str, message: Received, *, markets: Sequence[str] = ()) -> str:
        """Keep a customer's message, once, and answer it; our id of it.

        Forbidden: his number is of none of `markets`.
        """
        message = replace(message, sender=message.sender.removeprefix("+"))
        market = self.market_of(message.sender)
        if markets:
            check_markets(markets, market or "of this number")
        return await self._desk.receive(provider, message, market=market)

    async def opt_out(self, msisdn: str, sender_id: str) -> None:
        """This customer is sent nothing more in the name of `sender_id`."""
        now_ms = self._clock.now_ms()
        number = msisdn.removeprefix("+")
        await self._database.write(lambda c: self._store.opt_out(c, number, sender_id, now_ms))

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

    async def _message(self, message_id: str, markets: Sequence[str]) -> MessageRow:
        if not message_id.isprintable():  # PostgreSQL takes no NUL in text
            raise NotFound("no such message")
        row = await self._database.read(lambda c: self._store.by_id(c, message_id))
        if row is None or (markets and row.market not in markets):
            raise NotFound("no such message")
        return row

    def _decide(self, connection: Connection, rows: Sequence[MessageRow]) -> list[MessageRow]:
        """A batch of new messages: each reference's first one stays, with its outbox row."""
        firsts: dict[Key, MessageRow] = {}
        for row in rows:
            firsts.setdefault(key_of(row), row)
        self._store.add(connection, list(firsts.values()))
        stored = self._store.by_keys(connection, list(firsts))
        new = [row for key, row in firsts.items() if stored[key].id == row.id]
        outgoing = [Outgoing(LANES[row.priority], row.id, {}) for row in new]
        self._store.outbox.put(connection, outgoing, self._clock.now_ms())
        return [stored[key_of(row)] for row in rows]
