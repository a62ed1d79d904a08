"""What the hub needs of others: Solarium's inbound interface, M2M's commands, Moto's tokens.

`markets` are those of the hub's own client; none: every market. Every call raises BackendErrors.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Validation(Protocol):
    """`status` is one of the four of checklist 29."""

    @property
    def status(self) -> str: ...
    @property
    def customer_name(self) -> str | None: ...


class Billing(Protocol):
    """Solarium."""

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
        extra: Mapping[str, str],
    ) -> bool:
        """Book a payment. True: it is new; False: (provider_tx, provider_key) was booked before."""
        ...


class Command(Protocol):
    """A command as M2M has it; status created, sent, replied, expired or cancelled."""

    @property
    def id(self) -> int: ...
    @property
    def identifier(self) -> str: ...
    @property
    def command(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def created_at(self) -> str: ...
    @property
    def delivered_at(self) -> str | None: ...
    @property
    def device_response(self) -> str | None: ...


class Commands(Protocol):
    """M2M."""

    async def place(self, body: Mapping[str, object], *, markets: Sequence[str]) -> Command:
        """Create a command of a request body as M2M takes it."""
        ...

    async def look(self, command_id: int, *, markets: Sequence[str]) -> Command:
        """One command."""
        ...

    async def report(self, command_id: int, body: Mapping[str, object], *, markets: Sequence[str]) -> Command:
        """Say how a command ended."""
        ...


class Token(Protocol):
    """A token as Moto made it."""

    @property
    def digits(self) -> str: ...
    @property
    def sequence_number(self) -> int: ...


class Tokens(Protocol):
    """Moto."""

    async def order(
        self, *, device: str, command: str, payload: int, reference: str | None, markets: Sequence[str]
    ) -> Token:
        """The next token of a registered device; the same `reference` again returns the first."""
        ...

    async def stateless(
        self,
        *,
        device: str,
        command: str,
        payload: int,
        sequence_number: int,
        secret: str,
        markets: Sequence[str],
    ) -> Token:
        """The token of this number and secret."""
        ...
