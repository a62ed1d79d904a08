"""What the hub's seven routes take and answer (checklist 49); unknown members are ignored."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from backend.kit.web import Subunits, Text

ProviderKey = Annotated[str, Meta(max_length=80, pattern=r"^[a-z]{2}_[a-z0-9]+_[a-z0-9]+\Z")]  # checklist 5
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Sender = Annotated[str, Meta(pattern=r"^[1-9][0-9*]{6,14}\Z")]  # a masked one too (resolutions 4)
Extra = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*\Z")]
AnyAmount = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # Solarium says too low or too high of any of these


class ValidateRequest(Struct, frozen=True):
    """POST /api/payment/validate: Solarium's (checklist 24)."""

    reference: Text
    currency: Currency
    business_account: Text
    provider_key: ProviderKey
    amount_subunit: AnyAmount | None = None
    additional_fields: list[str] | None = None


class ValidateAnswer(Struct, frozen=True, omit_defaults=True):
    """Its answer: one of the four statuses (checklist 25-29)."""

    status: str
    customer_name: str | None = None


class ConfirmRequest(Struct, frozen=True):
    """POST /api/payment/confirm: Solarium's (checklist 30, resolutions 7)."""

    reference: Text
    amount_subunit: Subunits
    currency: Currency
    sender_phone_number: Sender
    provider_tx: Text
    provider_key: ProviderKey
    momoep_id: Text | int
    business_account: Text
    received_at: Text
    provider_name: Extra | None = None
    provider_brand: Extra | None = None
    provider_country: Extra | None = None
    provider_humanized: Extra | None = None
    sender_name: Extra | None = None
    transaction_at: Extra | None = None
    transaction_kind: Extra | None = None
    secondary_provider_tx: Extra | None = None


EXTRAS = (
    *("provider_name", "provider_brand", "provider_country", "provider_humanized"),
    *("sender_name", "transaction_at", "transaction_kind", "secondary_provider_tx"),
)


class FieldError(Struct, frozen=True):
    """One field that does not fit."""

    field: str
    message: str


class Errors(Struct, frozen=True):
    """Errors of /api/payment/validate (resolutions 6)."""

    errors: list[FieldError]


class CommandRequest(Struct, frozen=True):
    """POST /api/m2m/command (checklist 63); loosely typed: M2M lists what is missing by name."""

    identifier: object = None
    callback_url: object = None
    command: object = None
    reference: object = None


class CommandCreated(Struct, frozen=True):
    """Its answer. Where the command is from now on says the header Location."""

    identifier: str
    command: str
    status: str
    created_at: str


class CommandAnswer(Struct, frozen=True, omit_defaults=True):
    """GET /api/m2m/command/{id}; status waiting, sent, executed, failed, expired or cancelled."""

    command_id: str
    identifier: str
    command: str
    status: str
    created_at: str
    delivered_at: str | None = None
    device_response: str | None = None


class CallbackRequest(Struct, frozen=True):
    """POST /api/m2m/callback: how a command ended; status executed, failed or expired."""

    command_id: object = None
    status: object = None
    executed_at: object = None
    error_message: object = None


class CallbackAnswer(Struct, frozen=True):
    """It was taken."""

    status: str = "ok"


class Refusal(Struct, frozen=True):
    """Errors of the command routes, as M2M's (checklist 66-68)."""

    error: str


Amount = Annotated[int, Meta(ge=0, le=100_000)]


class TokenRequest(Struct, frozen=True):
    """POST /api/tokens/...: credit for a device, in whole days.

    reference: ours; the same one again returns the first token. secret (hex) and sequence_number: of a
    stateless token whose device need not be registered.
    """

    serial_number: Text
    days: Amount = 0
    hours: Amount = 0
    reference: Text | None = None
    secret: Text | None = None
    sequence_number: Annotated[int, Meta(ge=0, le=2**32 - 1)] | None = None


class TokenAnswer(Struct, frozen=True):
    """A token. expires_at: when its credit ends if it is used now, on a device that has none left."""

    token: str
    serial_number: str
    days: int
    hours: int
    expires_at: str


class TokenError(Struct, frozen=True):
    """Errors of the token routes."""

    error: str
    message: str
    details: dict[str, str] = msgspec.field(default_factory=dict[str, str])
