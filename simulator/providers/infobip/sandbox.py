"""What the provider does: takes messages, delivers them, reports it, hands on what customers write."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from backend.kit.database import Database
from backend.kit.http import HttpClient
from backend.kit.runtime import Clock, Entropy, token_hex
from backend.kit.web import JSON
from backend.mega.segments import count
from simulator.providers import is_loopback
from simulator.providers.mailroom import Call, Mail, Mailroom, Sms
from simulator.providers.mishaps import NONE, Mishaps
from simulator.providers.sms_script import ENDS, State

Json = dict[str, object]

V2, V3 = "2", "3"
PRICE: Json = {"pricePerMessage": 0.0064, "currency": "EUR"}
FAR = "+far"  # marks the note of a message whose intermediate reports are wanted

# group, its name, id, name, description
STATUSES = {
    State.TAKEN: (1, "PENDING", 26, "PENDING_ACCEPTED", "Message sent to next instance"),
    State.SENT: (3, "DELIVERED", 2, "DELIVERED_TO_OPERATOR", "Message delivered to operator"),
    State.DELIVERED: (3, "DELIVERED", 5, "DELIVERED_TO_HANDSET", "Message delivered to handset"),
    State.UNDELIVERABLE: (
        *(2, "UNDELIVERABLE", 9, "UNDELIVERABLE_NOT_DELIVERED"),
        "Message sent not delivered",
    ),
    State.EXPIRED: (4, "EXPIRED", 15, "EXPIRED_EXPIRED", "Message expired"),
}


@dataclass(frozen=True, slots=True)
class InfobipSandboxConfig:
    """Whose key it is, and where what customers write goes ("": nowhere); the path carries a secret."""

    api_key: str = field(repr=False)
    inbound_url: str = field(repr=False, default="")
    deliver_after_s: float = 0.1
    mishaps: Mishaps = NONE


class InfobipSandbox:
    """The provider's side. ValueError: an address is not on this machine (resolutions 26)."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        http: HttpClient,
        config: InfobipSandboxConfig,
    ):
        if config.inbound_url and not is_loopback(config.inbound_url):
            raise ValueError("sandboxes call back to loopback addresses only")
        self._clock = clock
        self._entropy = entropy
        self._config = config
        self.mailroom = Mailroom(
            database=database,
            clock=clock,
            http=http,
            service="sandbox-infobip",
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

    def is_key(self, authorization: str) -> bool:
        """Whether an Authorization header has the key."""
        given = authorization.encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, f"App {self._config.api_key}".encode())

    def new_id(self) -> str:
        """An id of ours, for messages and bulks that have none."""
        return str(int(token_hex(self._entropy, 8), 16))

    def now_ms(self) -> int:
        """The clock's time."""
        return self._clock.now_ms()

    async def inbound(self, *, sender: str, to: str, text: str) -> str:
        """A customer writes; the message's id."""
        mail = Mail(self.new_id(), sender, to, text, self._clock.now_ms())
        url = self._config.inbound_url
        await self.mailroom.receive(mail, Call(url, JSON, _encoded(mo_json([mail]))) if url else None)
        return mail.message_id

    async def untold_mail(self) -> list[Mail]:
        """What customers wrote and nobody fetched; it is fetched now. Nothing where a webhook is told."""
        if self._config.inbound_url:
            return []
        found: list[Mail] = []
        for seq, mail in await self.mailroom.mail_after(0):
            if not await self.mailroom.remembers(f"fetched-mail:{seq}"):
                await self.mailroom.remember(f"fetched-mail:{seq}")
                found.append(mail)
        return found

    async def untold(self, message_ids: Sequence[str]) -> list[Sms]:
        """Ended messages that no webhook was told of; each is told once."""
        found: list[Sms] = []
        for sms in await self.mailroom.messages(message_ids):
            fact = f"fetched:{sms.seq}"
            if State(sms.state) in ENDS and not sms.dlr_url and not await self.mailroom.remembers(fact):
                await self.mailroom.remember(fact)
                found.append(sms)
        return found

    def _tell(self, sms: Sms, state: State) -> Call | None:
        if not sms.dlr_url or (state not in ENDS and not sms.note.startswith(FAR)):
            return None
        report = report_of(sms, state, self._clock.now_ms())
        return Call(sms.dlr_url, JSON, _encoded({"results": [report]}))


def status_body(state: State) -> Json:
    """A message's status."""
    group_id, group_name, status_id, name, description = STATUSES[state]
    return {
        "groupId": group_id,
        "groupName": group_name,
        "id": status_id,
        "name": name,
        "description": description,
    }


def report_of(sms: Sms, state: State, done_at_ms: int) -> Json:
    """A delivery report, in the shape of the API that took the message."""
    report: Json = {
        "bulkId": sms.bulk_id,
        "messageId": sms.message_id,
        "to": sms.number,
        "sentAt": moment(sms.created_at_ms),
        "doneAt": moment(done_at_ms),
        "mccMnc": "63902",
        "price": PRICE,
        "status": status_body(state),
        "callbackData": sms.note.removeprefix(FAR),
    }
    if sms.version == V2:
        return {**report, "smsCount": count(sms.text), "error": _error(state, ok="Ok")}
    more: Json = {"messageCount": count(sms.text), "sender": sms.sender, "platform": {}}
    return {**report, **more, "error": _error(state, ok="OK")}


def log_of(sms: Sms) -> Json:
    """A message in the logs."""
    state = State(sms.state)
    return {
        "sender": sms.sender,
        "destination": sms.number,
        "bulkId": sms.bulk_id,
        "messageId": sms.message_id,
        "sentAt": moment(sms.created_at_ms),
        "doneAt": moment(sms.done_at_ms or sms.created_at_ms),
        "messageCount": count(sms.text),
        "price": PRICE,
        "status": status_body(state),
        "error": _error(state, ok="OK"),
        "content": {"text": sms.text},
        "mccMnc": "63902",
    }


def mo_json(mails: Sequence[Mail]) -> Json:
    """MO_JSON_2."""
    results = [
        {
            "messageId": mail.message_id,
            "from": mail.sender,
            "to": mail.to,
            "text": mail.text,
            "cleanText": mail.text,
            "keyword": mail.text.split(" ")[0].upper(),
            "receivedAt": moment(mail.at_ms),
            "smsCount": count(mail.text),
            "price": {"pricePerMessage": 0, "currency": "EUR"},
            "callbackData": "",
        }
        for mail in mails
    ]
    return {"results": results, "messageCount": len(results), "pendingMessageCount": 0}


def moment(at_ms: int) -> str:
    """ "2019-11-09T16:00:00.000+0000"."""
    text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "+0000")


def _error(state: State, *, ok: str) -> Json:
    if state in (State.UNDELIVERABLE, State.EXPIRED):
        name, text = "EC_ABSENT_SUBSCRIBER", "Absent Subscriber"
        group: Json = {"groupId": 1, "groupName": "HANDSET_ERRORS", "id": 27}
        return {**group, "name": name, "description": text, "permanent": False}
    group = {"groupId": 0, "groupName": ok, "id": 0}
    return {**group, "name": "NO_ERROR", "description": "No Error", "permanent": False}


def _encoded(body: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(body)
