"""The outbox of mega: messages to providers, their reports, and callbacks to clients. Next: states.py

    send        to the message's provider. What it may have taken without saying so is asked about first, and
                sent again only if it has never seen it; where nobody can be asked it is not sent again
    fallback    a provider that is away, or refuses for a reason of its own, gives way to the market's next
    reports     a report is kept and applied; one that overtakes our commit is found there, or looked at again
    call_back   the client's callback_url is told of the end once: signed, 11 attempts, then a dead letter

A process that dies while a provider that can't be asked is answering sends again at its next start: a token
that comes twice is worth no more than once, one that never comes leaves a house dark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
import structlog
import tenacity
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BadRequest, InternalError, Unavailable, Unprocessable
from backend.kit.http import HttpClient, TimedOut
from backend.kit.outbox import Dead, Done, Handler, Leased, Outcome, Outgoing, Policy, Retry
from backend.kit.runtime import Clock
from backend.kit.webhooks import Resolver, check_target, signed_headers
from backend.mega.ports import Accepted, Dlr, Refused, ShortMessage, SmsProvider, Traceable
from backend.mega.schemas import status_of
from backend.mega.states import FINAL, OPEN, Status, after_report
from backend.mega.store import Store, Values
from backend.mega.tables import MessageRow, Report

# Kinds of outbox rows, one a priority: each has a lane of its own, so bulk never waits before a token.
LANES = {"high": "send_high", "normal": "send", "low": "send_low"}
CALLBACK, REAPPLY = "callback", "reapply"

ATTEMPTS = 1_500  # a day of a provider that is away: a token that comes late is still a token
TRIES_EACH = 3  # of a provider that is away, before the market's next one is tried
ASK_AFTER_S = 30.0  # after a time-out: what the provider did take is in its logs by then
REAPPLY_AFTER_MS = 5_000  # of a report whose message's id was not committed when it came
CALLBACK_TIMEOUT_S = 10.0
CALLBACK_POLICY = Policy(attempts=11, wait=tenacity.wait_exponential(multiplier=1, max=600))
MAX_REASON = 200  # characters of a provider's reason that are kept


@dataclass(frozen=True, slots=True)
class CallbackConfig:
    """`secret` signs; `allowed_hosts` may be private (resolutions 15)."""

    secret: bytes = field(repr=False)
    allowed_hosts: frozenset[str] = frozenset()


class Delivery:
    """Handlers for the dispatcher, and what applies a report. `routes`: a market's providers, in order."""

    def __init__(
        self,
        *,
        store: Store,
        database: Database,
        clock: Clock,
        http: HttpClient,
        resolver: Resolver,
        providers: Mapping[str, SmsProvider],
        routes: Mapping[str, Sequence[str]],
        callbacks: CallbackConfig,
    ):
        self._store = store
        self._database = database
        self._clock = clock
        self._http = http
        self._resolver = resolver
        self._providers = providers
        self._routes = routes
        self._callbacks = callbacks
        self._log = structlog.get_logger(service="mega")
        self.handlers: Mapping[str, Handler] = {
            **dict.fromkeys(LANES.values(), self._send),
            CALLBACK: self._call_back,
            REAPPLY: self._reapply,
        }
        self.policies: Mapping[str, Policy] = {
            **dict.fromkeys(LANES.values(), Policy(attempts=ATTEMPTS, on_dead=self._gave_up)),
            CALLBACK: CALLBACK_POLICY,
        }

    async def check_callback(self, url: str) -> None:
        """BadRequest if this URL will not be called."""
        await check_target(url, resolver=self._resolver, allowed_hosts=self._callbacks.allowed_hosts)

    def usable(self, market: str) -> list[str]:
        """The providers that serve a market, in order; none: it is not served."""
        return [name for name in self._routes.get(market, ()) if name in self._providers]

    def take_reports(self, connection: Connection, provider: str, dlrs: Sequence[Dlr]) -> list[MessageRow]:
        """Keep reports and apply them; the messages that they are about, as they are then."""
        found: list[MessageRow] = []
        # Each time in one order: two calls with the same messages must not wait for each other.
        for dlr in sorted(dlrs, key=lambda dlr: dlr.provider_message_id):
            report = self._report(provider, dlr)
            self._store.add_report(connection, report)
            row = self._store.by_provider_id(connection, provider, dlr.provider_message_id, lock=True)
            if row is None:
                key = f"{provider}:{dlr.provider_message_id}"
                names = {"provider": provider, "provider_message_id": dlr.provider_message_id}
                now_ms = self._clock.now_ms()
                again = Outgoing(REAPPLY, key, names, due_at_ms=now_ms + REAPPLY_AFTER_MS)
                self._store.outbox.put(connection, [again], now_ms)
                continue
            self._apply(connection, row, report)
            found.append(cast(MessageRow, self._store.by_id(connection, row.id)))
        return found

    # Sending

    async def _send(self, leased: Leased) -> Outcome:
        row = await self._database.read(lambda c: self._store.by_id(c, leased.key))
        if row is None:
            raise InternalError(f"outbox row {leased.key}: no such message")
        if row.status not in OPEN:
            return Done()
        if row.sender_id and await self._database.read(
            lambda c: self._store.opted_out(c, row.to_msisdn, row.sender_id or "")
        ):
            return self._refused(row, "the customer opted out")
        provider = self._providers.get(row.provider)
        if provider is None:
            raise Unprocessable(f"provider {row.provider!r} is not configured any more")
        message = ShortMessage(row.id, row.to_msisdn, row.text, row.sender_id)
        try:
            if leased.attempt > 1 and isinstance(provider, Traceable):
                known = await provider.find(message)
                if known is not None:
                    return Done(lambda connection: self._found(connection, row, known))
        except Unavailable as error:
            return await self._later(leased, row, error)
        try:
            answer = await provider.send(message)
        except TimedOut as error:
            return await self._unknown(row, message, provider, error)
        except Unavailable as error:
            return await self._later(leased, row, error)
        if isinstance(answer, Refused):
            return await self._elsewhere(row, answer)
        return Done(lambda connection: self._sent(connection, row, answer))

    async def _unknown(
        self, row: MessageRow, message: ShortMessage, provider: SmsProvider, error: TimedOut
    ) -> Outcome:
        self._log.warning("message.unknown", message_id=row.id, error=error.detail)
        values: Values = {"status": Status.UNKNOWN}
        if not isinstance(provider, Traceable):
            return Dead(error.detail, lambda c: self._store.change(c, row.id, values))
        values["provider_message_id"] = provider.id_of(message)
        await self._database.write(lambda c: self._change_open(c, row.id, values))
        return Retry(error.detail, after_s=ASK_AFTER_S)

    async def _later(self, leased: Leased, row: MessageRow, error: Unavailable) -> Outcome:
        """It has not gone out: the same provider again, after some tries the next one, and round."""
        usable = self.usable(row.market)
        others = [name for name in usable if name != row.provider]
        if row.status is Status.QUEUED and others and leased.attempt % TRIES_EACH == 0:
            at = usable.index(row.provider) if row.provider in usable else -1
            await self._go_to(row, usable[(at + 1) % len(usable)], error.detail)
            return Retry(error.detail, after_s=0.0)
        return Retry(f"{error.code}: {error.detail}", after_s=error.retry_after_s)

    async def _elsewhere(self, row: MessageRow, refused: Refused) -> Outcome:
        usable = self.usable(row.market)
        rest = usable[usable.index(row.provider) + 1 :] if row.provider in usable else []
        if not refused.elsewhere or not rest:
            return self._refused(row, refused.reason[:MAX_REASON])
        await self._go_to(row, rest[0], refused.reason)
        return Retry(refused.reason, after_s=0.0)

    async def _go_to(self, row: MessageRow, provider: str, why: str) -> None:
        self._log.warning("message.fallback", message_id=row.id, left=row.provider, to=provider, error=why)
        values: Values = {"provider": provider, "provider_message_id": None, "status": Status.QUEUED}
        await self._database.write(lambda c: self._change_open(c, row.id, values))

    def _change_open(self, connection: Connection, message_id: str, values: Values) -> None:
        """Write columns, unless a report was faster."""
        current = self._store.by_id(connection, message_id, lock=True)
        if current is not None and current.status in OPEN:
            self._store.change(connection, message_id, values)

    # What follows

    def _sent(self, connection: Connection, row: MessageRow, accepted: Accepted) -> None:
        current = self._store.by_id(connection, row.id, lock=True) or row
        values: Values = {
            "provider_message_id": accepted.provider_message_id,
            "sent_at_ms": self._clock.now_ms(),
        }
        if current.status not in FINAL:
            values |= {"status": Status.SENT, "provider_status": accepted.provider_status}
        self._store.change(connection, row.id, values)
        if accepted.provider_message_id is None:
            return
        self._apply_kept(connection, row.provider, accepted.provider_message_id)

    def _found(self, connection: Connection, row: MessageRow, known: Dlr) -> None:
        """The provider has had it all the time."""
        self._sent(connection, row, Accepted(known.provider_message_id, known.provider_status))
        current = self._store.by_id(connection, row.id, lock=True)
        if current is not None:
            self._apply(connection, current, self._report(row.provider, known))

    def _apply_kept(self, connection: Connection, provider: str, provider_message_id: str) -> None:
        """Apply the reports that came before the message's id was known."""
        for report in self._store.reports_of(connection, provider, provider_message_id):
            row = self._store.by_provider_id(connection, provider, provider_message_id, lock=True)
            if row is not None:
                self._apply(connection, row, report)

    async def _reapply(self, leased: Leased) -> Outcome:
        provider = cast(str, leased.payload["provider"])
        provider_message_id = cast(str, leased.payload["provider_message_id"])
        return Done(lambda connection: self._apply_kept(connection, provider, provider_message_id))

    def _apply(self, connection: Connection, row: MessageRow, report: Report) -> None:
        status = after_report(row.status, Status(report.status))
        if row.status in FINAL:
            return
        values: Values = {
            "status": status,
            "provider_status": report.provider_status,
            "failure_reason": report.failure_reason,
        }
        if status in FINAL:
            values["done_at_ms"] = report.at_ms
        self._store.change(connection, row.id, values)
        self._tell(connection, row, status)

    def _refused(self, row: MessageRow, reason: str) -> Outcome:
        return Dead(reason, lambda connection: self._failed(connection, row.id, reason))

    def _gave_up(self, connection: Connection, leased: Leased) -> None:
        row = self._store.by_id(connection, leased.key)
        if row is not None and row.status is Status.QUEUED:  # an unknown one stays unknown
            self._failed(connection, leased.key, "the provider was not available")

    def _failed(self, connection: Connection, message_id: str, reason: str) -> None:
        row = self._store.by_id(connection, message_id, lock=True)
        if row is None or row.status in FINAL:
            return
        values: Values = {
            "status": Status.FAILED,
            "failure_reason": reason,
            "done_at_ms": self._clock.now_ms(),
        }
        self._store.change(connection, message_id, values)
        self._tell(connection, row, Status.FAILED)

    def _report(self, provider: str, dlr: Dlr) -> Report:
        at_ms = self._clock.now_ms() if dlr.at_ms is None else dlr.at_ms
        reason = dlr.failure_reason and dlr.failure_reason[:MAX_REASON]
        return Report(provider, dlr.provider_message_id, dlr.status, reason, at_ms, dlr.provider_status)

    # Telling the client

    def _tell(self, connection: Connection, row: MessageRow, status: Status) -> None:
        if row.callback_url is not None and status in FINAL:
            self._store.outbox.put(connection, [Outgoing(CALLBACK, row.id, {})], self._clock.now_ms())

    async def _call_back(self, leased: Leased) -> Outcome:
        row = await self._database.read(lambda c: self._store.by_id(c, leased.key))
        if row is None or row.callback_url is None:
            raise InternalError(f"outbox row {leased.key}: no such callback")
        try:
            await self.check_callback(row.callback_url)
        except BadRequest as error:
            return Retry(error.detail)  # the name may lead elsewhere the next time
        body = msgspec.json.encode(status_of(row))
        headers = signed_headers(
            self._callbacks.secret,
            webhook_id=f"mega-message-{row.id}",
            timestamp_s=self._clock.now_ms() // 1000,
            body=body,
        )
        answer = await self._http.request(
            "POST", row.callback_url, headers=headers, body=body, timeout_s=CALLBACK_TIMEOUT_S
        )
        return Done() if 200 <= answer.status < 300 else Retry(f"callback: HTTP {answer.status}")
