"""A reconciliation run: what a provider says against our payments and billing's ledger.

    claim     one run of a slot, whoever else wants it (reconciliation_store.py)
    ask       the provider (stated.py), billing
    compare   comparison.py; with what earlier runs left open, which is judged again
    note      each difference once; those that are no more are resolved
    settle    what is certain is made good, by the path that any payment takes
    report    kept with the run

What `settle` makes good: an unsettled payment is paid, a missing one is taken in as if its notice had come
(where the statement says for which account), and of what billing lacks it is told once more. Each is booked
once, by the provider's transaction id, however often a run is made. What an operator has closed, he has dealt
with: it is left alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import structlog
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BackendError, BadRequest, Conflict, Unprocessable
from backend.kit.runtime import Clock, Entropy, token_hex
from backend.momo.comparison import Books, Found, Kind, compare, matched
from backend.momo.inbound import Inbound
from backend.momo.ports import (
    BOOKED_PAGE,
    Billing,
    Booked,
    Incoming,
    Provider,
    StatementLine,
    Statements,
    Succeeded,
)
from backend.momo.reconciliation_store import Claim, DifferenceRow, Noted, Seen
from backend.momo.schemas import Difference, ReconciliationReport
from backend.momo.stated import Asking, Lines, Stated
from backend.momo.states import PAID
from backend.momo.store import PaymentRow, Store
from backend.momo.transfers import Transfers

DAY_MS = 86_400_000
GRACE_MS = 600_000  # younger payments are on their way to billing
RETRY_MS = 900_000  # a failed run of a slot is made again after a quarter of an hour
ABANDONED_MS = 3_600_000  # no run takes an hour: its process died
MAX_BOOKED = 100_000  # payments of billing's ledger in the time of one run
MAX_ALERTS = 20  # log lines for new differences of one run; the report has them all
MAX_LISTED = 500  # differences of a kind in the report that is kept; `new` and the list of them count all
SCHEDULED = "day:"  # how a scheduled run's slot begins


@dataclass(frozen=True, slots=True)
class Span:
    """What is to be reconciled. slot: None for a run that an operator asked for."""

    provider_key: str
    first_ms: int
    last_ms: int
    slot: str | None = None


def whole_day(provider_key: str, day: int, *, slot: str | None = None) -> Span:
    """A day (UTC), counted from 1970-01-01."""
    return Span(provider_key, day * DAY_MS, (day + 1) * DAY_MS - 1, slot)


class Reconciliation:
    """Compares, and settles what it is told to."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        store: Store,
        billing: Billing,
        transfers: Transfers,
        inbound: Inbound,
        providers: Mapping[str, Provider],
        statements: Mapping[str, Statements],
    ):
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._store = store
        self._books = store.reconciliation
        self._billing = billing
        self._transfers = transfers
        self._inbound = inbound
        self._asking = Asking(
            database=database,
            clock=clock,
            store=store,
            transfers=transfers,
            providers=providers,
            statements=statements,
        )
        self.providers = tuple(sorted(providers))
        self._log = structlog.get_logger(service="momo")

    def day_so_far(self, provider_key: str, day: int) -> Span:
        """As `whole_day`; one that is not over ends before the youngest payments.

        BadRequest: it has not begun.
        """
        span = whole_day(provider_key, day)
        last_ms = min(span.last_ms, self._clock.now_ms() - GRACE_MS)
        if last_ms < span.first_ms:
            raise BadRequest("the day has not begun", fields=[("day", "has not begun")])
        return replace(span, last_ms=last_ms)

    async def run(
        self, span: Span, *, lines: Sequence[StatementLine] | None = None, settle: bool, each: bool = False
    ) -> ReconciliationReport:
        """The report on a time. `lines`: the statement; None: the provider is asked for it.

        each: one that has no statement is asked about every payment. Unprocessable: no such provider, or it
        has no statement to ask for. BadRequest: the time is none, or lines contradict each other. Conflict:
        the slot is done, or in hand.
        """
        if span.provider_key not in self.providers:
            raise Unprocessable(f"no provider is configured for {span.provider_key!r}")
        if not span.first_ms <= span.last_ms:
            raise BadRequest("the time ends before it begins", fields=[("until", "is before since")])
        if lines is None and not each and not self._asking.has_statement(span.provider_key):
            raise Unprocessable(f"{span.provider_key} has no statement to ask for; send its lines")
        _check_lines(lines or ())
        run_id = await self._claimed(span)
        try:
            stated = await self._asking.stated(span.provider_key, span.first_ms, span.last_ms, lines)
            report = await self._reported(span, run_id, stated, settle=settle)
        except BackendError as error:
            await self._end(run_id, error=f"{error.code}: {error.detail}")
            raise
        await self._end(run_id, report=_short(report))
        return report

    async def _claimed(self, span: Span) -> int:
        now_ms = self._clock.now_ms()
        claim = Claim(
            provider_key=span.provider_key,
            slot=span.slot or f"asked:{token_hex(self._entropy)}",
            first_ms=span.first_ms,
            last_ms=span.last_ms,
            now_ms=now_ms,
            retry_before_ms=now_ms - RETRY_MS,
            abandoned_before_ms=now_ms - ABANDONED_MS,
        )
        run_id = await self._database.write(lambda connection: self._books.claim(connection, claim))
        if run_id is None:
            raise Conflict("this run is done, or in hand")
        return run_id

    async def _end(
        self, run_id: int, *, report: ReconciliationReport | None = None, error: str | None = None
    ) -> None:
        kept = None if report is None else msgspec.json.encode(report).decode()
        now_ms = self._clock.now_ms()
        await self._database.write(
            lambda c: self._books.end(c, run_id, report=kept, error=error, now_ms=now_ms)
        )

    async def _reported(
        self, span: Span, run_id: int, stated: Stated, *, settle: bool
    ) -> ReconciliationReport:
        opened = await self._database.read(lambda c: self._books.open_differences(c, span.provider_key))
        earlier = {line.provider_tx: line for line in map(_stored_line, opened) if line is not None}
        lines = {**earlier, **stated.lines}
        books = await self._gathered(span, stated, lines, opened)
        found = compare(lines, stated.around, books)
        noted, resolved = await self._noted(span.provider_key, found, opened)
        new = noted.new
        left = [each for each in found if (str(each.kind), each.subject) not in noted.closed]
        settled = await self._settled(span.provider_key, left) if settle else []
        if settled:
            resolved += await self._judged_again(span.provider_key, lines)
        self._tell(span.provider_key, found, new, settled)
        by_kind = {kind: [each.difference for each in found if each.kind is kind] for kind in Kind}
        report = ReconciliationReport(
            provider_key=span.provider_key,
            run_id=run_id,
            method=stated.method,
            lines=len(stated.lines),
            matched=matched(stated.lines, books),
            unasked=len(stated.unasked),
            new=len(new),
            resolved=resolved,
            settled=settled,
            **{kind.value: differences for kind, differences in by_kind.items()},
        )
        self._log.info(
            "reconciliation.done",
            provider_key=span.provider_key,
            run_id=run_id,
            method=stated.method,
            matched=report.matched,
            differences=len(found),
            new=len(new),
            resolved=resolved,
            settled=len(settled),
        )
        return report

    async def _gathered(
        self, span: Span, stated: Stated, lines: Lines, opened: Sequence[DifferenceRow]
    ) -> Books:
        key = span.provider_key
        by_tx, named = await self._payments(key, lines)
        made = await self._database.read(
            lambda c: self._store.made_between(c, key, span.first_ms, span.last_ms)
        )
        before = await self._still_looked_for(opened)
        paid = {each.id: each for each in (*made, *before) if each.state in PAID}
        unstated = {_stored(row).payment_id for row in opened if row.kind == Kind.NOT_ON_STATEMENT}
        expected = {each.id for each in made}.union(filter(None, unstated))
        in_time = await self._booked_between(span, opened)
        names = {*lines, *(each.provider_tx or "" for each in paid.values())} - {""}
        booked = await self._booked(key, sorted(names))
        strangers = {each.provider_tx for each in in_time} - names
        known, _ = await self._payments(key, dict.fromkeys(strangers))
        return Books(
            by_tx={**known, **by_tx},
            named=named,
            paid=list(paid.values()),
            expected=expected - stated.unasked,
            booked=booked,
            booked_in_time=in_time,
            cut_at=self._asking.cut_at(key),
        )

    async def _payments(
        self, provider_key: str, lines: Mapping[str, StatementLine | None]
    ) -> tuple[dict[str, PaymentRow], dict[str, PaymentRow]]:
        """Ours by the provider's transactions, and by the names that lines give."""
        names = sorted({line.provider_ref for line in lines.values() if line and line.provider_ref})
        by_tx = await self._database.read(
            lambda c: self._store.by_transactions(c, provider_key, sorted(lines))
        )
        named = await self._database.read(lambda c: self._store.named(c, provider_key, names))
        return by_tx, named

    async def _still_looked_for(self, opened: Sequence[DifferenceRow]) -> list[PaymentRow]:
        """Payments that an earlier run did not find on its statement, or in billing's ledger."""
        kinds = (Kind.NOT_ON_STATEMENT, Kind.NOT_BOOKED, Kind.BOOKED_DIFFERS)
        ids = [_stored(row).payment_id for row in opened if row.kind in kinds]
        wanted = sorted({payment_id for payment_id in ids if payment_id})
        return await self._database.read(lambda connection: self._store.by_ids(connection, wanted))

    async def _booked(self, provider_key: str, names: Sequence[str]) -> dict[str, Booked]:
        found: dict[str, Booked] = {}
        for start in range(0, len(names), BOOKED_PAGE):
            page = await self._billing.booked_payments(provider_key, names[start : start + BOOKED_PAGE])
            found.update({each.provider_tx: each for each in page})
        return found

    async def _booked_between(self, span: Span, opened: Sequence[DifferenceRow]) -> list[Booked]:
        """Billing's of the time, and those of earlier times that nobody else knew of."""
        found: list[Booked] = []
        after = 0
        while len(found) < MAX_BOOKED:
            page = await self._billing.booked_between(
                span.provider_key, first_ms=span.first_ms, last_ms=span.last_ms, after=after
            )
            if not page:
                break
            found += page
            after = page[-1].id
        earlier = [row.subject for row in opened if row.kind == Kind.BOOKED_ONLY]
        return [*found, *(await self._booked(span.provider_key, earlier)).values()]

    async def _noted(
        self, provider_key: str, found: Sequence[Found], opened: Sequence[DifferenceRow]
    ) -> tuple[Noted, int]:
        """Write what was found: what of it is new or closed, and how many of the open ones are no more."""
        seen = [_seen(each) for each in found]
        subjects = {(str(each.kind), each.subject) for each in seen}
        gone = [row.id for row in opened if (row.kind, row.subject) not in subjects]
        now_ms = self._clock.now_ms()

        def note(connection: Connection) -> Noted:
            self._books.resolve(connection, gone, now_ms)
            return self._books.note(connection, provider_key, seen, now_ms)

        return await self._database.write(note), len(gone)

    async def _judged_again(self, provider_key: str, lines: Lines) -> int:
        """Resolve what has just been settled; how many.

        What differs still, be it in another way, stays open: the next run sees it by its line.
        """
        opened = await self._database.read(lambda c: self._books.open_differences(c, provider_key))
        by_tx, named = await self._payments(provider_key, lines)
        left = compare(lines, (), Books(by_tx, named, (), (), None, ()))
        subjects = {each.subject for each in left}
        kinds = (Kind.UNSETTLED, Kind.MISSING_HERE)
        gone = [row.id for row in opened if row.kind in kinds and row.subject not in subjects]
        now_ms = self._clock.now_ms()
        await self._database.write(lambda connection: self._books.resolve(connection, gone, now_ms))
        return len(gone)

    async def _settled(self, provider_key: str, found: Sequence[Found]) -> list[str]:
        """Make good what is certain; the transactions."""
        settled: list[str] = []
        for each in found:
            line, payment_id = each.line, each.difference.payment_id
            if each.kind is Kind.UNSETTLED and line is not None and payment_id is not None:
                seen = Succeeded(line.provider_tx, line.amount_subunit, line.currency)
                if await self._transfers.paid(payment_id, seen):
                    settled.append(line.provider_tx)
            elif each.kind is Kind.MISSING_HERE and line is not None and not each.difference.open_because:
                incoming = _incoming(provider_key, line)
                if incoming is not None:
                    await self._inbound.confirm(incoming, paid_at_ms=line.paid_at_ms)
                    settled.append(incoming.provider_tx)
        unbooked = [each.difference for each in found if each.kind is Kind.NOT_BOOKED]
        told = [each for each in unbooked if each.payment_id is not None and each.state != "mismatched"]
        await self._transfers.confirm_again([each.payment_id for each in told if each.payment_id])
        return settled + [each.provider_tx for each in told]

    def _tell(
        self, provider_key: str, found: Sequence[Found], new: set[tuple[str, str]], settled: Sequence[str]
    ) -> None:
        """One alert for each new difference that is still there, the first MAX_ALERTS of them."""
        healed = set(settled)
        fresh = [each for each in found if (str(each.kind), each.subject) in new]
        alerts = [each for each in fresh if each.difference.provider_tx not in healed]
        for each in alerts[:MAX_ALERTS]:
            self._log.error(
                "reconciliation.difference",
                provider_key=provider_key,
                kind=each.kind.value,
                provider_tx=each.difference.provider_tx,
                payment_id=each.difference.payment_id,
                amount_subunit=each.difference.amount_subunit,
            )
        if len(alerts) > MAX_ALERTS:
            self._log.error("reconciliation.differences", provider_key=provider_key, new=len(alerts))


