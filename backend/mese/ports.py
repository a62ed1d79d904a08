"""What mese needs of others: payments (momo), customers' accounts (Solarium), short messages (mega)."""

from collections.abc import Sequence
from typing import Protocol


class AccountRoute(Protocol):
    """Where payments for an account go."""

    @property
    def business_account(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def provider_key(self) -> str: ...


class Validation(Protocol):
    """`status` is one of the four of checklist 29."""

    @property
    def status(self) -> str: ...
    @property
    def customer_name(self) -> str | None: ...


class Payment(Protocol):
    """`status`: pending | confirmed | failed | unknown."""

    @property
    def payment_id(self) -> str: ...
    @property
    def status(self) -> str: ...


class Payments(Protocol):
    """The gateway. Every call raises Unavailable when it can't be reached; TimedOut when nobody knows."""

    async def resolve(self, *, reference: str, market: str, msisdn: str) -> AccountRoute | None:
        """The route of an account of `market` for who pays from `msisdn`, or None."""
        ...

    async def validate(
        self,
        *,
        reference: str,
        currency: str,
        business_account: str,
        provider_key: str,
        amount_subunit: int | None = None,
    ) -> Validation:
        """Whether the account takes a payment (of this amount, if one is given)."""
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


class Account(Protocol):
    """An account as its owner may see it."""

    @property
    def reference(self) -> str: ...
    @property
    def balance_subunit(self) -> int: ...
    @property
    def days_left(self) -> int: ...


class Accounts(Protocol):
    """Solarium. A number sees the accounts that are registered for it in its market, and no other's."""

    async def accounts(self, *, msisdn: str, market: str) -> Sequence[Account]:
        """The accounts of a number; few. Raises a BackendError."""
        ...

    async def tokens(self, *, msisdn: str, market: str, reference: str) -> Sequence[str]:
        """The last payment's tokens of one of them, as they are typed; none yet. Raises a BackendError."""
        ...


class Sms(Protocol):
    """Mega."""

    async def send(self, *, to: str, text: str, market: str, reference: str) -> object:
        """Queue a short message; the first one, if `reference` was used before. Raises a BackendError."""
        ...
