"""What a provider says was paid in a time: by its statement, or payment by payment where it has none.

lines      an operator sent the statement
statement  the provider was asked for it, over a wider time: since clocks differ and notices come late. What
           it does not reach back to is unasked, as if the provider could not be asked
status     the provider was asked about every payment that we had asked it for; what it took without us,
           only a statement can tell
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.kit.database import Database
from backend.kit.errors import BackendError, Unavailable
from backend.kit.runtime import Clock
from backend.momo.ports import Provider, StatementLine, Statements, Succeeded
from backend.momo.states import PAID
from backend.momo.store import PROVIDERS, PaymentRow, Store
from backend.momo.transfers import Transfers

BEFORE_MS, AFTER_MS = 12 * 3_600_000, 3_600_000  # around the time; Daraja's list goes back 48 hours
ASKING = 8  # questions at a time: reconciliation must leave the provider's own rate to payments
MAX_ASKED = 20_000  # payments of one run: at 8 at a time and 100 ms each, four minutes

Lines = Mapping[str, StatementLine]  # by the provider's transaction


@dataclass(frozen=True, slots=True)
class Stated:
    """`lines` of the time; `around`: transactions of a wider one; `unasked`: payments that it can't know."""

    method: str
    lines: Lines
    around: frozenset[str] = frozenset()
    unasked: frozenset[str] = frozenset()


class Asking:
    """Gets what providers say."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        store: Store,
        transfers: Transfers,
        providers: Mapping[str, Provider],
        statements: Mapping[str, Statements],
    ):
        self._database = database
        self._clock = clock
        self._store = store
        self._transfers = transfers
        self._providers = providers
        self._statements = statements

    def has_statement(self, provider_key: str) -> bool:
        """Whether the provider has a statement to ask for."""
        return provider_key in self._statements

    def cut_at(self, provider_key: str) -> int | None:
        """See Statements."""
        statements = self._statements.get(provider_key)
        return None if statements is None else statements.cut_at

    async def stated(
        self,
        provider_key: str,
        first_ms: int,
        last_ms: int,
        lines: Sequence[StatementLine] | None,
    ) -> Stated:
        """What the provider says: `lines`, its own statement, or what it knows of each payment.

        Unavailable: it can't be asked now.
        """
        if lines is not None:
            return Stated("lines", {line.provider_tx: line for line in lines})
        statements = self._statements.get(provider_key)
        if statements is not None:
            found = await statements.statement(first_ms - BEFORE_MS, last_ms + AFTER_MS)
            inside = {line.provider_tx: line for line in found if _within(line, first_ms, last_ms)}
            around = frozenset(line.provider_tx for line in found)
            unasked = await self._beyond(provider_key, first_ms, last_ms, statements.reach_ms)
            return Stated("statement", inside, around, unasked)
        return await self._one_by_one(provider_key, first_ms, last_ms)

    async def _beyond(
        self, provider_key: str, first_ms: int, last_ms: int, reach_ms: int | None
    ) -> frozenset[str]:
        """Ids of our payments that were made before a statement begins, or about then: clocks differ."""
        if reach_ms is None:
            return frozenset()
        begins_ms = self._clock.now_ms() - reach_ms + AFTER_MS
        if begins_ms <= first_ms:
            return frozenset()
        payments = await self._database.read(
            lambda c: self._store.made_between(c, provider_key, first_ms, min(last_ms, begins_ms))
        )
        return frozenset(payment.id for payment in payments)

    async def _one_by_one(self, provider_key: str, first_ms: int, last_ms: int) -> Stated:
        payments = await self._database.read(
            lambda connection: self._store.made_between(connection, provider_key, first_ms, last_ms)
        )
        ours = [payment for payment in payments if payment.client != PROVIDERS]
        ours.sort(key=lambda payment: payment.state in PAID)  # what is open first
        asked = ours[:MAX_ASKED]
        unasked = {payment.id for payment in payments} - {payment.id for payment in asked}
        lines: dict[str, StatementLine] = {}
        failures: list[BackendError] = []
        pending = iter(asked)

        async def ask() -> None:
            for payment in pending:
                try:
                    seen = await self._transfers.seen(payment)
                except Unavailable as error:
                    unasked.add(payment.id)
                    failures.append(error)
                    continue
                if isinstance(seen, Succeeded):
                    lines[seen.provider_tx] = _line(payment, seen)

        await asyncio.gather(*(ask() for _ in range(ASKING)))
        if asked and len(failures) == len(asked):
            raise failures[0]
        return Stated("status", lines, unasked=frozenset(unasked))


def _within(line: StatementLine, first_ms: int, last_ms: int) -> bool:
    return line.paid_at_ms is None or first_ms <= line.paid_at_ms <= last_ms


def _line(payment: PaymentRow, seen: Succeeded) -> StatementLine:
    return StatementLine(
        provider_tx=seen.provider_tx,
        amount_subunit=seen.amount_subunit,
        currency=seen.currency,
        provider_ref=payment.provider_ref,
    )
