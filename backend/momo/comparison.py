"""What differs between a provider, our payments and billing's ledger. Pure; reconciliation.py gathers.

matched           the provider and we have it, with one amount
amount_differs    both have it, with two: an operator decides
unsettled         the provider has it, by our reference; here it waits, or failed
missing_here      the provider has it, we never heard of it; or it names a payment that was paid by another
                  transaction: paid twice, or one payment under two names, an operator finds out
not_on_statement  it was paid, as we were told; the provider does not say so
not_booked        it was paid; billing's ledger does not have it
booked_differs    billing booked another amount than was paid
booked_only       billing booked it; neither we nor the provider know of it
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from backend.momo.ports import Booked, StatementLine
from backend.momo.schemas import Difference
from backend.momo.states import PAID
from backend.momo.store import PaymentRow

MAYBE_CUT = (
    "the provider cuts references at this length: it may be the beginning of another account's; "
    "find out who was meant"
)
NAMED_OTHERWISE = (
    "it names a payment of ours that was paid by {}: find out whether the customer paid twice, "
    "or the provider names one payment in two ways"
)


class Kind(StrEnum):
    """Column `kind` of a difference."""

    AMOUNT_DIFFERS = "amount_differs"
    UNSETTLED = "unsettled"
    MISSING_HERE = "missing_here"
    NOT_ON_STATEMENT = "not_on_statement"
    NOT_BOOKED = "not_booked"
    BOOKED_DIFFERS = "booked_differs"
    BOOKED_ONLY = "booked_only"


@dataclass(frozen=True, slots=True)
class Found:
    """A difference; `line`: the statement's, where there is one. `subject` names it among its kind."""

    kind: Kind
    difference: Difference
    line: StatementLine | None = None

    @property
    def subject(self) -> str:
        """The provider's transaction, or our payment where the provider named none."""
        return self.difference.provider_tx or self.difference.payment_id or ""


@dataclass(frozen=True, slots=True)
class Books:
    """Our side. `by_tx`: payments by the provider's transaction; `named`: by our reference or the handle.

    paid: of the time, to be looked for in billing's ledger; expected: ids of those that the provider must
    name. booked: billing's, by transaction; None: nobody asked. booked_in_time: billing's, of the time.
    cut_at: see Statements.
    """

    by_tx: Mapping[str, PaymentRow]
    named: Mapping[str, PaymentRow]
    paid: Sequence[PaymentRow]
    expected: Collection[str]
    booked: Mapping[str, Booked] | None
    booked_in_time: Sequence[Booked]
    cut_at: int | None = None


def compare(lines: Mapping[str, StatementLine], stated: Collection[str], books: Books) -> list[Found]:
    """Every difference. `lines` by transaction; `stated`: what the provider has, of a wider time."""
    found = [difference for line in lines.values() if (difference := _line(line, books)) is not None]
    named = {*stated, *lines}
    found += [
        Found(Kind.NOT_ON_STATEMENT, ours(payment))
        for payment in books.paid
        if payment.id in books.expected and payment.provider_tx not in named
    ]
    if books.booked is not None:
        paid = {payment.provider_tx: payment for payment in (*books.by_tx.values(), *books.paid)}
        found += [
            difference
            for payment in paid.values()
            if payment.state in PAID and (difference := _booking(payment, books.booked)) is not None
        ]
    known = {*named, *books.by_tx, *(payment.provider_tx for payment in books.paid)}
    found += [
        Found(Kind.BOOKED_ONLY, _booked_only(each))
        for each in books.booked_in_time
        if each.provider_tx not in known
    ]
    return found


def matched(lines: Mapping[str, StatementLine], books: Books) -> int:
    """How many lines we have with the same amount."""
    return sum(_agree(line, books.by_tx.get(line.provider_tx)) for line in lines.values())


def ours(payment: PaymentRow) -> Difference:
    """A payment of ours as a difference shows it."""
    return Difference(
        provider_tx=payment.provider_tx or "",
        amount_subunit=payment.paid_subunit or payment.amount_subunit,
        currency=payment.paid_currency or payment.currency,
        payment_id=payment.id,
        state=payment.state.value,
    )


def _line(line: StatementLine, books: Books) -> Found | None:
    payment = books.by_tx.get(line.provider_tx)
    if payment is None:
        known = books.named.get(line.provider_ref)
        waits = known is not None and known.state not in PAID
        return Found(Kind.UNSETTLED if waits else Kind.MISSING_HERE, _of_line(line, known, books), line)
    return None if _agree(line, payment) else Found(Kind.AMOUNT_DIFFERS, _of_line(line, payment, books), line)


def _agree(line: StatementLine, payment: PaymentRow | None) -> bool:
    taken = None if payment is None else (payment.paid_subunit, payment.paid_currency)
    return taken == (line.amount_subunit, line.currency)


def _booking(payment: PaymentRow, booked: Mapping[str, Booked]) -> Found | None:
    each = booked.get(payment.provider_tx or "")
    if each is None:
        return Found(Kind.NOT_BOOKED, ours(payment))
    paid = ours(payment)
    if (each.amount_subunit, each.currency) == (paid.amount_subunit, paid.currency):
        return None
    booked_as = msgspec.structs.replace(
        paid, booked_subunit=each.amount_subunit, booked_currency=each.currency
    )
    return Found(Kind.BOOKED_DIFFERS, booked_as)


def _booked_only(each: Booked) -> Difference:
    return Difference(
        provider_tx=each.provider_tx,
        amount_subunit=each.amount_subunit,
        currency=each.currency,
        booked_subunit=each.amount_subunit,
        booked_currency=each.currency,
    )


def _of_line(line: StatementLine, payment: PaymentRow | None, books: Books) -> Difference:
    return Difference(
        provider_tx=line.provider_tx,
        amount_subunit=line.amount_subunit,
        currency=line.currency,
        payment_id=None if payment is None else payment.id,
        state=None if payment is None else payment.state.value,
        our_amount_subunit=None if payment is None else payment.paid_subunit or payment.amount_subunit,
        open_because=_open_because(line, payment, books),
    )


def _open_because(line: StatementLine, payment: PaymentRow | None, books: Books) -> str | None:
    if payment is None:
        return MAYBE_CUT if books.cut_at == len(line.reference) else None
    if payment.state in PAID and payment.provider_tx != line.provider_tx:
        return NAMED_OTHERWISE.format(payment.provider_tx)
    return None
