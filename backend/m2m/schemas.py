"""What the command routes take and answer, the callback's body and the JSON of the ops topics."""

import msgspec


class CommandRequest(msgspec.Struct, frozen=True):
    """A request of either command route (checklist 63); loosely typed: what is missing is listed by name.

    identifier: a serial, or {"kind", "value"}. reference: ours; the same one again returns the first answer.
    """

    identifier: object = None
    callback_url: object = None
    command: object = None
    reference: object = None


class CommandAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A created command (checklist 60 without, 65 with created_at)."""

    identifier: str
    command: str
    status: str
    created_at: str | None = None


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


class GapEvent(msgspec.Struct, frozen=True, tag="gap", tag_field="type"):
    """Records that will never come; kind `event`."""

    serial: str
    market: str
    at: str
    first: int
    last: int
    reason: int


class AlarmEvent(msgspec.Struct, frozen=True):
    """Kind `alarm`."""

    serial: str
    market: str
    at: str
    alarm: int
    value: int


class CommandEvent(msgspec.Struct, frozen=True):
    """A command was answered; kind `command`."""

    serial: str
    market: str
    at: str
    command_id: int
    name: str
    status: str
    device_response: str
