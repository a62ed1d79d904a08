"""Wire forms of mega's routes (resolutions 21). Unknown members are ignored."""

from typing import Annotated, Literal

import msgspec

from backend.kit.runtime import iso
from backend.kit.web import Text
from backend.mega.states import Status
from backend.mega.tables import NORMAL, MessageRow

MAX_TEXT = 1600  # ten segments of plain text; tokens take one
Number = Annotated[str, msgspec.Meta(pattern=r"^\+?[1-9][0-9]{6,14}\Z")]
Body = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT, pattern=r"^[^\x00]*\Z")]
Market = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]
SenderId = Annotated[str, msgspec.Meta(min_length=1, max_length=15, pattern=r"^[ -~]*\Z")]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Priority = Literal["high", "normal", "low"]


class SendRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """POST /send_short_message. The same client's `reference` again returns the first answer."""

    to: Number
    text: Body
    market: Market | None = None
    sender_id: SenderId | None = None
    reference: Text | None = None
    callback_url: Url | None = None


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """202."""

    message_id: str
    status: str
    segments: int


class ApiSendRequest(msgspec.Struct, kw_only=True):
    """POST /api/sms/send. A dry run checks everything and sends nothing; `priority` picks the lane."""

    to: Number
    message: Body
    sender_id: SenderId | None = None
    reference: Text | None = None
    callback_url: Url | None = None
    priority: Priority = NORMAL
    dry_run: bool = False


class ApiSent(msgspec.Struct, frozen=True, kw_only=True):
    """200. A dry run has status `dry_run` and no id."""

    message_id: str | None
    status: str
    to: str
    segments: int
    created_at: str


class SmsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """GET /api/sms/{message_id}/status; also the body of the callback to a message's `callback_url`."""

    message_id: str
    status: str
    to: str
    delivered_at: str | None
    failed_at: str | None
    failure_reason: str | None
    provider_status: str | None


class CheckRequest(msgspec.Struct, kw_only=True):
    """POST /api/sms/validate: any text may be asked about."""

    to: Annotated[str, msgspec.Meta(max_length=200)]
    message: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """200. `estimated_cost` in subunits of the market's currency; null: no price is configured."""

    valid: bool
    segments: int
    estimated_cost: int | None


class InboundRequest(msgspec.Struct, kw_only=True, rename={"sender": "from"}):
    """POST /shortmessages/create_inbound. The same provider's message again returns the first answer."""

    provider: Text
    sender: Number
    to: Text
    text: Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^[^\x00]*\Z")]
    provider_message_id: Text
    received_at: Text | None = None


class InboundAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """201."""

    message_id: str
    status: str = "received"


class DlrRequest(msgspec.Struct, kw_only=True):
    """POST /shortmessages/update_dlr. `status` in the provider's words, or ours."""

    provider: Text
    provider_message_id: Text
    status: Text
    failure_reason: Text | None = None
    done_at: Text | None = None


class DlrCallback(msgspec.Struct, kw_only=True):
    """POST /api/dlr/callback: a report about a message by our id, or by the provider's as above."""

    status: Text
    message_id: Text | None = None
    provider: Text | None = None
    provider_message_id: Text | None = None
    failure_reason: Text | None = None
    done_at: Text | None = None


class DlrAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """200."""

    message_id: str
    status: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """GET /health: the database answers."""

    status: str = "ok"


class InboxMessage(msgspec.Struct, frozen=True, kw_only=True, rename={"sender": "from"}):
    """What a number received."""

    message_id: str
    sender: str
    to: str
    text: str
    status: str
    received_at: str


class InboxQuery(msgspec.Struct, frozen=True):
    """Whose messages; a `+` that was not encoded arrives as a blank."""

    msisdn: Annotated[str, msgspec.Meta(pattern=r"^\s*\+?[1-9][0-9]{6,14}\s*\Z")]


class Inbox(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/inbox, newest last."""

    messages: list[InboxMessage]


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Every error (resolutions 21)."""

    error: str
    message: str
    details: dict[str, str]


def status_of(row: MessageRow) -> SmsStatus:
    """A message as clients see it."""
    done_at = None if row.done_at_ms is None else iso(row.done_at_ms)
    return SmsStatus(
        message_id=row.id,
        status=row.status,
        to=f"+{row.to_msisdn}",
        delivered_at=done_at if row.status is Status.DELIVERED else None,
        failed_at=done_at if row.status is Status.FAILED else None,
        failure_reason=row.failure_reason,
        provider_status=row.provider_status,
    )
