"""What goes over Solarium's wire; unknown fields are ignored. See service.py and external.py."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from backend.kit.web import Msisdn, Subunits, Text

ProviderKey = Annotated[str, Meta(max_length=80, pattern=r"^[a-z]{2}_[a-z0-9]+_[a-z0-9]+\Z")]  # checklist 5
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
# Daraja masks it: 25470****149 (resolutions 4).
Sender = Annotated[str, Meta(pattern=r"^[1-9][0-9*]{6,14}\Z")]
Extra = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*\Z")]
AnyAmount = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # validation says too low or too high of any of these
Major = Annotated[int, Meta(gt=0, le=10**12)] | Annotated[float, Meta(gt=0, le=1e12)]

OK = "ok"
REFERENCE_NOT_FOUND = "reference_not_found"
AMOUNT_TOO_LOW = "amount_too_low"
AMOUNT_TOO_HIGH = "amount_too_high"
MAX_BOOKED = 200  # payments of one question or answer: 200 transaction ids fit a body
STATUS_CODES = {OK: 200, AMOUNT_TOO_LOW: 412, AMOUNT_TOO_HIGH: 412, REFERENCE_NOT_FOUND: 404}


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of a time on the wire; one without an offset is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


def received_now(now_ms: int) -> datetime:
    """The clock's time as a wire time."""
    return datetime.fromtimestamp(now_ms / 1000, UTC)


class ValidateRequest(Struct, frozen=True):
    """POST /validate_payment (checklist 24)."""

    reference: Text
    currency: Currency
    business_account: Text
    provider_key: ProviderKey
    amount_subunit: AnyAmount | None = None
    additional_fields: list[str] | None = None


class Validation(Struct, frozen=True, omit_defaults=True):
    """Its answer: one of the four statuses (checklist 25-29)."""

    status: str
    customer_name: str | None = None


class ConfirmRequest(Struct, frozen=True):
    """POST /confirm_payment (checklist 30; its extras: resolutions 7)."""

    reference: Text
    amount_subunit: Subunits
    currency: Currency
    sender_phone_number: Sender
    provider_tx: Text
    provider_key: ProviderKey
    momoep_id: Text | int
    business_account: Text
    received_at: datetime  # without an offset: UTC
    provider_name: Extra | None = None
    provider_brand: Extra | None = None
    provider_country: Extra | None = None
    provider_humanized: Extra | None = None
    sender_name: Extra | None = None
    transaction_at: Extra | None = None
    transaction_kind: Extra | None = None
    secondary_provider_tx: Extra | None = None


class ResolveRequest(Struct, frozen=True):
    """POST /resolve_account, our extension for MESE."""

    reference: Text
    market: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]


class AccountRoute(Struct, frozen=True):
    """How an account is paid: what validate and confirm want to know besides the amount.

    provider_keys: all that may pay into it; provider_key: the first of them.
    """

    reference: str
    business_account: str
    currency: str
    provider_key: str
    customer_name: str | None
    provider_keys: list[str]


class CustomerAccountsRequest(Struct, frozen=True):
    """POST /customer_accounts, our extension for MESE: of the number that the customer calls from."""

    msisdn: Msisdn
    market: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]


class CustomerAccount(Struct, frozen=True):
    """An account as its owner may see it. `days_left`: whole days, as sold; a day begun counts."""

    reference: str
    currency: str
    balance_subunit: int
    days_left: int


class CustomerAccounts(Struct, frozen=True):
    """The answer: none, if no account is registered for the number in that market."""

    accounts: list[CustomerAccount]


class CustomerTokensRequest(Struct, frozen=True):
    """POST /customer_tokens, our extension for MESE: of an account of the number's own."""

    msisdn: Msisdn
    market: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
    reference: Text


class CustomerTokens(Struct, frozen=True):
    """The answer: the last payment's tokens, as they are typed on the keypad, in order."""

    tokens: list[str]


class Booked(Struct, frozen=True):
    """A payment as the ledger has it; `outcome` is one of posting.py."""

    id: int
    provider_tx: str
    amount_subunit: int
    currency: str
    outcome: str
    confirmed_at_ms: int


class BookedRequest(Struct, frozen=True):
    """POST /booked_payments, our extension for momo's reconciliation."""

    provider_key: ProviderKey
    transactions: Annotated[list[Text], Meta(max_length=MAX_BOOKED)]


class BookedBetween(Struct, frozen=True):
    """POST /booked_between; `after` is the id of the last payment of the page before."""

    provider_key: ProviderKey
    since: datetime
    until: datetime
    after: Annotated[int, Meta(ge=0, le=2**62)] = 0


class BookedPayments(Struct, frozen=True):
    """Both answers; fewer than MAX_BOOKED between two times: there are no more."""

    payments: list[Booked]


class CommandReply(Struct, frozen=True):
    """POST /m2m/callback/{order_id} (checklist 72)."""

    identifier: Text
    command: Text
    status: Literal["replied"]
    device_response: Text
    created_at: datetime
    delivered_at: datetime


Scalar = (
    Annotated[str, Meta(max_length=500)]
    | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    | float
    | bool
    | None
)


class BillingEvent(Struct, frozen=True):
    """POST /api/m2m/events (resolutions 17, checklist 58)."""

    event_id: Annotated[str, Meta(min_length=1, max_length=300, pattern=r"^[^\x00]*\Z")]
    type: Literal["token_applied", "credit_expired", "tamper", "usage"]
    identifier: Text
    occurred_at: datetime
    data: Annotated[dict[Text, Scalar], Meta(max_length=50)]  # the widest has seven


class Credentials(Struct, frozen=True):
    """POST /api/auth/token (checklist 36)."""

    client_id: Text
    client_secret: Text


class AccessToken(Struct, frozen=True):
    """Its answer."""

    access_token: str
    token_type: str
    expires_in: int


class SimulationRequest(Struct, frozen=True):
    """POST /api/payment/simulation (checklist 40); `amount` in major units (resolutions 3)."""

    reference: Text
    amount: Major
    currency: Currency
    provider_key: ProviderKey
    business_account: Text | None = None


class SimulationAnswer(Struct, frozen=True, omit_defaults=True):
    """The four statuses; `validation_id` comes with ok."""

    status: str
    customer_name: str | None = None
    validation_id: str | None = None


class ExecutionRequest(SimulationRequest, frozen=True, kw_only=True):
    """POST /api/payment/execution (checklist 41)."""

    sender_phone: Msisdn
    validation_id: Text | None = None


class ExecutionAnswer(Struct, frozen=True, omit_defaults=True):
    """`success` with both ids, or a status of validation."""

    status: str
    transaction_id: str | None = None
    provider_tx: str | None = None


class FieldError(Struct, frozen=True):
    """One field that does not fit."""

    field: str
    message: str


class Errors(Struct, frozen=True):
    """Errors of the inbound API (resolutions 6)."""

    errors: list[FieldError]


class ExternalError(Struct, frozen=True):
    """Errors of the external API (checklist 37-43)."""

    error: str
    error_description: str


class DotNetError(Struct, frozen=True):
    """What the external API's framework answers itself (checklist 39)."""

    message: str = msgspec.field(name="Message")
