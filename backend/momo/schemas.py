"""Wire forms of momo's routes. Unknown members are ignored."""

from typing import Annotated

import msgspec

from backend.kit.web import Msisdn, Subunits, Text

Market = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
ProviderKey = Annotated[str, msgspec.Meta(max_length=80, pattern=r"^[a-z]{2}_[a-z0-9]+_[a-z0-9]+\Z")]


class ResolveRequest(msgspec.Struct, kw_only=True):
    """POST /resolve."""

    reference: Text
    market: Market


class ValidateRequest(msgspec.Struct, kw_only=True):
    """POST /validate."""

    reference: Text
    currency: Currency
    business_account: Text
    provider_key: ProviderKey
    amount_subunit: Annotated[int, msgspec.Meta(ge=0, le=10**14)] | None = None  # 0 is too low


class PaymentRequest(msgspec.Struct, kw_only=True):
    """POST /payment. The same `idempotency_key` again returns the first payment."""

    reference: Text
    amount_subunit: Subunits
    currency: Currency
    business_account: Text
    provider_key: ProviderKey
    msisdn: Msisdn
    idempotency_key: Text


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