def _check_lines(lines: Sequence[StatementLine]) -> None:
    """BadRequest: a transaction has two lines that differ; one would hide what the other one shows."""
    first: dict[str, StatementLine] = {}
    for number, line in enumerate(lines):
        if first.setdefault(line.provider_tx, line) != line:
            text = "is another line of a transaction that stands before it; send what is right"
            raise BadRequest("lines contradict each other", fields=[(f"lines[{number}]", text)])


def _incoming(provider_key: str, line: StatementLine) -> Incoming | None:
    """A payment that a customer began, as the statement has it; None: it does not say enough."""
    if not (line.reference and line.business_account and line.sender):
        return None
    return Incoming(
        provider_tx=line.provider_tx,
        provider_key=provider_key,
        reference=line.reference,
        business_account=line.business_account,
        amount_subunit=line.amount_subunit,
        currency=line.currency,
        sender=line.sender,
    )


def _seen(found: Found) -> Seen:
    line = None if found.line is None else msgspec.json.encode(found.line).decode()
    return Seen(found.kind.value, found.subject, msgspec.json.encode(found.difference).decode(), line)


def _stored(row: DifferenceRow) -> Difference:
    return msgspec.json.decode(row.difference, type=Difference)


def _stored_line(row: DifferenceRow) -> StatementLine | None:
    return None if row.line is None else msgspec.json.decode(row.line, type=StatementLine)


def _short(report: ReconciliationReport) -> ReconciliationReport:
    """The report as it is kept."""
    lists = {kind.value: getattr(report, kind.value)[:MAX_LISTED] for kind in Kind}
    return msgspec.structs.replace(report, **lists, settled=report.settled[:MAX_LISTED])
