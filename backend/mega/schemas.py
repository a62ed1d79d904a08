"""Wire forms of mega's routes (resolutions 21). Unknown members are ignored."""

from typing import Annotated

import msgspec

from backend.kit.web import Text

MAX_TEXT = 1600  # ten segments of plain text; tokens take one
Number = Annotated[str, msgspec.Meta(pattern=r"^\+?[1-9][0-9]{6,14}\Z")]
Body = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT, pattern=r"^[^\x00]*\Z")]
Market = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]


class SendRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """POST /send_short_message. The same client's `reference` again returns the first answer.

    A `callback_url` is ignored: nobody is called back yet.
    """

    to: Number
    text: Body
    market: Market | None = None
    sender_id: Annotated[str, msgspec.Meta(min_length=1, max_length=15, pattern=r"^[ -~]*\Z")] | None = None
    reference: Text | None = None


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """202."""

    message_id: str
    status: str
    segments: int


class DlrRequest(msgspec.Struct, kw_only=True):
    """POST /shortmessages/update_dlr. `status` in the provider's words, or ours."""

    provider: Text
    provider_message_id: Text
    status: Text
    failure_reason: Text | None = None
    done_at: Text | None = None


class DlrAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """200."""

    message_id: str
    status: str


class InboxMessage(msgspec.Struct, frozen=True, kw_only=True, rename={"sender": "from"}):
    """What a number received."""

    message_id: str
    sender: str
    to: str
    text: str
    status: str
    received_at: str


class Inbox(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/inbox, newest last."""

    messages: list[InboxMessage]


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Every error (resolutions 21)."""

    error: str
    message: str
    details: dict[str, str]
