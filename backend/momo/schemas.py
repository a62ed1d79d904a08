"""Wire forms of momo's routes. Unknown members are ignored."""

from datetime import UTC, date, datetime
from typing import Annotated, Literal

import msgspec

from backend.kit.web import Msisdn, Subunits, Text

Market = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
ProviderKey = Annotated[str, msgspec.Meta(max_length=80, pattern=r"^[a-z]{2}_[a-z0-9]+_[a-z0-9]+\Z")]

Name = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*\Z")]
# Without an offset it is UTC; msgspec shows a format only where an offset must be.
Moment = Annotated[datetime, msgspec.Meta(extra_json_schema={"format": "date-time"})]
# Daraja masks it: 25470****149 (resolutions 4).
Sender = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9*]{6,14}\Z")]

NEWEST = 2**62  # beyond every id: the first page
MAX_SECONDS = 1e300  # no infinity


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of a time on the wire; one without an offset is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


class ResolveRequest(msgspec.Struct, kw_only=True):
    """POST /resolve; `msisdn`: who is to pay, where an account can be paid through several networks."""

    reference: Text
    market: Market
    msisdn: Msisdn | None = None


class ValidateRequest(msgspec.Struct, kw_only=True):
    """POST /validate."""

    reference: Text
    currency: Currency
    business_account: Text
    provider_key: ProviderKey
    amount_subunit: Annotated[int, msgspec.Meta(ge=0, le=10**14)] | None = None  # 0 is too low


class PaymentRequest(msgspec.Struct, kw_only=True):
    """POST /payment. The same `idempotency_key` again returns the first payment; 409 for another one."""

    reference: Text
    amount_subunit: Subunits
    currency: Currency
    business_account: Text
    provider_key: ProviderKey
    msisdn: Msisdn
    idempotency_key: Text


class WaitQuery(msgspec.Struct, frozen=True):
    """How many seconds GET /payment/{id} may wait for the end; longer than the service waits is as long."""

    wait_s: Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)] = 0.0


class KeyQuery(msgspec.Struct, frozen=True):
    """Which of the client's own payments: by the key that it was asked for with."""

    idempotency_key: Text


class ValidatePayment(ValidateRequest, kw_only=True):
    """POST /validate_payment (checklist 24, 35)."""

    additional_fields: list[str] | None = None


class ConfirmPayment(msgspec.Struct, kw_only=True):
    """POST /confirm_payment (checklist 30, 35). The id in our database, `momoep_id`, is ours to give."""

    reference: Text
    amount_subunit: Subunits
    currency: Currency
    sender_phone_number: Sender
    provider_tx: Text
    provider_key: ProviderKey
    business_account: Text
    received_at: Moment


class Line(msgspec.Struct, kw_only=True):
    """A line of a statement; `provider_ref`: our reference or the provider's handle, where it names one."""

    provider_tx: Text
    amount_subunit: Subunits
    currency: Currency
    provider_ref: Name = ""
    reference: Name = ""
    business_account: Name = ""
    sender: Sender | None = None


class ReconciliationRequest(msgspec.Struct, kw_only=True):
    """POST /reconciliation. Without `lines` the provider is asked. Split a long time, not its lines."""

    provider_key: ProviderKey
    since: Moment
    until: Moment
    lines: list[Line] | None = None
    settle: bool = False


class Difference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A transaction: the provider's amount (or ours), our payment and what billing booked, where known.

    open_because: why a run does not make good by itself what it seems to know enough of.
    """

    provider_tx: str
    amount_subunit: int
    currency: str
    payment_id: str | None = None
    state: str | None = None
    our_amount_subunit: int | None = None
    booked_subunit: int | None = None
    booked_currency: str | None = None
    open_because: str | None = None


class ReconciliationReport(msgspec.Struct, frozen=True, kw_only=True):
    """See comparison.py. `settled`: the transactions that were made good.

    method: how the provider was heard (stated.py); unasked: payments that nobody could be asked about. new:
    differences that no run has found before; resolved: those of earlier runs that are no more.
    """

    provider_key: str
    run_id: int
    method: str
    lines: int
    matched: int
    unasked: int
    amount_differs: list[Difference]
    unsettled: list[Difference]
    missing_here: list[Difference]
    not_on_statement: list[Difference]
    not_booked: list[Difference]
    booked_differs: list[Difference]
    booked_only: list[Difference]
    new: int
    resolved: int
    settled: list[str] = []


class PageQuery(msgspec.Struct, frozen=True):
    """A page: `before` is the `next` of the page before."""

    before: Annotated[int, msgspec.Meta(ge=1, le=NEWEST)] = NEWEST
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class DifferenceQuery(PageQuery, frozen=True):
    """GET /reconciliation/differences."""

    state: Literal["open", "resolved", "closed", "all"] = "all"


class RunRequest(msgspec.Struct, kw_only=True):
    """POST /reconciliation/runs: `day` (UTC) of one provider, its statement or statuses asked for."""

    provider_key: ProviderKey
    day: date
    settle: bool = True


class RunView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run; `report` comes with a single one. Its lists hold the first 500 of each kind."""

    id: int
    provider_key: str
    since: str
    until: str
    state: str
    scheduled: bool
    started_at: str
    ended_at: str | None = None
    attempts: int
    error: str | None = None
    report: ReconciliationReport | None = None


class RunPage(msgspec.Struct, frozen=True):
    """GET /reconciliation/runs; `next` is the `before` of the next page, null on the last one."""

    runs: list[RunView]
    next: int | None


class Providers(msgspec.Struct, frozen=True):
    """GET /reconciliation/providers: the provider keys that can be reconciled."""

    providers: list[str]


class DifferenceView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A difference, found once; `state` is open, resolved or closed."""

    id: int
    provider_key: str
    kind: str
    state: str
    found_at: str
    seen_at: str
    ended_at: str | None = None
    closed_by: str | None = None
    closed_reason: str | None = None
    difference: Difference


class DifferencePage(msgspec.Struct, frozen=True):
    """GET /reconciliation/differences; `next` as in RunPage."""

    differences: list[DifferenceView]
    next: int | None


class CloseRequest(msgspec.Struct, kw_only=True):
    """POST /reconciliation/differences/{id}/close: what the operator did about it."""

    reason: Text


class Payment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`status`: pending | confirmed | failed | unknown; `reason` in the provider's words when it failed."""

    payment_id: str
    status: str
    reason: str | None = None


class ValidationAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`status`: ok | reference_not_found | amount_too_low | amount_too_high (checklist 29)."""

    status: str
    customer_name: str | None = None


class RouteAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The route of an account."""

    reference: str
    business_account: str
    currency: str
    provider_key: str
    customer_name: str | None = None


class FieldError(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request."""

    field: str
    message: str


class FieldErrors(msgspec.Struct, frozen=True):
    """400 (resolutions 6)."""

    errors: list[FieldError]


class ErrorAnswer(msgspec.Struct, frozen=True):
    """Every other error."""

    error: str
    message: str
