"""What the provider does: takes messages, delivers them, reports it, hands on what customers write."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from backend.kit.database import Database
from backend.kit.http import HttpClient
from backend.kit.runtime import Clock, Entropy, iso, token_hex
from simulator.providers import is_loopback
from simulator.providers.mailroom import FORM, Call, Mail, Mailroom, Sms
from simulator.providers.mishaps import NONE, Mishaps
from simulator.providers.sms_script import State

# What a report calls the state, and why it failed.
WORDS = {
    State.SENT: ("Sent", ""),
    State.DELIVERED: ("Success", ""),
    State.UNDELIVERABLE: ("Failed", "DeliveryFailure"),
    State.EXPIRED: ("Failed", "Expired"),
}
NETWORKS = {"256": "64110", "250": "63510", "254": "63902"}  # MTN UG, MTN RW, Safaricom


@dataclass(frozen=True, slots=True)
class AfricasTalkingConfig:
    """Who may send, and where calls go (None: nowhere). The addresses carry a secret path."""

    username: str
    api_key: str = field(repr=False)
    dlr_url: str | None = field(repr=False, default=None)
    inbound_url: str | None = field(repr=False, default=None)
    optout_url: str | None = field(repr=False, default=None)
    deliver_after_s: float = 0.1
    mishaps: Mishaps = NONE
    sender_ids: frozenset[str] | None = None  # None: any


class AfricasTalkingSandbox:
    """The provider's side. ValueError: an address is not on this machine (resolutions 26)."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        http: HttpClient,
        config: AfricasTalkingConfig,
    ):
        for url in (config.dlr_url, config.inbound_url, config.optout_url):
            if url is not None and not is_loopback(url):
                raise ValueError("sandboxes call back to loopback addresses only")
        self._clock = clock
        self._entropy = entropy
        self._config = config
        self.mailroom = Mailroom(
            database=database,
            clock=clock,
            http=http,
            service="sandbox-africastalking",
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

    def authorizes(self, username: str, api_key: str) -> bool:
        """Whether these are the credentials."""
        given = f"{username}\n{api_key}".encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, f"{self._config.username}\n{self._config.api_key}".encode())

    def knows_sender(self, sender: str) -> bool:
        """Whether `sender` is a registered sender id; none at all is always good."""
        return not sender or self._config.sender_ids is None or sender in self._config.sender_ids

    async def send(self, numbers: Sequence[str], *, sender: str, text: str) -> list[str]:
        """Take a message for each number (with its +); their ids."""
        now_ms = self._clock.now_ms()
        sms = [
            Sms(
                message_id=f"ATXid_{token_hex(self._entropy)}",
                number=number.removeprefix("+"),
                sender=sender,
                text=text,
                created_at_ms=now_ms,
                dlr_url=self._config.dlr_url or "",
            )
            for number in numbers
        ]
        if sms:
            await self.mailroom.take(sms)
        return [one.message_id for one in sms]

    async def received(self, msisdn: str) -> list[str]:
        """The texts that a number received, oldest first; `msisdn` without `+`."""
        return await self.mailroom.received(msisdn)

    async def inbound(self, *, sender: str, to: str, text: str) -> str:
        """A customer (number without +) writes to a short code; the message's id."""
        mail = Mail(token_hex(self._entropy), sender, to, text, self._clock.now_ms())
        form = {
            "date": iso(mail.at_ms),
            "from": f"+{sender}",
            "id": mail.message_id,
            "linkId": token_hex(self._entropy, 8),
            "text": text,
            "to": to,
            "networkCode": NETWORKS.get(sender[:3], "99999"),
        }
        await self.mailroom.receive(mail, _form(self._config.inbound_url, form))
        return mail.message_id

    async def opt_out(self, *, number: str, sender: str) -> None:
        """A customer (number without +) wants nothing more from a sender id."""
        await self.mailroom.remember(f"optout:{number}:{sender}")
        call = _form(self._config.optout_url, {"senderId": sender, "phoneNumber": f"+{number}"})
        if call is not None:
            await self.mailroom.tell(f"optout:{token_hex(self._entropy, 8)}", call)

    async def opted_out(self, *, number: str, sender: str) -> bool:
        """Whether a customer wants nothing from a sender id."""
        return await self.mailroom.remembers(f"optout:{number}:{sender}")

    def _tell(self, sms: Sms, state: State) -> Call | None:
        status, reason = WORDS[state]
        form = {
            "id": sms.message_id,
            "status": status,
            "phoneNumber": f"+{sms.number}",
            "networkCode": NETWORKS.get(sms.number[:3], "99999"),
            "retryCount": "0",
        }
        if reason:
            form["failureReason"] = reason
        return _form(sms.dlr_url, form)


def _form(url: str | None, form: dict[str, str]) -> Call | None:
    return Call(url, FORM, urlencode(form).encode()) if url else None
