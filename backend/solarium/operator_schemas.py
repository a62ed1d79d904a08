"""What operators send and see; see operator_routes.py. Times are ISO 8601, money is in subunits."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from backend.kit.web import Msisdn, Text
from backend.solarium.schemas import Currency, ProviderKey

Market = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
Days = Annotated[int, Meta(ge=1, le=7960)]  # what one payment can buy (posting.py)
Price = Annotated[int, Meta(ge=1, le=10**12)]
SecretHex = Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{2}){1,64}\Z")]
LinkKeyHex = Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{2}){16,64}\Z")]
Password = Annotated[str, Meta(pattern=r"^[!-~]{16,200}\Z")]
Family = Literal["moto", "openpaygo"]
Before = Annotated[int, Meta(ge=0, lt=10**18)] | None
Limit = Annotated[int, Meta(ge=1, le=200)]
Printable = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z")]

PAGE = 50  # rows of an answer unless the query names a limit


class PageQuery(Struct, frozen=True):
    """Rows of an answer: those below the id `before`, at most `limit`."""

    before: Before = None
    limit: Limit = PAGE


class AccountQuery(PageQuery, frozen=True):
    """GET /v1/accounts: all, or those that have all that is named."""

    reference: Printable | None = None
    msisdn: Printable | None = None
    device: Printable | None = None


class DeviceQuery(Struct, frozen=True):
    """GET /v1/devices: all, or those that have all that is named; the serials behind `after`."""

    state: Printable | None = None
    serial: Printable | None = None
    after: Printable | None = None
    limit: Limit = PAGE


class DeviceEventQuery(Struct, frozen=True):
    """GET /v1/device_events: a device's serial."""

    identifier: Printable


class ImportQuery(Struct, frozen=True):
    """POST /v1/imports/...: whether the file is only checked."""

    dry_run: bool = False


class StatementQuery(Struct, frozen=True, rename={"since": "from", "until": "to"}):
    """GET /v1/accounts/{id}/statement: ISO 8601 times, UTC without an offset; all of it if none is named."""

    since: Printable | None = None
    until: Printable | None = None


class PlanRequest(Struct, frozen=True):
    """POST /v1/plans."""

    market: Market
    name: Text
    currency: Currency
    price_per_day_subunit: Price
    min_days: Days = 1
    max_days: Days = 365


class PlanList(Struct, frozen=True):
    """GET /v1/plans."""

    plans: list[PlanRequest]


class AccountRequest(Struct, frozen=True):
    """POST /v1/accounts; currency, price and limits are the plan's. The device is paired later."""

    reference: Text
    business_account: Text
    provider_key: ProviderKey
    market: Market
    plan: Text
    msisdn: Msisdn
    customer_name: Text | None = None


class PairingView(Struct, frozen=True, omit_defaults=True):
    """When which device was paired with an account; `ended_by` is swap or return."""

    device: str
    paired_at: str
    ended_at: str | None = None
    ended_by: str | None = None


class AccountView(Struct, frozen=True, omit_defaults=True):
    """An account; `device` is empty if none is paired with it, `pairings` come with a single account."""

    id: int
    reference: str
    business_account: str
    market: str
    currency: str
    customer_name: str | None
    msisdn: str
    device: str
    balance_subunit: int
    plan: str | None
    price_per_day_subunit: int
    min_days: int
    max_days: int
    created_at: str
    pairings: list[PairingView] | None = None


class AccountPage(Struct, frozen=True):
    """GET /v1/accounts; `next` is the `before` of the next page, null on the last one."""

    accounts: list[AccountView]
    next: int | None


class DeviceRequest(Struct, frozen=True):
    """POST /v1/devices; the secret goes to Moto's registry, the other two to M2M's; none is kept here."""

    serial: Text
    market: Market
    secret: SecretHex
    token_family: Family = "moto"  # noqa: S105 - a token family
    starting_code: Annotated[int, Meta(ge=0, le=999_999_999)] | None = None
    link_key: LinkKeyHex | None = None
    password: Password | None = None


