"""Commands: what a request asks for, and its text form. Pure; details.py has what differs between commands.

The checks and their texts are those of resolutions 13 and checklist 64-69; intake.py hands on what passes.
"""

from dataclasses import dataclass, field
from typing import cast

from backend.kit.errors import BadRequest
from backend.m2m import details
from backend.m2m.schemas import CommandRequest
from protocols.magicbox import text

CREATED = "created"
SENT = "sent"
REPLIED = "replied"
EXPIRED = "expired"
CANCELLED = "cancelled"
OPEN = (CREATED, SENT)  # what a device may still answer; every other state is an end (invariant 4)
STATES = (*OPEN, REPLIED, EXPIRED, CANCELLED)

KINDS = ("serial", "imei")  # of an identifier that is an object

MAX_OPEN = 200  # unanswered commands of one device: years of payments for one that is never heard
MAX_NAME = 200  # characters of a serial or a reference
MAX_URL = 2000
MIN_LIFE_S = 60  # shorter than a check-in takes
MAX_LIFE_S = 366 * 86_400

VERBS = {
    "unlock_token": "TOKEN",
    "sync": "SYNC",
    "synciv": "SYNCIV",
    "reset": "RESET",
    "useracct": "USERACCT",
    "update": "UPDATE",
    "config": "CONFIG",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checked request. life_s: until it expires; None: as long as commands live.

    uncounted: a SYNC whose count nobody could tell; it may not go to a device that has forgotten its own.
    """

    serial: str
    name: str
    argument: str = field(repr=False)
    text: str = field(repr=False)
    callback_url: str | None
    reference: str | None
    life_s: int | None = None
    uncounted: bool = False


def check(request: CommandRequest, *, callback_required: bool) -> Wanted:
    """What is asked for; BadRequest with the documented text."""
    members = _members(request.command)
    _check_missing(request, members, callback_required=callback_required)
    _check_kind(request.identifier)
    name = members.get("name")
    if not isinstance(name, str) or name not in VERBS:
        raise BadRequest(f"Unsupported command: {name}")
    given = details.read(name, members.get("details"))
    return Wanted(
        serial=_named(_identifier(request.identifier), "identifier"),
        name=name,
        argument=given.argument,
        text=text.render(VERBS[name], given.shown),
        callback_url=_url(request.callback_url),
        reference=None if request.reference is None else _named(request.reference, "reference"),
        life_s=_life_s(request.expires_in_s),
    )


def _check_missing(request: CommandRequest, command: dict[str, object], *, callback_required: bool) -> None:
    is_empty = request == CommandRequest(reference=request.reference, expires_in_s=request.expires_in_s)
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


def _check_kind(value: object) -> None:
    if _is_object(value) and _members(value)["kind"] not in KINDS:
        raise BadRequest("Invalid parameters: kind")


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _members(value: object) -> dict[str, object]:
    """A JSON object's members; none for anything else."""
    return cast("dict[str, object]", value) if _is_object(value) else {}


def is_name(text: str) -> bool:
    """Whether a serial or a reference can be stored; no database knows another serial."""
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


def _life_s(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not MIN_LIFE_S <= value <= MAX_LIFE_S:
        raise BadRequest("Invalid parameters: expires_in_s")
    return value
