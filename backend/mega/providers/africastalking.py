"""AfricasTalking SMS (spec/providers.md, section 4): sending, and what its webhooks say.

After a time-out there is nothing to ask: a message has no id before the answer, and the only list that can be
fetched is that of received ones. Such a message stays unknown and is not sent again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import BadRequest, Unavailable
from backend.kit.http import HttpAnswer, HttpClient, TimedOut
from backend.kit.runtime import parse_iso
from backend.mega.ports import Accepted, Dlr, Received, Refused, ShortMessage
from backend.mega.states import REPORTED

TIMEOUT_S = 15.0  # well under the outbox lease of 30 s
TAKEN = frozenset((100, 101, 102))  # Processed, Sent, Queued
LATER = frozenset((405, 500, 501))  # InsufficientBalance, InternalServerError, GatewayError
# RiskHold, InvalidSenderId, UnsupportedNumberType, CouldNotRoute, RejectedByGateway: not the number's fault
ELSEWHERE = frozenset((401, 402, 404, 407, 502))
NOT_TAKEN = frozenset((401, 429, 503))  # HTTP: our key, our rate, their health; the message has not gone out
MAX_FIELD = 200  # characters of a field of a hook's form; the text of a message has its own
MAX_TEXT = 2000

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AfricasTalkingConfig:
    """One account. `base_url` without /version1."""

    base_url: str
    username: str
    api_key: str = field(repr=False)


class _Recipient(msgspec.Struct, rename="camel"):
    status_code: int
    status: str = ""
    message_id: str = ""


class _Data(msgspec.Struct, rename="pascal"):
    message: str = ""
    recipients: list[_Recipient] = []


class _Answer(msgspec.Struct):
    data: _Data = msgspec.field(name="SMSMessageData")


class AfricasTalkingProvider:
    """Implements `backend.mega.ports.SmsProvider`."""

    def __init__(self, config: AfricasTalkingConfig, *, http: HttpClient):
        self._config = config
        self._http = http

    async def send(self, message: ShortMessage) -> Accepted | Refused:
        """See SmsProvider."""
        form = {
            "username": self._config.username,
            "to": f"+{message.to}",
            "message": message.text,
            "bulkSMSMode": "1",
        }
        if message.sender_id is not None:
            form["from"] = message.sender_id
        answer = await self._http.request(
            "POST",
            f"{self._config.base_url.rstrip('/')}/version1/messaging",
            headers={
                "apiKey": self._config.api_key,
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            body=urlencode(form).encode(),
            timeout_s=TIMEOUT_S,
        )
        return _outcome(answer)


def dlr_of(form: Form) -> Dlr:
    """The delivery report of a form. BadRequest: it does not fit the contract."""
    word = _field(form, "status")
    status = REPORTED.get(word.lower())
    if status is None:
        raise BadRequest("the status is not known", fields=[("status", "is not known")])
    reason = form.get("failureReason", "")[:MAX_FIELD] or None
    return Dlr(_field(form, "id"), status, word, reason)


def received_of(form: Form) -> Received:
    """The message of an inbound form. BadRequest: it does not fit the contract."""
    text = form.get("text", "")
    if len(text) > MAX_TEXT:
        raise BadRequest("the text is too long", fields=[("text", "is too long")])
    try:
        received_at_ms = parse_iso(form["date"])
    except (KeyError, ValueError, OverflowError):
        received_at_ms = None
    return Received(_field(form, "id"), _field(form, "from"), _field(form, "to"), text, received_at_ms)


def opt_out_of(form: Form) -> tuple[str, str]:
    """(number as it came, sender id) of a customer who wants no more of it."""
    return _field(form, "phoneNumber"), _field(form, "senderId")


def _outcome(answer: HttpAnswer) -> Accepted | Refused:
    if answer.status in NOT_TAKEN:
        raise Unavailable(f"africastalking: HTTP {answer.status}", retry_after_s=answer.retry_after_s)
    if answer.status >= 500:
        raise TimedOut(f"africastalking: HTTP {answer.status}")
    if answer.status >= 300:
        return Refused(f"HTTP {answer.status}", elsewhere=True)
    try:
        data = msgspec.json.decode(answer.body, type=_Answer).data
    except UNREADABLE as error:
        raise TimedOut("africastalking: the answer does not fit its contract") from error
    if not data.recipients:
        return Refused(data.message or "no recipients", elsewhere=True)
    recipient = data.recipients[0]
    if recipient.status_code in TAKEN:
        return Accepted(recipient.message_id or None, recipient.status or None)
    if recipient.status_code in LATER:
        raise Unavailable(f"africastalking: {recipient.status_code} {recipient.status}")
    reason = recipient.status or str(recipient.status_code)
    return Refused(reason, elsewhere=recipient.status_code in ELSEWHERE)


def _field(form: Form, name: str) -> str:
    value = form.get(name, "")
    if not value or len(value) > MAX_FIELD:
        raise BadRequest(f"the form lacks {name}", fields=[(name, "is missing, or too long")])
    return value
