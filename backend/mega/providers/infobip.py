"""Infobip SMS (spec/providers.md, section 4): API v3, and the reports of v2 and v3.

Every message carries our id as its messageId, so after a time-out its logs tell whether it was taken.

A failed report with `error.permanent` false, which would allow one more try, is final here like any other:
- it says that the cause may pass, not that the message did not arrive: 29, EXPIRED_DLR_UNKNOWN, is a message
  that was sent and of which nobody knows; a report of its delivery may still follow;
- a second send needs another messageId (with the same one it is 23, a duplicate), so both would live, with
  nothing at the provider that lets only one of them arrive;
- a failed report is the end that our client is told of, and an end never regresses (resolutions 21).
A token reaches its device over the air as well, and its customer finds it in the USSD menu.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote

import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import Unavailable
from backend.kit.http import HttpAnswer, HttpClient, TimedOut
from backend.kit.runtime import parse_iso
from backend.kit.web import JSON
from backend.mega.ports import Accepted, Dlr, Received, Refused, ShortMessage
from backend.mega.states import Status

TIMEOUT_S = 12.0  # with the question before it, well under the outbox lease of 30 s
FIND_TIMEOUT_S = 6.0
NOT_TAKEN = frozenset((401, 403, 429, 503))  # HTTP: our key, our rate, their health; it has not gone out

# Status groups; the name of a group may change its case (v2 says "Ok"), its number does not.
UNDELIVERABLE, DELIVERED, EXPIRED, REJECTED = 2, 3, 4, 5
TO_OPERATOR = 2  # in the group DELIVERED, and still on the way
LATER = frozenset((12, 17, 20, 21))  # our credit, our package, a flood, a system error
TAKEN_BEFORE = 23  # REJECTED_DUPLICATE_MESSAGE_ID
# Do-not-disturb, blacklisted, not registered, not valid, not text: no other provider changes that
NUMBER = frozenset((8, 10, 14, 18, 24, 25, 51, 52))

Word = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*\Z")]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*\Z")]
Content = Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^[^\x00]*\Z")]


@dataclass(frozen=True, slots=True)
class InfobipConfig:
    """One account. `dlr_url`: where its delivery reports go; the path carries a secret."""

    base_url: str
    api_key: str = field(repr=False)
    dlr_url: str = field(repr=False)


class _Status(msgspec.Struct, rename="camel"):
    group_id: int = 1
    id: int = 0
    name: Word = ""


class _Error(msgspec.Struct, rename="camel"):
    id: int = 0
    name: Word = ""


class Report(msgspec.Struct, rename="camel"):
    """One message in a report, of v2 or v3, or in the logs."""

    message_id: Id
    status: _Status
    error: _Error | None = None
    done_at: Word | None = None


class Reports(msgspec.Struct):
    """What the delivery webhook gets, and what /sms/3/logs answers."""

    results: Annotated[list[Report], msgspec.Meta(max_length=1000)] = []


class _InboundMessage(msgspec.Struct, rename="camel"):
    message_id: Id
    sender: Id = msgspec.field(name="from")
    to: Word = ""
    text: Content = ""
    received_at: Word | None = None


class Inbound(msgspec.Struct):
    """MO_JSON_2."""

    results: Annotated[list[_InboundMessage], msgspec.Meta(max_length=1000)] = []


class _Sent(msgspec.Struct, rename="camel"):
    status: _Status
    message_id: str = ""


class _Answer(msgspec.Struct):
    messages: list[_Sent] = []


class InfobipProvider:
    """Implements `backend.mega.ports.SmsProvider` and `Traceable`."""

    def __init__(self, config: InfobipConfig, *, http: HttpClient):
        self._config = config
        self._http = http
        self._base_url = config.base_url.rstrip("/")
        self._headers = {
            "Authorization": f"App {config.api_key}",
            "Content-Type": JSON,
            "Accept": JSON,
        }

    async def send(self, message: ShortMessage) -> Accepted | Refused:
        """See SmsProvider."""
        one: dict[str, object] = {
            "destinations": [{"to": message.to, "messageId": message.id}],
            "content": {"text": message.text},
            "webhooks": {
                "delivery": {"url": self._config.dlr_url, "intermediateReport": True},
                "contentType": JSON,
                "callbackData": message.id,
            },
        }
        if message.sender_id is not None:
            one["sender"] = message.sender_id
        answer = await self._http.request(
            "POST",
            f"{self._base_url}/sms/3/messages",
            headers=self._headers,
            body=msgspec.json.encode({"messages": [one]}),
            timeout_s=TIMEOUT_S,
        )
        return _outcome(answer)

    def id_of(self, message: ShortMessage) -> str:
        """See Traceable."""
        return message.id

    async def find(self, message: ShortMessage) -> Dlr | None:
        """See Traceable: the logs of the last 48 hours."""
        answer = await self._http.request(
            "GET",
            f"{self._base_url}/sms/3/logs?messageId={quote(message.id, safe='')}",
            headers=self._headers,
            timeout_s=FIND_TIMEOUT_S,
        )
        if answer.status != 200:
            raise Unavailable(f"infobip logs: HTTP {answer.status}", retry_after_s=answer.retry_after_s)
        try:
            found = dlrs_of(msgspec.json.decode(answer.body, type=Reports))
        except UNREADABLE as error:
            raise Unavailable("infobip logs: the answer does not fit its contract") from error
        return next((dlr for dlr in found if dlr.provider_message_id == message.id), None)


def dlrs_of(reports: Reports) -> Sequence[Dlr]:
    """The delivery reports of a webhook call, in its order."""
    return [_dlr(report) for report in reports.results]


def received_of(inbound: Inbound) -> Sequence[Received]:
    """The messages of an inbound webhook call, in its order."""
    return [
        Received(each.message_id, each.sender, each.to, each.text, _moment(each.received_at))
        for each in inbound.results
    ]


def _dlr(report: Report) -> Dlr:
    status = _status(report.status)
    reason = None
    if status is Status.FAILED:
        error = report.error
        reason = error.name if error is not None and error.id != 0 and error.name else report.status.name
    return Dlr(report.message_id, status, report.status.name, reason or None, _moment(report.done_at))


def _status(status: _Status) -> Status:
    if status.group_id in (UNDELIVERABLE, EXPIRED, REJECTED):
        return Status.FAILED
    final = status.group_id == DELIVERED and status.id != TO_OPERATOR
    return Status.DELIVERED if final else Status.SENT


def _moment(text: str | None) -> int | None:
    """Of "2019-11-09T16:00:00.000+0100"; a report with another time is still a report."""
    try:
        return None if text is None else parse_iso(text)
    except (ValueError, OverflowError):
        return None


def _outcome(answer: HttpAnswer) -> Accepted | Refused:
    if answer.status in NOT_TAKEN:
        raise Unavailable(f"infobip: HTTP {answer.status}", retry_after_s=answer.retry_after_s)
    if answer.status >= 500:
        raise TimedOut(f"infobip: HTTP {answer.status}")
    if answer.status >= 300:
        return Refused(f"HTTP {answer.status}", elsewhere=True)
    try:
        messages = msgspec.json.decode(answer.body, type=_Answer).messages
    except UNREADABLE as error:
        raise TimedOut("infobip: the answer does not fit its contract") from error
    if not messages:
        raise TimedOut("infobip: the answer names no message")
    status = messages[0].status
    if status.group_id not in (UNDELIVERABLE, EXPIRED, REJECTED) or status.id == TAKEN_BEFORE:
        return Accepted(messages[0].message_id or None, status.name or None)
    if status.id in LATER:
        raise Unavailable(f"infobip: {status.id} {status.name}")
    return Refused(status.name or str(status.id), elsewhere=status.id not in NUMBER)
