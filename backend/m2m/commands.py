"""Commands: what a request asks for, its text form, and its record in a down frame. Pure.

The checks and their texts are those of resolutions 13 and checklist 64-69; service.py stores what passes.
"""

import re
from dataclasses import dataclass
from typing import cast

from backend.kit.errors import BadRequest
from backend.m2m.schemas import CommandRequest
from protocols.magicbox import text, wire

CREATED = "created"
SENT = "sent"
REPLIED = "replied"
OPEN = (CREATED, SENT)  # what a device may still answer

MAX_NAME = 200  # characters of a serial, a reference, an operation
MAX_URL = 2000
MAX_DIGITS = 20  # the longest keypad entry: an extended OpenPAYGO token in restricted digits
SOFT_RESET = 0
NO_SIGNATURE = bytes(8)  # a soft reset needs none

VERBS = {
    "unlock_token": "TOKEN",
    "sync": "SYNC",
    "synciv": "SYNCIV",
    "reset": "RESET",
    "useracct": "USERACCT",
}
ARGUMENTS = {"unlock_token": "unlock_code", "useracct": "operation"}  # what `details` must have

_KEYPAD_SIGNS = re.compile(r"[*# -]")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checked request."""

    serial: str
    name: str
    argument: str
    text: str
    callback_url: str | None
    reference: str | None


def check(request: CommandRequest, *, callback_required: bool) -> Wanted:
    """What is asked for; BadRequest with the documented text."""
    members = _members(request.command)
    _check_missing(request, members, callback_required=callback_required)
    name = members.get("name")
    if not isinstance(name, str) or name not in VERBS:
        raise BadRequest(f"Unsupported command: {name}")
    argument = _argument(name, members.get("details"))
    try:
        line = text.render(VERBS[name], argument)
    except text.TextError as error:
        raise BadRequest(f"Invalid parameters: {ARGUMENTS[name]}") from error
    return Wanted(
        serial=_named(_identifier(request.identifier), "identifier"),
        name=name,
        argument=argument,
        text=line,
        callback_url=_url(request.callback_url),
        reference=None if request.reference is None else _named(request.reference, "reference"),
    )


def record_of(
    name: str, argument: str, command_id: int, *, next_epoch: int
) -> wire.Token | wire.Sync | wire.SyncIv | wire.Reset | wire.UserAcct:
    """The record that carries a command down."""
    match name:
        case "unlock_token":
            return wire.Token(command_id, argument.encode())
        case "sync":
            return wire.Sync(command_id, 0)
        case "synciv":
            return wire.SyncIv(command_id, next_epoch)
        case "reset":
            return wire.Reset(command_id, SOFT_RESET, NO_SIGNATURE)
        case "useracct":
            return wire.UserAcct(command_id, 0, argument.encode())
        case _:
            raise AssertionError(f"a stored command is one of VERBS, not {name}")


def _check_missing(request: CommandRequest, command: dict[str, object], *, callback_required: bool) -> None:
    is_empty = request == CommandRequest(reference=request.reference)
    lacks_kind = _is_object(request.identifier) and not _members(request.identifier).get("kind")
    missing = [
        name
        for name, absent in (
            ("identifier", _identifier(request.identifier) in (None, "")),
            ("callback_url", callback_required and not request.callback_url),
            ("command", not _is_object(request.command)),
            ("name", not command.get("name")),
            ("kind", is_empty or lacks_kind),
        )
        if absent
    ]
    if missing:
        raise BadRequest(f"Missing parameters: {', '.join(missing)}")


def _identifier(value: object) -> object:
    """The plain value of an identifier in either form (resolutions 1)."""
    return _members(value).get("value") if _is_object(value) else value


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _members(value: object) -> dict[str, object]:
    """A JSON object's members; none for anything else."""
    return cast("dict[str, object]", value) if _is_object(value) else {}


def _argument(name: str, details: object) -> str:
    key = ARGUMENTS.get(name)
    if key is None:
        return ""
    value = _members(details).get(key)
    if value in (None, ""):
        raise BadRequest(f"Missing parameters: {key}")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**MAX_DIGITS:
        value = str(value)
    if not isinstance(value, str):
        raise BadRequest(f"Invalid parameters: {key}")
    if name == "unlock_token":
        value = _KEYPAD_SIGNS.sub("", value)  # as a keypad shows it: *00 427 443 49#
        if len(value) > MAX_DIGITS:
            raise BadRequest(f"Invalid parameters: {key}")
    return _named(value, key)


def is_name(text: str) -> bool:
    """Whether a serial, a reference or an operation can be stored; no database knows another serial."""
    return 0 < len(text) <= MAX_NAME and "\x00" not in text


def _named(value: object, what: str) -> str:
    if not isinstance(value, str) or not is_name(value):
        raise BadRequest(f"Invalid parameters: {what}")
    return value


def _url(value: object) -> str | None:
    if not value:
        return None
    if not isinstance(value, str) or len(value) > MAX_URL:
        raise BadRequest("Invalid parameters: callback_url")
    return value
