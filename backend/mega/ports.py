"""What mega needs of the providers' adapters."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has it; its delivery reports carry this id (None: it gave none)."""

    provider_message_id: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider will not send it, now or later."""

    reason: str


class SmsProvider(Protocol):
    """An adapter."""

    async def send(self, *, to: str, text: str, sender_id: str | None) -> Accepted | Refused:
        """Send to `to` (E.164 without +).

        Raises TimedOut (it may have gone out: never sent again blindly) or Unavailable (it has not).
        """
        ...
