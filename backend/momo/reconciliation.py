"""A reconciliation run: a provider's statement against our books. What is confirmed here is in the ledger.

    matched           both have it, with one amount
    amount_differs    both have it, with two: an operator decides
    unsettled         the provider has it, by our reference; here it waits, or failed
    missing_here      the provider has it, we never heard of it
    not_on_statement  we were told in this time that it was paid; the statement does not say so

A run reports. With `settle` it also makes good what is certain: an unsettled payment is paid, and a missing
one is taken in as if its notice had come, where the statement says for which account. Both are booked once,
by the provider's transaction id, however often a run is made.
"""

from collections.abc import Mapping, Sequence

import msgspec
import structlog

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Unprocessable
from backend.momo.inbound import Inbound
from backend.momo.ports import Incoming, Provider, StatementLine, Statements, Succeeded
from backend.momo.schemas import Difference, ReconciliationReport
from backend.momo.store import PaymentRow, Store
from backend.momo.transfers import Transfers


class Reconciliation:
    """Compares, and settles what it is told to."""

    def __init__(
        self,
        *,
        database: Database,
        store: Store,
        transfers: Transfers,
        inbound: Inbound,
        providers: Mapping[str, Provider],
        statements: Mapping[str, Statements],
    ):
        self._database = database
        self._store = store
        self._transfers = transfers
        self._inbound = inbound
        self._providers = providers
        self._statements = statements
        self._log = structlog.get_logger(service="momo")

    async def run(
        self,
        provider_key: str,
        *,
        first_ms: int,
        last_ms: int,
        lines: Sequence[StatementLine] | None,
        settle: bool,
    ) -> ReconciliationReport:
        """The report on a time. `lines`: the statement; None: the provider is asked for it.

        Unprocessable: no such provider, or it has no statement to ask for. BadRequest: the time is none.
        """
        if provider_key not in self._providers:
            raise Unprocessable(f"no provider is configured for {provider_key!r}")
        if not first_ms <= last_ms:
            raise BadRequest("the time ends before it begins", fields=[("until", "is before since")])
        if lines is None:
            lines = await self._asked(provider_key, first_ms, last_ms)
        report = await self._compared(provider_key, first_ms, last_ms, lines)
        if settle:
            report = msgspec.structs.replace(report, settled=await self._settled(provider_key, report, lines))
        differences = len(report.amount_differs) + len(report.missing_here) + len(report.not_on_statement)
        self._log.info(
            "reconciliation.done",
            provider_key=provider_key,
            matched=report.matched,
            unsettled=len(report.unsettled),
            differences=differences,
            settled=len(report.settled),
        )
        return report

    async def _asked(self, provider_key: str, first_ms: int, last_ms: int) -> Sequence[StatementLine]:
        statements = self._statements.get(provider_key)
        if statements is None:
            raise Unprocessable(f"{provider_key} has no statement to ask for; send its lines")
        return await statements.statement(first_ms, last_ms)

    async def _compared(
        self, provider_key: str, first_ms: int, last_ms: int, lines: Sequence[StatementLine]
    ) -> ReconciliationReport:
        theirs = {line.provider_tx: line for line in lines}
        names = sorted({line.provider_ref for line in lines if line.provider_ref})
        ours = await self._database.read(
            lambda c: self._store.by_transactions(c, provider_key, sorted(theirs))
        )
        waiting = await self._database.read(lambda c: self._store.unpaid_named(c, provider_key, names))
        paid = await self._database.read(
            lambda c: self._store.paid_between(c, provider_key, first_ms, last_ms)
        )
        matched, differs, unsettled, missing = 0, list[Difference](), list[Difference](), list[Difference]()
        for line in theirs.values():
            payment = ours.get(line.provider_tx)
            if payment is None:
                known = waiting.get(line.provider_ref)
                (missing if known is None else unsettled).append(_difference(line, known))
            elif (payment.paid_subunit, payment.paid_currency) == (line.amount_subunit, line.currency):
                matched += 1
            else:
                differs.append(_difference(line, payment))
        return ReconciliationReport(
            provider_key=provider_key,
            lines=len(theirs),
            matched=matched,
            amount_differs=differs,
            unsettled=unsettled,
            missing_here=missing,
            not_on_statement=[_ours(payment) for payment in paid if payment.provider_tx not in theirs],
        )

    async def _settled(
        self, provider_key: str, report: ReconciliationReport, lines: Sequence[StatementLine]
    ) -> list[str]:
        """Make good what is certain; the transactions."""
        by_tx = {line.provider_tx: line for line in lines}
        settled: list[str] = []
        for difference in report.unsettled:
            line = by_tx[difference.provider_tx]
            seen = Succeeded(line.provider_tx, line.amount_subunit, line.currency)
            if difference.payment_id is not None:
                await self._transfers.paid(difference.payment_id, seen)
                settled.append(line.provider_tx)
        for difference in report.missing_here:
            incoming = _incoming(provider_key, by_tx[difference.provider_tx])
            if incoming is not None:
                await self._inbound.confirm(incoming)
                settled.append(incoming.provider_tx)
        return settled


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


def _difference(line: StatementLine, payment: PaymentRow | None) -> Difference:
    return Difference(
        provider_tx=line.provider_tx,
        amount_subunit=line.amount_subunit,
        currency=line.currency,
        payment_id=None if payment is None else payment.id,
        state=None if payment is None else payment.state.value,
        our_amount_subunit=None if payment is None else payment.paid_subunit or payment.amount_subunit,
    )


def _ours(payment: PaymentRow) -> Difference:
    return Difference(
        provider_tx=payment.provider_tx or "",
        amount_subunit=payment.paid_subunit or payment.amount_subunit,
        currency=payment.paid_currency or payment.currency,
        payment_id=payment.id,
        state=payment.state.value,
    )
