"""Check-ins as MagicBox text lines (resolutions 14, 16): what a device says, and commands for it. Pure.

A line is a verb, the record's number and its time (unix seconds, 0: the clock is not set), then its members:

    BOOT: 1 0 boot_id=5 family=moto firmware=1.0.0
    STATUS: 7 1764584400 battery_mv=3300 relay=1 state=active token_count=3
    TOKEN_EVENT: 8 1764584401 source=keypad result=accepted command=unlock_relative payload=30 token_count=4
    ALARM: 9 1764584402 kind=low_credit value=3600
    GAP: 10 1764584403 first=2 last=6 reason=evicted
    LOG: 11 1764584404 warning panel shaded
    RESULT: 12 1764584405 ok TOKEN: 123456789
    RESULT: 13 1764584406 rejected=already_used TOKEN: 123456789

The members are those of protocols/magicbox/frames.py, enumerations by their names; one that is left out is 0.
Lines are numbered by themselves: a login says less than a seal, so they never stand for records of frames. A
RESULT repeats the command's line, since commands have no number here. ingest.py takes lines like a frame's
records; its 200 acknowledges all of them, and its body is `TIME: ...` and the lines of commands that wait.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.kit.errors import BadRequest
from backend.m2m.commands import VERBS
from backend.m2m.rows import CommandRow
from protocols.magicbox import text, wire

MAX_LINES = 100  # of a check-in: what a device collects in a day
MAX_BODY = 16 * 1024  # bytes of a check-in

_NO_FIRMWARE = bytes(3)
_ENUMERATIONS: dict[tuple[object, str], dict[int, str]] = {
    (wire.Boot, "family"): wire.FAMILY_NAMES,
    (wire.Status, "state"): wire.STATE_NAMES,
    (wire.TokenEvent, "source"): wire.SOURCE_NAMES,
    (wire.TokenEvent, "result"): wire.RESULT_NAMES,
    (wire.TokenEvent, "command"): wire.TOKEN_COMMAND_NAMES,
    (wire.Alarm, "kind"): wire.ALARM_KIND_NAMES,
    (wire.Gap, "reason"): wire.GAP_REASON_NAMES,
}
_RECORDS = {
    "BOOT": wire.Boot,
    "STATUS": wire.Status,
    "TOKEN_EVENT": wire.TokenEvent,
    "ALARM": wire.Alarm,
    "GAP": wire.Gap,
}
_LEVELS = {name: number for number, name in wire.LOG_LEVEL_NAMES.items()}
_RESULTS = {name: number for number, name in wire.COMMAND_RESULT_NAMES.items()}


@dataclass(frozen=True, slots=True)
class Result:
    """An answer to the oldest command of this line; `result` is one of wire.COMMAND_RESULT_*."""

    record: int
    at: int
    result: int
    detail: str
    line: str

    def to(self, command_id: int) -> wire.CommandResult:
        """The record that it stands for."""
        return wire.CommandResult(self.record, self.at, command_id, self.result, self.detail.encode())


Said = wire.Record | Result


@dataclass(frozen=True, slots=True)
class Report:
    """A check-in's lines, in order; every record can be encoded."""

    said: tuple[Said, ...]


def parse(body: bytes) -> Report:
    """The lines of a check-in; BadRequest names the first that is none."""
    try:
        written = body.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise BadRequest("The lines are no UTF-8") from None
    if len(written) > MAX_LINES:
        raise BadRequest(f"A check-in has at most {MAX_LINES} lines")
    said: list[Said] = []
    for number, line in enumerate(written, start=1):
        if not line.strip():
            continue
        try:
            said.append(_line(line.strip()))
        except ValueError as error:
            raise BadRequest(f"Line {number} is not understood: {error}") from None
    return Report(tuple(said))


def of(command: CommandRow) -> str | None:
    """The line that carries a command down; None: it fits only into a frame (a signed factory reset)."""
    match command.name:
        case "reset" if command.argument:
            return None
        case "sync":
            argument = ""  # the count goes in frames alone
        case "update":
            argument = command.argument.rpartition(" ")[2]
        case _:
            argument = command.argument.rstrip()
    return text.render(VERBS[command.name], argument)


def answer(commands: Sequence[str], now_s: int) -> bytes:
    """The body that answers a check-in (checklist 57)."""
    return "".join(f"{line}\n" for line in (text.render("TIME", str(now_s)), *commands)).encode()


def _line(line: str) -> Said:
    verb, colon, rest = line.partition(": ")
    number, _, rest = rest.partition(" ")
    at, _, rest = rest.partition(" ")
    reader = _READERS.get(verb)
    if not colon or reader is None:
        raise ValueError(f"a line begins with one of {', '.join(_READERS)}")
    record = _integer(number, "the record's number")
    if record < 1:
        raise ValueError("records are numbered from 1")
    said = reader(record, _integer(at, "the time"), rest)
    encoded = said.to(0) if isinstance(said, Result) else said
    try:
        wire.encode_records([encoded])
    except wire.WireError:
        raise ValueError("a number is out of its range") from None
    return said


def _log(record: int, at: int, rest: str) -> wire.Log:
    level, _, said = rest.partition(" ")
    if level not in _LEVELS:
        raise ValueError(f"a level is one of {', '.join(_LEVELS)}")
    return wire.Log(record, at, _LEVELS[level], said.encode())


def _result(record: int, at: int, rest: str) -> Result:
    outcome, _, line = rest.partition(" ")
    name, _, detail = outcome.partition("=")
    if name not in _RESULTS:
        raise ValueError(f"a result is one of {', '.join(_RESULTS)}")
    text.parse(line)
    return Result(record, at, _RESULTS[name], detail.replace("_", " ").strip(), line)


def _members(
    make: Callable[..., wire.Record], names: Sequence[str]
) -> Callable[[int, int, str], wire.Record]:
    def read(record: int, at: int, rest: str) -> wire.Record:
        values: dict[str, int | bytes] = dict.fromkeys(names, 0)
        if "firmware" in values:
            values["firmware"] = _NO_FIRMWARE
        for member in rest.split():
            name, _, value = member.partition("=")
            if name not in values:
                raise ValueError(f"its members are {', '.join(names)}")
            values[name] = _value(make, name, value)
        return make(record, at, **values)

    return read


def _value(make: object, name: str, value: str) -> int | bytes:
    if name == "firmware":
        parts = [_integer(part, name) for part in value.split(".")]
        if len(parts) != len(_NO_FIRMWARE) or max(parts) > 255 or min(parts) < 0:
            raise ValueError("firmware is three numbers up to 255, as 1.2.3")
        return bytes(parts)
    for number, known in _ENUMERATIONS.get((make, name), {}).items():
        if known == value:
            return number
    return _integer(value, name)


def _integer(value: str, what: str) -> int:
    digits = value.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 10:
        raise ValueError(f"{what} is no number")
    return int(value)


_READERS: dict[str, Callable[[int, int, str], Said]] = {
    **{
        verb: _members(make, [name for name in make._fields if name not in ("record", "at")])
        for verb, make in _RECORDS.items()
    },
    "LOG": _log,
    "RESULT": _result,
}
