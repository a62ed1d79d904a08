"""What mega needs of others: the SMS providers' adapters, customers' accounts (Solarium), payments (momo)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from backend.mega.states import Status


@dataclass(frozen=True, slots=True)
class ShortMessage:
    """A message to send. `id` is ours, the same at every attempt; `to` is E.164 without +."""

    id: str
    to: str
    text: str
    sender_id: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has it; its delivery reports carry this id (None: it gave none)."""

    provider_message_id: str | None
    provider_status: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider will not send it, now or later. `elsewhere`: it is this provider, not the number."""

    reason: str
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Dlr:
    """What a provider says became of a message. `at_ms`: when, if it says so."""

    provider_message_id: str
    status: Status
    provider_status: str
    failure_reason: str | None = None
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message from a customer. `sender` and `to` as they came."""

    provider_message_id: str
    sender: str
    to: str
    text: str
    received_at_ms: int | None = None


class SmsProvider(Protocol):
    """An adapter."""

    async def send(self, message: ShortMessage) -> Accepted | Refused:
        """Send it.

        Raises TimedOut (it may have gone out: never sent again blindly) or Unavailable (it has not).
        """
        ...


@runtime_checkable
class Traceable(Protocol):
    """An adapter whose provider can be asked whether it took a message."""

    def id_of(self, message: ShortMessage) -> str:
        """The id that the provider's reports about it will carry."""
        ...

    async def find(self, message: ShortMessage) -> Dlr | None:
        """What became of it; None: the provider has never seen it. Raises Unavailable."""
        ...


class CustomerAccount(Protocol):
    """An account of a customer."""

    @property
    def reference(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def balance_subunit(self) -> int: ...
    @property
    def days_left(self) -> int: ...


class Accounts(Protocol):
    """Solarium."""

    async def accounts(self, *, msisdn: str, market: str) -> Sequence[CustomerAccount]:
        """The accounts of a number in a market. Raises a BackendError."""
        ...

    async def tokens(self, *, msisdn: str, market: str, reference: str) -> Sequence[str]:
        """The tokens of the last payment for an account of that number, as they are typed; perhaps none."""
        ...


class AccountRoute(Protocol):
    """Where payments for an account go."""

    @property
    def business_account(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def provider_key(self) -> str: ...


class Payment(Protocol):
    """`status`: pending | confirmed | failed | unknown."""

    @property
    def payment_id(self) -> str: ...
    @property
    def status(self) -> str: ...


class Payments(Protocol):
    """momo."""

    async def resolve(self, *, reference: str, market: str, msisdn: str) -> AccountRoute | None:
        """The route of an account of `market` for who pays from `msisdn`, or None."""
        ...

    async def pay(
        self,
        *,
        reference: str,
        amount_subunit: int,
        currency: str,
        business_account: str,
        provider_key: str,
        msisdn: str,
        idempotency_key: str,
    ) -> Payment:
        """Start a payment; the first one, if `idempotency_key` was used before.

        Billing's refusals are BackendErrors whose `code` is the status of checklist 29.
        """
        ...

    async def wait(self, payment_id: str, *, wait_s: float) -> Payment:
        """The payment, as soon as it is settled, or after `wait_s` seconds."""
        ...

    async def find(self, idempotency_key: str) -> Payment | None:
        """The payment that was started with this key; None: there is none."""
        ...
