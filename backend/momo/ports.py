"""What momo needs of others: billing (Solarium) and the providers' adapters."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Validation(Protocol):
    """Billing's answer to a validation; `status` is one of the four of checklist 29."""

    @property
    def status(self) -> str: ...
    @property
    def customer_name(self) -> str | None: ...


class AccountRoute(Protocol):
    """Where payments for an account go: through which provider, in which currency, for which business."""

    @property
    def reference(self) -> str: ...
    @property
    def business_account(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def provider_key(self) -> str: ...
    @property
    def customer_name(self) -> str | None: ...


class Billing(Protocol):
    """Solarium's inbound interface (checklist 23-34), and the look-up of an account by its number."""

    async def validate(
        self,
        *,
        reference: str,
        currency: str,
        business_account: str,
        provider_key: str,
        amount_subunit: int | None,
    ) -> Validation:
        """Whether the account takes a payment (of this amount, if one is given)."""
        ...

    async def confirm(
        self,
        *,
        reference: str,
        amount_subunit: int,
        currency: str,
        sender_phone_number: str,
        provider_tx: str,
        provider_key: str,
        momoep_id: str,
        business_account: str,
        received_at: str,
    ) -> bool:
        """Book a payment. True: it is new; False: (provider_tx, provider_key) was booked before."""
        ...

    async def resolve(self, *, reference: str, market: str) -> AccountRoute | None:
        """The route of an account of `market`, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Debit:
    """What a provider is asked for. `provider_ref` makes a repeated request recognisable."""

    payment_id: str
    provider_ref: str
    base_url: str
    reference: str
    amount_subunit: int
    currency: str
    msisdn: str
    callback_url: str


class Standing(Enum):
    """A provider's answer that decides nothing."""

    PENDING = "pending"  # taken, now or by an earlier try; the customer has not answered
    NOT_FOUND = "not_found"  # the provider knows no such request


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The money moved. `provider_tx` is the provider's own id of the transaction."""

    provider_tx: str
    amount_subunit: int
    currency: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not and will not move; `reason` in the provider's words."""

    reason: str


ProviderStatus = Standing | Succeeded | Failed


class Provider(Protocol):
    """An adapter.

    Its calls raise Unreachable (the provider has not seen it), TimedOut (it may have been done), or another
    Unavailable: an answer that is none, best asked again.
    """

    @property
    def base_url(self) -> str:
        """The platform that new payments go to; a payment is asked about where it was made."""
        ...

    @property
    def hook(self) -> str:
        """The folder under /hooks/ that this provider calls back to."""
        ...

    def check(self, *, amount_subunit: int, currency: str) -> None:
        """Raise Unprocessable for what this provider can't move."""
        ...

    async def request(self, debit: Debit) -> ProviderStatus:
        """Ask for the money: PENDING or Failed. Safe to repeat with the same `provider_ref`."""
        ...

    async def status(self, provider_ref: str, *, base_url: str) -> ProviderStatus:
        """What became of a request."""
        ...
