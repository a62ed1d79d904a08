"""What the command routes take and answer, the callback's body and the JSON of the ops topics."""

from typing import Annotated

import msgspec

from backend.kit.web import Text

PAGE = 50  # of an answer, unless the query names a limit


class Error(msgspec.Struct, frozen=True):
    """Errors of every route (checklist 66-68)."""

    error: str


class Pong(msgspec.Struct, frozen=True):
    """GET /v1/ping."""

    status: str = "ok"


class PageQuery(msgspec.Struct, frozen=True):
    """Those below `before`, at most `limit`."""

    before: Annotated[int, msgspec.Meta(ge=0, lt=10**18)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = PAGE


class CommandQuery(PageQuery, frozen=True):
    """GET /v1/commands: all, or a device's, or those of a status."""

    identifier: Text | None = None
    status: Text | None = None


class CommandRequest(msgspec.Struct, frozen=True):
    """A request of either command route (checklist 63); loosely typed: what is missing is listed by name.

    identifier: a serial, or {"kind", "value"}. reference: ours; the same one again returns the first answer.
    expires_in_s: ours; the command's life, a month unless named.
    """

    identifier: object = None
    callback_url: object = None
    command: object = None
    reference: object = None
    expires_in_s: object = None


class CommandAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A created command (checklist 60 without, 65 with created_at)."""

    identifier: str
    command: str
    status: str
    created_at: str | None = None


class CommandView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command as operators see it; `status` is one of commands.STATES.

    sent_by: mqtt, http, sms or report. delivered_at: when the device replied. ended_at: when it expired or
    was cancelled. callback: owed (when the device has replied), delivered, or none.
    """

    id: int
    identifier: str
    command: str
    status: str
    created_at: str
    expires_at: str
    callback: str
    sent_at: str | None = None
    sent_by: str | None = None
    delivered_at: str | None = None
    device_response: str | None = None
    ended_at: str | None = None


class CommandPage(msgspec.Struct, frozen=True):
    """Commands, newest first; `next` is the `before` of the next page, null on the last one."""

    commands: list[CommandView]
    next: int | None


class BulkRequest(msgspec.Struct, frozen=True):
    """Requests as /v1/commands takes them, decided one by one."""

    commands: list[CommandRequest]


class BulkEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one of them: created, or why not."""

    identifier: str | None = None
    command: str | None = None
    status: str | None = None
    id: int | None = None
    error: str | None = None


class BulkAnswer(msgspec.Struct, frozen=True):
    """In the order of the request."""

    created: int
    refused: int
    commands: list[BulkEntry]


class ReportRequest(msgspec.Struct, frozen=True):
    """How a command ended, as somebody else than the device says; loosely typed, like a command."""

    status: object = None
    executed_at: object = None
    error_message: object = None


class DeadLetterView(msgspec.Struct, frozen=True):
    """A callback, billing event or SMS that was given up; `key` names the command or the event."""

    id: int
    kind: str
    key: str
    attempts: int
    created_at: str
    error: str


class DeadLetterPage(msgspec.Struct, frozen=True):
    """Newest first; `next` as in CommandPage."""

    dead_letters: list[DeadLetterView]
    next: int | None


class HistoryEntry(msgspec.Struct, frozen=True):
    """A record; `document` as on the ops topics."""

    record: int
    received_at: str
    document: msgspec.Raw


class HistoryPage(msgspec.Struct, frozen=True):
    """A device's records, newest first; `next` as in CommandPage."""

    identifier: str
    records: list[HistoryEntry]
    next: int | None


class DeviceRequest(msgspec.Struct, frozen=True):
    """A device to register, as a board was provisioned; link_key in hex. Loosely typed, like a command.

    msisdn: of its modem, for commands by SMS; it may change.
    """

    serial: object = None
    market: object = None
    link_key: object = None
    password: object = None
    msisdn: object = None


class DeviceAnswer(msgspec.Struct, frozen=True):
    """A registered device; nothing secret."""

    serial: str
    market: str
    status: str


class FileAnswer(msgspec.Struct, frozen=True):
    """A stored firmware file; size in bytes, the checksums in hex."""

    file: str
    size: int
    sha256: str
    md5: str


class CallbackBody(msgspec.Struct, frozen=True):
    """What the callback carries (checklist 72)."""

    identifier: str
    command: str
    status: str
    device_response: str
    created_at: str
    delivered_at: str


class StatusEvent(msgspec.Struct, frozen=True):
    """`payg/v1/ops/{market}/{serial}/status`; null: never reported, or for credit_s no limit."""

    serial: str
    market: str
    at: str
    online: bool
    credit_s: int | None
    relay: bool | None
    state: str | None
    battery_mv: int | None
    panel_mv: int | None
    load_ma: int | None
    temperature_c: float | None
    token_count: int | None
    firmware: str | None


class BootEvent(msgspec.Struct, frozen=True, tag="boot", tag_field="type"):
    """A device started; kind `event`."""

    serial: str
    market: str
    at: str
    boot_id: int
    reset_cause: int
    family: str
    firmware: str


class TokenEvent(msgspec.Struct, frozen=True, tag="token", tag_field="type"):
    """A token was entered, by keypad or by command; never its digits; kind `event`."""

    serial: str
    market: str
    at: str
    source: str
    result: str
    command: str
    payload: int
    token_count: int
    credit_s: int | None


class LogEvent(msgspec.Struct, frozen=True, tag="log", tag_field="type"):
    """A line of a device's log; kind `event`."""

    serial: str
    market: str
    at: str
    level: int
    text: str
    level_name: str


class RecoveryEvent(msgspec.Struct, frozen=True, tag="recovery", tag_field="type"):
    """A device lost its store; `order`: what m2m sends it by itself, synciv or sync; kind `event`."""

    serial: str
    market: str
    at: str
    order: str


class GapEvent(msgspec.Struct, frozen=True, tag="gap", tag_field="type"):
    """Records that will never come; kind `event`."""

    serial: str
    market: str
    at: str
    first: int
    last: int
    reason: int
    reason_name: str


class AlarmEvent(msgspec.Struct, frozen=True):
    """Kind `alarm`."""

    serial: str
    market: str
    at: str
    alarm: int
    value: int
    alarm_name: str


class CommandEvent(msgspec.Struct, frozen=True):
    """A command ended: replied, expired or cancelled; kind `command`."""

    serial: str
    market: str
    at: str
    command_id: int
    name: str
    status: str
    device_response: str
