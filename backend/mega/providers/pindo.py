"""Pindo SMS (RW; spec/providers.md, section 4): sending, and what its webhook says.

Its contract has no question by an id of ours, so after a time-out there is nothing to ask: such a message
stays unknown and is not sent again.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import BadRequest, Unavailable
from backend.kit.http import HttpAnswer, HttpClient, TimedOut
from backend.kit.web import JSON
from backend.mega.ports import Accepted, Dlr, Refused, ShortMessage
from backend.mega.states import REPORTED, Status

TIMEOUT_S = 15.0  # well under the outbox lease of 30 s
NOT_TAKEN = frozenset((401, 402, 403, 429, 503))  # HTTP: our token, our balance, our rate, their health
DEFAULT_SENDER = "PindoTest"  # the contract wants one; every account has this one

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*\Z")]


@dataclass(frozen=True, slots=True)
class PindoConfig:
    """One account. `base_url` without /v1."""

    base_url: str
    token: str = field(repr=False)


class _Sent(msgspec.Struct):
    sms_id: str | int
    status: str = ""


class _Error(msgspec.Struct):
    message: str = ""


class Report(msgspec.Struct):
    """What the delivery webhook gets; the id is a number in some accounts."""

    status: Word
    sms_id: Word | Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    modified_at: str | None = None


class PindoProvider:
    """Implements `backend.mega.ports.SmsProvider`."""

    def __init__(self, config: PindoConfig, *, http: HttpClient):
        self._config = config
        self._http = http

    async def send(self, message: ShortMessage) -> Accepted | Refused:
        """See SmsProvider."""
        body = {
            "to": f"+{message.to}",
            "text": message.text,
            "sender": message.sender_id or DEFAULT_SENDER,
        }
        answer = await self._http.request(
            "POST",
            f"{self._config.base_url.rstrip('/')}/v1/sms/",
            headers={
                "Authorization": f"Bearer {self._config.token}",
                "Content-Type": JSON,
                "Accept": JSON,
            },
            body=msgspec.json.encode(body),
            timeout_s=TIMEOUT_S,
        )
        return _outcome(answer)


def dlr_of(report: Report) -> Dlr:
    """The delivery report. BadRequest: its status is none of the contract's."""
    status = REPORTED.get(report.status.lower())
    if status is None:
        raise BadRequest("the status is not known", fields=[("status", "is not known")])
    reason = report.status if status is Status.FAILED else None
    return Dlr(str(report.sms_id), status, report.status, reason, _moment(report.modified_at))


def _moment(text: str | None) -> int | None:
    """Of "24-07-2020, 23:35:32", taken as UTC; a report with another time is still a report."""
    try:
        moment = datetime.strptime(text or "", "%d-%m-%Y, %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp() * 1000)


def _outcome(answer: HttpAnswer) -> Accepted | Refused:
    if answer.status in NOT_TAKEN:
        raise Unavailable(f"pindo: HTTP {answer.status}", retry_after_s=answer.retry_after_s)
    if answer.status >= 500:
        raise TimedOut(f"pindo: HTTP {answer.status}")
    if answer.status >= 300:
        return Refused(_reason(answer), elsewhere=True)
    try:
        sent = msgspec.json.decode(answer.body, type=_Sent)
    except UNREADABLE as error:
        raise TimedOut("pindo: the answer does not fit its contract") from error
    return Accepted(str(sent.sms_id), sent.status or None)


def _reason(answer: HttpAnswer) -> str:
    try:
        told = msgspec.json.decode(answer.body, type=_Error).message
    except UNREADABLE:
        told = ""
    return told or f"HTTP {answer.status}"
