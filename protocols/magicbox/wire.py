# Generated from frames.py by codegen.py: do not edit, run `python -m protocols.magicbox.codegen`.
# pyright: basic, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# (its types are in wire.pyi; boards have no typing module)
"""The MagicBox frame as bytes: header and records, to and from named tuples. seal.py adds the MAC.

Runs on CPython and MicroPython. Arbitrary bytes raise WireError and nothing else.
"""

import struct
from collections import namedtuple


class WireError(ValueError):
    """`reason` is truncated, bad_magic, bad_version or bad_length; bad_value when encoding."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


_HEADER = ">2sBBHL"
HEADER_SIZE = 10
MAC_SIZE = 8
VERSION = 1
FLAG_ENCRYPTED = 1
FLAG_DOWN = 2

FAMILY_MOTO = 0
FAMILY_OPENPAYGO = 1
FAMILY_NAMES = {
    FAMILY_MOTO: "moto",
    FAMILY_OPENPAYGO: "openpaygo",
}

STATE_ACTIVE = 0
STATE_EXPIRED = 1
STATE_PAYG_DISABLED = 2
STATE_TAMPERED = 3
STATE_NAMES = {
    STATE_ACTIVE: "active",
    STATE_EXPIRED: "expired",
    STATE_PAYG_DISABLED: "payg_disabled",
    STATE_TAMPERED: "tampered",
}

SOURCE_KEYPAD = 0
SOURCE_COMMAND = 1
SOURCE_NAMES = {
    SOURCE_KEYPAD: "keypad",
    SOURCE_COMMAND: "command",
}

RESULT_ACCEPTED = 0
RESULT_ALREADY_USED = 1
RESULT_INVALID = 2
RESULT_LOCKED = 3
RESULT_NAMES = {
    RESULT_ACCEPTED: "accepted",
    RESULT_ALREADY_USED: "already_used",
    RESULT_INVALID: "invalid",
    RESULT_LOCKED: "locked",
}

TOKEN_COMMAND_NONE = 0
TOKEN_COMMAND_ADD_TIME = 1
TOKEN_COMMAND_SET_TIME = 2
TOKEN_COMMAND_DISABLE_PAYG = 3
TOKEN_COMMAND_COUNTER_SYNC = 4
TOKEN_COMMAND_UNLOCK_RELATIVE = 5
TOKEN_COMMAND_UNLOCK_ABSOLUTE = 6
TOKEN_COMMAND_NAMES = {
    TOKEN_COMMAND_NONE: "none",
    TOKEN_COMMAND_ADD_TIME: "add_time",
    TOKEN_COMMAND_SET_TIME: "set_time",
    TOKEN_COMMAND_DISABLE_PAYG: "disable_payg",
    TOKEN_COMMAND_COUNTER_SYNC: "counter_sync",
    TOKEN_COMMAND_UNLOCK_RELATIVE: "unlock_relative",
    TOKEN_COMMAND_UNLOCK_ABSOLUTE: "unlock_absolute",
}

COMMAND_RESULT_OK = 0
COMMAND_RESULT_REJECTED = 1
COMMAND_RESULT_BUSY = 2
COMMAND_RESULT_UNSUPPORTED = 3
COMMAND_RESULT_NAMES = {
    COMMAND_RESULT_OK: "ok",
    COMMAND_RESULT_REJECTED: "rejected",
    COMMAND_RESULT_BUSY: "busy",
    COMMAND_RESULT_UNSUPPORTED: "unsupported",
}

ALARM_KIND_KEYPAD_PAUSED = 1
ALARM_KIND_KEYPAD_CLOSED = 2
ALARM_KIND_LOW_CREDIT = 3
ALARM_KIND_TAMPERED = 4
ALARM_KIND_ROLLED_BACK = 5
ALARM_KIND_STORE_FAILED = 6
ALARM_KIND_NAMES = {
    ALARM_KIND_KEYPAD_PAUSED: "keypad_paused",
    ALARM_KIND_KEYPAD_CLOSED: "keypad_closed",
    ALARM_KIND_LOW_CREDIT: "low_credit",
    ALARM_KIND_TAMPERED: "tampered",
    ALARM_KIND_ROLLED_BACK: "rolled_back",
    ALARM_KIND_STORE_FAILED: "store_failed",
}

LOG_LEVEL_DEBUG = 0
LOG_LEVEL_INFO = 1
LOG_LEVEL_WARNING = 2
LOG_LEVEL_ERROR = 3
LOG_LEVEL_NAMES = {
    LOG_LEVEL_DEBUG: "debug",
    LOG_LEVEL_INFO: "info",
    LOG_LEVEL_WARNING: "warning",
    LOG_LEVEL_ERROR: "error",
}

GAP_REASON_EVICTED = 0
GAP_REASON_RESTARTED = 1
GAP_REASON_NAMES = {
    GAP_REASON_EVICTED: "evicted",
    GAP_REASON_RESTARTED: "restarted",
}

RESET_KIND_SOFT = 0
RESET_KIND_FACTORY = 1
RESET_KIND_NAMES = {
    RESET_KIND_SOFT: "soft",
    RESET_KIND_FACTORY: "factory",
}

USER_FIELD_ALL = 0
USER_FIELD_NAME = 1
USER_FIELD_LANGUAGE = 2
USER_FIELD_PIN = 3
USER_FIELD_NAMES = {
    USER_FIELD_ALL: "all",
    USER_FIELD_NAME: "name",
    USER_FIELD_LANGUAGE: "language",
    USER_FIELD_PIN: "pin",
}

CONFIG_KEY_STATUS_INTERVAL_S = 1
CONFIG_KEY_KEEP_ALIVE_S = 2
CONFIG_KEY_LINKS = 3
CONFIG_KEY_LOW_CREDIT_S = 4
CONFIG_KEY_NAMES = {
    CONFIG_KEY_STATUS_INTERVAL_S: "status_interval_s",
    CONFIG_KEY_KEEP_ALIVE_S: "keep_alive_s",
    CONFIG_KEY_LINKS: "links",
    CONFIG_KEY_LOW_CREDIT_S: "low_credit_s",
}

TYPE_BOOT = 1
TYPE_STATUS = 2
TYPE_TOKEN_EVENT = 3
TYPE_COMMAND_RESULT = 4
TYPE_ALARM = 5
TYPE_LOG = 6
TYPE_GAP = 7
TYPE_ACK = 129
TYPE_TIME = 130
TYPE_TOKEN = 131
TYPE_SYNC = 132
TYPE_SYNC_IV = 133
TYPE_RESET = 134
TYPE_USER_ACCT = 135
TYPE_UPDATE = 136
TYPE_CONFIG = 137

Header = namedtuple("Header", ("version", "flags", "epoch", "sequence"))
Boot = namedtuple("Boot", ("record", "at", "boot_id", "reset_cause", "family", "firmware"))
Status = namedtuple(
    "Status",
    (
        "record",
        "at",
        "uptime_s",
        "credit_s",
        "relay",
        "state",
        "battery_mv",
        "panel_mv",
        "load_ma",
        "temperature_dc",
        "token_count",
        "firmware",
    ),
)
TokenEvent = namedtuple(
    "TokenEvent",
    (
        "record",
        "at",
        "source",
        "result",
        "command",
        "payload",
        "token_count",
        "credit_s",
    ),
)
CommandResult = namedtuple("CommandResult", ("record", "at", "command_id", "result", "detail"))
Alarm = namedtuple("Alarm", ("record", "at", "kind", "value"))
Log = namedtuple("Log", ("record", "at", "level", "text"))
Gap = namedtuple("Gap", ("record", "at", "first", "last", "reason"))
Ack = namedtuple("Ack", ("first", "last"))
Time = namedtuple("Time", ("unix_s",))
Token = namedtuple("Token", ("command_id", "digits"))
Sync = namedtuple("Sync", ("command_id", "token_count"))
SyncIv = namedtuple("SyncIv", ("command_id", "epoch"))
Reset = namedtuple("Reset", ("command_id", "kind", "signature"))
UserAcct = namedtuple("UserAcct", ("command_id", "field", "text"))
Update = namedtuple("Update", ("command_id", "size", "sha256", "file"))
Config = namedtuple("Config", ("command_id", "key", "value"))
Unknown = namedtuple("Unknown", ("type", "body"))
Record = tuple  # wire.pyi knows it as the union of all records

# type: (record, struct format, bytes of it, whether a tail follows)
_LAYOUTS = {
    TYPE_BOOT: (Boot, ">LLLBB3s", 17, False),
    TYPE_STATUS: (Status, ">LLLLBBHHHhL3s", 33, False),
    TYPE_TOKEN_EVENT: (TokenEvent, ">LLBBBLLL", 23, False),
    TYPE_COMMAND_RESULT: (CommandResult, ">LLLB", 13, True),
    TYPE_ALARM: (Alarm, ">LLBL", 13, False),
    TYPE_LOG: (Log, ">LLB", 9, True),
    TYPE_GAP: (Gap, ">LLLLB", 17, False),
    TYPE_ACK: (Ack, ">LL", 8, False),
    TYPE_TIME: (Time, ">L", 4, False),
    TYPE_TOKEN: (Token, ">L", 4, True),
    TYPE_SYNC: (Sync, ">LL", 8, False),
    TYPE_SYNC_IV: (SyncIv, ">LH", 6, False),
    TYPE_RESET: (Reset, ">LB8s", 13, False),
    TYPE_USER_ACCT: (UserAcct, ">LB", 5, True),
    TYPE_UPDATE: (Update, ">LL32s", 40, True),
    TYPE_CONFIG: (Config, ">LB", 5, True),
}
_TYPES = {layout[0]: number for number, layout in _LAYOUTS.items()}


def encode_header(header):
    if header.version != VERSION:
        raise WireError("bad_version")
    return _pack(_HEADER, (b"MB", header.version, header.flags, header.epoch, header.sequence))


def decode_header(frame):
    if len(frame) < HEADER_SIZE:
        raise WireError("truncated")
    magic, version, flags, epoch, sequence = struct.unpack_from(_HEADER, frame, 0)
    if magic != b"MB":
        raise WireError("bad_magic")
    if version != VERSION:
        raise WireError("bad_version")
    return Header(version, flags, epoch, sequence)


def encode_records(records):
    """The body of a frame."""
    chunks = []
    for record in records:
        if isinstance(record, Unknown):
            number, body = record
        else:
            number = _TYPES[type(record)]
            _, fmt, _, has_tail = _LAYOUTS[number]
            body = _pack(fmt, record[:-1]) + record[-1] if has_tail else _pack(fmt, record)
        chunks.append(_pack(">BH", (number, len(body))))
        chunks.append(body)
    return b"".join(chunks)


def decode_records(body):
    """The records of a body; an unknown type becomes Unknown, for the receiver to decide."""
    records = []
    offset = 0
    while offset < len(body):
        if len(body) - offset < 3:
            raise WireError("truncated")
        number, length = struct.unpack_from(">BH", body, offset)
        offset += 3
        end = offset + length
        if end > len(body):
            raise WireError("truncated")
        records.append(_decode(number, body, offset, end))
        offset = end
    return records


def _decode(number, body, offset, end):
    layout = _LAYOUTS.get(number)
    if layout is None:
        return Unknown(number, bytes(body[offset:end]))
    make, fmt, size, has_tail = layout
    tail = offset + size
    if tail > end or (tail < end and not has_tail):
        raise WireError("bad_length")
    fields = struct.unpack_from(fmt, body, offset)
    return make(*fields, bytes(body[tail:end])) if has_tail else make(*fields)


def _pack(fmt, values):
    # MicroPython packs a value out of range cut to size: only what comes back the same was packed.
    try:
        packed = struct.pack(fmt, *values)
    except (_STRUCT_ERROR, TypeError, OverflowError, ValueError):
        raise WireError("bad_value") from None
    if struct.unpack(fmt, packed) != tuple(values):
        raise WireError("bad_value")
    return packed


_STRUCT_ERROR = getattr(struct, "error", ValueError)  # MicroPython has none
