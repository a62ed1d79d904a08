"""What the provider does: take messages, deliver them, report it. HTTP: routes.py."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from backend.kit.database import Database
from backend.kit.http import HttpClient
from backend.kit.runtime import Clock, Entropy, token_hex
from backend.kit.web import JSON
from simulator.providers import is_loopback
from simulator.providers.mailroom import Call, Mailroom, Sms
from simulator.providers.mishaps import NONE, Mishaps
from simulator.providers.sms_script import State

WORDS = {
    State.SENT: "ACCEPTD",
    State.DELIVERED: "DELIVRD",
    State.UNDELIVERABLE: "UNDELIV",
    State.EXPIRED: "EXPIRED",
}


@dataclass(frozen=True, slots=True)
class PindoSandboxConfig:
    """Whose token it is, and where delivery reports go ("": nowhere); the path carries a secret."""

    token: str = field(repr=False)
    dlr_url: str = field(repr=False, default="")
    deliver_after_s: float = 0.1
    mishaps: Mishaps = NONE


class PindoSandbox:
    """The provider's side. ValueError: an address is not on this machine (resolutions 26)."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        http: HttpClient,
        config: PindoSandboxConfig,
    ):
        if config.dlr_url and not is_loopback(config.dlr_url):
            raise ValueError("dlr_url: sandboxes call back to loopback addresses only")
        self._clock = clock
        self._entropy = entropy
        self._config = config
        self.mailroom = Mailroom(
            database=database,
            clock=clock,
            http=http,
            service="sandbox-pindo",
            deliver_after_s=config.deliver_after_s,
            mishaps=config.mishaps,
            tell=self._tell,
        )

    async def start(self) -> None:
        """Create what is missing, and send the reports that are due."""
        await self.mailroom.start()

    async def stop(self) -> None:
        """Stop at once."""
        await self.mailroom.stop()

    def is_token(self, authorization: str) -> bool:
        """Whether an Authorization header has the token."""
        given = authorization.encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, f"Bearer {self._config.token}".encode())

    async def send(self, numbers: Sequence[str], *, sender: str, text: str) -> list[str]:
        """Take a message for each number (without +); their ids."""
        now_ms = self._clock.now_ms()
        messages = [
            Sms(
                message_id=f"out_sms_{token_hex(self._entropy)}",
                number=number,
                sender=sender,
                text=text,
                created_at_ms=now_ms,
                dlr_url=self._config.dlr_url,
            )
            for number in numbers
        ]
        await self.mailroom.take(messages)
        return [sms.message_id for sms in messages]

    def _tell(self, sms: Sms, state: State) -> Call | None:
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        report = {
            "status": WORDS[state],
            "sms_id": sms.message_id,
            "modified_at": now.strftime("%d-%m-%Y, %H:%M:%S"),
            "retries_count": 0,
        }
        return Call(sms.dlr_url, JSON, msgspec.json.encode(report)) if sms.dlr_url else None
