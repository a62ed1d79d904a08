"""What momo needs of others: billing (Solarium) and the providers' adapters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

BOOKED_PAGE = 100  # transactions of one question: their ids fit the body that billing takes


class Validation(Protocol):
    """Billing's answer to a validation; `status` is one of the four of checklist 29."""

    @property
    def status(self) -> str: ...
    @property
    def customer_name(self) -> str | None: ...


class AccountRoute(Protocol):
    """Where payments for an account go: through which providers, in which currency, for which business."""

    @property
    def reference(self) -> str: ...
    @property
    def business_account(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def provider_keys(self) -> Sequence[str]: ...
    @property
    def customer_name(self) -> str | None: ...


class Booked(Protocol):
    """A payment as billing's ledger has it."""

    @property
    def id(self) -> int: ...
    @property
    def provider_tx(self) -> str: ...
    @property
    def amount_subunit(self) -> int: ...
    @property
    def currency(self) -> str: ...


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

    async def booked_payments(self, provider_key: str, transactions: Sequence[str]) -> Sequence[Booked]:
        """Those of a provider's transactions that are in the ledger; at most BOOKED_PAGE are asked for."""
        ...

    async def booked_between(
        self, provider_key: str, *, first_ms: int, last_ms: int, after: int = 0
    ) -> Sequence[Booked]:
        """A page of what was booked in a time, in order of id; `after` is the id of the last one before."""
        ...


@dataclass(frozen=True, slots=True)
class Debit:
    """What a provider is asked for: `provider_ref` is our id of the request, `handle` the provider's own."""

    payment_id: str
    provider_ref: str
    handle: str | None
    created_at_ms: int
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
class Taken:
    """PENDING, and `handle` is the provider's own id of the request: what its status is asked by."""

    handle: str


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


ProviderStatus = Standing | Taken | Succeeded | Failed


@dataclass(frozen=True, slots=True)
class OneOf:
    """The money moved by one of these transactions; `otherwise`, if all of them are other payments'."""

    transactions: tuple[Succeeded, ...]
    otherwise: Standing


class Provider(Protocol):
    """An adapter.

    Its calls raise Unreachable (the provider has not taken it), TimedOut (it may have been done), or another
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

    @property
    def repeatable(self) -> bool:
        """Whether a second request with the same `provider_ref` is recognised, and asks the customer once."""
        ...

    @property
    def callback_answer(self) -> Mapping[str, object] | None:
        """What a callback is answered, as JSON. None: nothing but 200."""
        ...

    def check(self, *, amount_subunit: int, currency: str) -> None:
        """Raise Unprocessable for what this provider can't move."""
        ...

    async def request(self, debit: Debit) -> ProviderStatus:
        """Ask for the money: PENDING, Taken or Failed."""
        ...

    async def status(self, debit: Debit, heard: Sequence[bytes], /) -> ProviderStatus | OneOf:
        """What became of a request. `heard`: the bodies of its callbacks, oldest first, as they came."""
        ...


class SharedHook(Protocol):
    """A provider that calls back to one registered address for all payments."""

    def named(self, secret: str, body: bytes) -> str | None:
        """The `provider_ref` that a callback is about. None: not that address, or a forgery."""
        ...


@dataclass(frozen=True, slots=True)
class StatementLine:
    """A payment as a provider's statement has it.

    `provider_ref`: our reference or its handle, where it is named. The rest is known of payments that
    customers began. paid_at_ms: None where the statement has no time.
    """

    provider_tx: str
    amount_subunit: int
    currency: str
    provider_ref: str = ""
    reference: str = ""
    business_account: str = ""
    sender: str = ""
    paid_at_ms: int | None = None


class Statements(Protocol):
    """A provider that can be asked what was paid.

    cut_at: its statements hold no longer references than this, so that one of this length may be the
    beginning of another; None: they hold them whole. reach_ms: how far back they go; None: to the beginning.
    """

    cut_at: int | None
    reach_ms: int | None

    async def statement(self, first_ms: int, last_ms: int) -> Sequence[StatementLine]:
        """What was paid in a time. Unavailable: it can't be had now."""
        ...


@dataclass(frozen=True, slots=True)
class Incoming:
    """A payment that a customer began at the provider (paybill). `sender` as it came, perhaps masked."""

    provider_tx: str
    provider_key: str
    reference: str
    business_account: str
    amount_subunit: int
    currency: str
    sender: str


class Paybill(Protocol):
    """A provider's calls about payments that customers begin there: perhaps a validation, then a notice."""

    @property
    def hook(self) -> str:
        """Where it calls: MARKET/NAME under /hooks/."""
        ...

    @property
    def notice_answer(self) -> Mapping[str, object]:
        """What a notice is answered, whatever became of it: the money has moved."""
        ...

    def authorizes(self, *, secret: str, authorization: str) -> bool:
        """Whether the call is the provider's, by its path's secret or its Authorization header."""
        ...

    def read(self, body: bytes) -> Incoming | None:
        """The payment of a call; None: it is about none. BadRequest: it does not fit the contract."""
        ...

    def verdict(self, status: str) -> Mapping[str, object]:
        """The answer to a validation, for billing's word (checklist 29) or "unavailable" or "malformed"."""
        ...