class DeviceCounts(Struct, frozen=True):
    """GET /v1/imports/devices: how many devices are in each state."""

    registering: int = 0
    in_stock: int = 0
    paired: int = 0
    faulty: int = 0
    refused: int = 0


class DeviceView(Struct, frozen=True, omit_defaults=True):
    """A device; `state` is one of operations_store.py."""

    serial: str
    market: str
    token_family: str
    state: str
    account_id: int | None = None


class DevicePage(Struct, frozen=True):
    """GET /v1/devices; `next` is the `after` of the next page."""

    devices: list[DeviceView]
    next: str | None


class EventView(Struct, frozen=True):
    """A billing event of a device."""

    event_id: str
    type: str
    occurred_at: str
    received_at: str
    data: dict[str, object]


class EventList(Struct, frozen=True):
    """GET /v1/device_events."""

    identifier: str
    events: list[EventView]


class PairRequest(Struct, frozen=True):
    """POST /v1/accounts/{id}/pair and /swap: the device that the account gets."""

    serial: Text
    reason: Text | None = None


class ReturnRequest(Struct, frozen=True):
    """POST /v1/accounts/{id}/return; no body is one without a reason."""

    reason: Text | None = None


class ActionView(Struct, frozen=True, omit_defaults=True):
    """What an operator did: `operator` is the client of the API key, `subject` what it was done to."""

    id: int
    at: str
    operator: str
    action: str
    subject: str
    market: str
    reason: str | None = None


class ActionPage(Struct, frozen=True):
    """GET /v1/actions; `next` as in AccountPage."""

    actions: list[ActionView]
    next: int | None


class SuspenseView(Struct, frozen=True):
    """A payment that found no account."""

    payment_id: int
    reference: str
    business_account: str
    provider_tx: str
    provider_key: str
    amount_subunit: int
    currency: str
    sender_phone_number: str
    confirmed_at: str


class SuspensePage(Struct, frozen=True):
    """GET /v1/suspense; `next` as in AccountPage."""

    payments: list[SuspenseView]
    next: int | None


class ResolutionRequest(Struct, frozen=True):
    """POST /v1/suspense/{payment_id}/resolve: whose money it is, and how the operator knows."""

    reference: Text
    business_account: Text
    reason: Text


class ReversalRequest(Struct, frozen=True):
    """POST /v1/payments/{payment_id}/reverse."""

    reason: Text


class CorrectionView(Struct, frozen=True):
    """A booked correction: the payment's new outcome, what is on the account now, the days bought."""

    correction_id: int
    payment_id: int
    outcome: str
    balance_subunit: int | None
    days: int


class StatementLine(Struct, frozen=True):
    """An entry; `kind` is payment, days, resolution or reversal."""

    at: str
    kind: str
    payment_id: int
    provider_tx: str
    debit_subunit: int
    credit_subunit: int
    balance_subunit: int


class Statement(Struct, frozen=True):
    """GET /v1/accounts/{id}/statement; the balance is what the customer has paid and not used."""

    account_id: int
    reference: str
    currency: str
    opening_balance_subunit: int
    closing_balance_subunit: int
    lines: list[StatementLine]


class RowError(Struct, frozen=True):
    """What is wrong in a row of an import; `row` is its line in the file, the heading is line 1."""

    row: int
    field: str
    message: str


class ImportReport(Struct, frozen=True):
    """POST /v1/imports/...: `rows` can be read, `imported` are written: all that are new, or none.

    unchanged: those that were here already, with the same values. With errors and `imported` above 0 somebody
    else entered devices meanwhile: what is written stays, and the corrected file is sent again.
    """

    dry_run: bool
    rows: int
    imported: int
    errors: list[RowError]
    unchanged: int = 0
