"""AfricasTalking SMS (spec/providers.md, section 4). After a time-out there is nothing to ask."""

from dataclasses import dataclass, field
from urllib.parse import urlencode

import msgspec

from backend.kit.errors import Unavailable
from backend.kit.http import HttpAnswer, HttpClient, TimedOut
from backend.mega.ports import Accepted, Refused

TIMEOUT_S = 15.0  # well under the outbox lease of 30 s
TAKEN = frozenset((100, 101, 102))  # Processed, Sent, Queued
LATER = frozenset((405, 500, 501))  # InsufficientBalance, InternalServerError, GatewayError
NOT_TAKEN = frozenset((401, 429, 503))  # HTTP: our key, our rate, their health; the message has not gone out


@dataclass(frozen=True, slots=True)
class AfricasTalkingConfig:
    """One account. `base_url` without /version1."""

    base_url: str
    username: str
    api_key: str = field(repr=False)


class _Recipient(msgspec.Struct):
    statusCode: int  # noqa: N815 - the wire's name
    status: str = ""
    messageId: str = ""  # noqa: N815 - the wire's name


class _Data(msgspec.Struct):
    Message: str = ""
    Recipients: list[_Recipient] = []


class _Answer(msgspec.Struct):
    SMSMessageData: _Data


class AfricasTalkingProvider:
    """Implements `backend.mega.ports.SmsProvider`."""

    def __init__(self, config: AfricasTalkingConfig, *, http: HttpClient):
        self._config = config
        self._http = http

    async def send(self, *, to: str, text: str, sender_id: str | None) -> Accepted | Refused:
        """See SmsProvider."""
        form = {"username": self._config.username, "to": f"+{to}", "message": text, "bulkSMSMode": "1"}
        if sender_id is not None:
            form["from"] = sender_id
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


def _outcome(answer: HttpAnswer) -> Accepted | Refused:
    if answer.status in NOT_TAKEN:
        raise Unavailable(f"africastalking: HTTP {answer.status}", retry_after_s=_retry_after_s(answer))
    if answer.status >= 500:
        raise TimedOut(f"africastalking: HTTP {answer.status}")
    if answer.status >= 300:
        return Refused(f"HTTP {answer.status}")
    try:
        data = msgspec.json.decode(answer.body, type=_Answer).SMSMessageData
    except (msgspec.DecodeError, RecursionError) as error:
        raise TimedOut("africastalking: the answer does not fit its contract") from error
    if not data.Recipients:
        return Refused(data.Message or "no recipients")
    recipient = data.Recipients[0]
    if recipient.statusCode in TAKEN:
        return Accepted(recipient.messageId or None)
    if recipient.statusCode in LATER:
        raise Unavailable(f"africastalking: {recipient.statusCode} {recipient.status}")
    return Refused(recipient.status or str(recipient.statusCode))


def _retry_after_s(answer: HttpAnswer) -> int | None:
    wait = answer.headers.get("retry-after", "")
    return int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 6 else None
