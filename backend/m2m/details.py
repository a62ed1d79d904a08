"""The `details` of each command: checked, kept as one argument, carried down as a record. Pure.

commands.py checks the rest of a request. `read` gives what is stored and shown, `record_of` what leaves:

    unlock_token  {"unlock_code": "123456789"}
    sync, synciv  nothing; a SYNC keeps the count that Moto has given by then (intake.py)
    reset         nothing, or {"kind": "soft"}, or {"kind": "factory", "signature": 16 hex digits}
    useracct      {"operation": "name Amina" | "language sw" | "pin 1234" | "clear" | "clear name"}
    update        {"file": "payg-1.2.0.img"}, a file of firmware.py
    config        {"key": "status_interval_s", "value": "900"}; an empty value: the default again

The first five are checklist 64's; update and config are ours.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from backend.kit.errors import BadRequest
from backend.m2m.rows import FirmwareFile
from protocols.magicbox import wire

MAX_DIGITS = 20  # the longest keypad entry: an extended OpenPAYGO token in restricted digits
MAX_HOLDER_BYTES = 32  # of the holder's name: what a device keeps of it
MAX_VALUE = 64  # characters of a configuration value; the longest, an order of links, has nine
NO_SIGNATURE = bytes(8)  # a soft reset needs none
HIDDEN_PIN = "****"  # the text form goes to callers and callbacks

_KEYPAD_SIGNS = re.compile(r"[*# -]")
_DIGITS = re.compile(rf"[0-9]{{1,{MAX_DIGITS}}}\Z")
_SIGNATURE = re.compile(r"[0-9a-fA-F]{16}\Z")
_LANGUAGE = re.compile(r"[a-z]{2}\Z")
_PIN = re.compile(r"[0-9]{4,6}\Z")
_SECONDS = re.compile(r"[0-9]{0,9}\Z")
_VALUE = re.compile(rf"[!-~]{{0,{MAX_VALUE}}}\Z")
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")  # a firmware file's name, safe in paths and stores

_RESET_KINDS = {name: number for number, name in wire.RESET_KIND_NAMES.items()}
_USER_FIELDS = {name: number for number, name in wire.USER_FIELD_NAMES.items()}
_CONFIG_KEYS = {name: number for number, name in wire.CONFIG_KEY_NAMES.items()}

Command = wire.Token | wire.Sync | wire.SyncIv | wire.Reset | wire.UserAcct | wire.Update | wire.Config


@dataclass(frozen=True, slots=True)
class Details:
    """argument: what is stored with the command. shown: what follows its verb in the text form."""

    argument: str = field(repr=False)
    shown: str = field(repr=False)


def read(name: str, details: object) -> Details:
    """The details of command `name`; BadRequest names the member that is missing or invalid."""
    members = cast("dict[str, object]", details) if isinstance(details, dict) else {}
    return _READERS[name](members)


def with_file(file: FirmwareFile) -> str:
    """The argument of an `update` to this file: what the device checks it by, beside its name."""
    return f"{file.size} {file.sha256} {file.file}"


def record_of(name: str, argument: str, command_id: int, *, next_epoch: int, token_count: int) -> Command:
    """The record that carries a command down. next_epoch is for synciv, token_count for sync."""
    match name:
        case "unlock_token":
            return wire.Token(command_id, argument.encode())
        case "sync":
            return wire.Sync(command_id, token_count)
        case "synciv":
            return wire.SyncIv(command_id, next_epoch)
        case "reset" if argument:
            return wire.Reset(command_id, wire.RESET_KIND_FACTORY, bytes.fromhex(argument))
        case "reset":
            return wire.Reset(command_id, wire.RESET_KIND_SOFT, NO_SIGNATURE)
        case "useracct":
            return wire.UserAcct(command_id, *_operation(argument))
        case "update":
            size, sha256, file = argument.split(" ")
            return wire.Update(command_id, int(size), bytes.fromhex(sha256), file.encode())
        case "config":
            key, _, value = argument.partition(" ")
            return wire.Config(command_id, _CONFIG_KEYS[key], value.encode())
        case _:
            raise AssertionError(f"a stored command is one of commands.VERBS, not {name}")


def _nothing(_members: dict[str, object]) -> Details:
    return Details("", "")


def _token(members: dict[str, object]) -> Details:
    digits = _KEYPAD_SIGNS.sub("", _text(members, "unlock_code"))  # as a keypad shows it: *00 427 443 49#
    return _same(_matching(_DIGITS, digits, "unlock_code"))


def _reset(members: dict[str, object]) -> Details:
    kind = members.get("kind", "soft")
    if not isinstance(kind, str) or kind not in _RESET_KINDS:
        raise _invalid("kind")
    if kind == "soft":
        return Details("", "")
    return Details(_matching(_SIGNATURE, _text(members, "signature"), "signature").lower(), "")


def _user(members: dict[str, object]) -> Details:
    operation = _text(members, "operation")
    try:
        field_number, _ = _operation(operation)
    except ValueError:
        raise _invalid("operation") from None
    is_pin = field_number == wire.USER_FIELD_PIN and operation.startswith("pin ")
    return Details(operation, f"pin {HIDDEN_PIN}" if is_pin else operation)


def _update(members: dict[str, object]) -> Details:
    return _same(_matching(FILE, _text(members, "file"), "file"))


def _config(members: dict[str, object]) -> Details:
    key = _text(members, "key")
    if key not in _CONFIG_KEYS:
        raise _invalid("key")
    value = "" if members.get("value") == "" else _text(members, "value")
    _matching(_SECONDS if key.endswith("_s") else _VALUE, value, "value")
    return Details(f"{key} {value}", f"{key} {value}".rstrip())


_READERS: dict[str, Callable[[dict[str, object]], Details]] = {
    "unlock_token": _token,
    "sync": _nothing,
    "synciv": _nothing,
    "reset": _reset,
    "useracct": _user,
    "update": _update,
    "config": _config,
}


def _operation(operation: str) -> tuple[int, bytes]:
    """A USERACCT operation as its record has it: a field and its text; ValueError for any other."""
    verb, space, rest = operation.partition(" ")
    match verb:
        case "clear" if not space:
            return wire.USER_FIELD_ALL, b""
        case "clear" if rest in ("name", "language", "pin"):
            return _USER_FIELDS[rest], b""
        case "name" if rest and rest == rest.strip() and rest.isprintable():
            name = rest.encode()
            is_valid = len(name) <= MAX_HOLDER_BYTES
        case "language":
            name, is_valid = rest.encode(), bool(_LANGUAGE.match(rest))
        case "pin":
            name, is_valid = rest.encode(), bool(_PIN.match(rest))
        case _:
            raise ValueError("no such operation")
    if not is_valid:
        raise ValueError("no such operation")
    return _USER_FIELDS[verb], name


def _text(members: dict[str, object], name: str) -> str:
    """A member's text; a number stands for its digits."""
    value = members.get(name)
    if value in (None, ""):
        raise BadRequest(f"Missing parameters: {name}")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**MAX_DIGITS:
        value = str(value)
    if not isinstance(value, str):
        raise _invalid(name)
    return value


def _matching(pattern: re.Pattern[str], value: str, name: str) -> str:
    if not pattern.match(value):
        raise _invalid(name)
    return value


def _same(text: str) -> Details:
    return Details(text, text)


def _invalid(name: str) -> BadRequest:
    return BadRequest(f"Invalid parameters: {name}")
