"""What Solarium needs of others: tokens of Moto, commands of M2M, short messages of Mega.

Every call carries a `reference`; the same one again returns the first answer and does nothing new.
"""

from collections.abc import Mapping
from typing import Protocol


class Token(Protocol):
    """A token as Moto made it."""

    @property
    def digits(self) -> str:
        """The keypad digits, with neither `*` nor `#`."""
        ...

    @property
    def sequence_number(self) -> int:
        """The device's counter value that the token is for."""
        ...


class Tokens(Protocol):
    """Moto."""

    async def order(self, *, device: str, command: str, payload: int, reference: str) -> Token:
        """The next token of `device`. Raises a BackendError."""
        ...

    async def register(
        self, *, serial: str, secret_hex: str, family: str, market: str, starting_code: int | None
    ) -> None:
        """Enter a device; again with the same values changes nothing. Raises a BackendError."""
        ...


class Devices(Protocol):
    """M2M's registry."""

    async def register(self, *, serial: str, market: str, link_key_hex: str, password: str) -> None:
        """Enter a device with its keys; again with the same values changes nothing. Raises a BackendError."""
        ...


class Commands(Protocol):
    """M2M."""

    async def create(
        self, *, identifier: str, name: str, details: Mapping[str, str], callback_url: str, reference: str
    ) -> str:
        """Queue a device command; its text. `callback_url` is told of the reply. Raises a BackendError."""
        ...


class Sms(Protocol):
    """Mega."""

    async def send(self, *, to: str, text: str, market: str, reference: str) -> object:
        """Queue a short message to msisdn `to`. Raises a BackendError."""
        ...
