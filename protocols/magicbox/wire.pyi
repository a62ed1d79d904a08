# Generated from frames.py by codegen.py: do not edit, run `python -m protocols.magicbox.codegen`.
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

class WireError(ValueError):
    reason: str
    def __init__(self, reason: str) -> None: ...

def encode_header(header: Header) -> bytes: ...
def decode_header(frame: bytes) -> Header: ...
def encode_records(records: Iterable[Record]) -> bytes: ...
def decode_records(body: bytes) -> list[Record]: ...

HEADER_SIZE: Final = 10
MAC_SIZE: Final = 8
VERSION: Final = 1
FLAG_ENCRYPTED: Final = 1
FLAG_DOWN: Final = 2

FAMILY_MOTO: Final = 0
FAMILY_OPENPAYGO: Final = 1
FAMILY_NAMES: Final[dict[int, str]]

STATE_ACTIVE: Final = 0
STATE_EXPIRED: Final = 1
STATE_PAYG_DISABLED: Final = 2
STATE_TAMPERED: Final = 3
STATE_NAMES: Final[dict[int, str]]

SOURCE_KEYPAD: Final = 0
SOURCE_COMMAND: Final = 1
SOURCE_NAMES: Final[dict[int, str]]

RESULT_ACCEPTED: Final = 0
RESULT_ALREADY_USED: Final = 1
RESULT_INVALID: Final = 2
RESULT_LOCKED: Final = 3
RESULT_NAMES: Final[dict[int, str]]

TOKEN_COMMAND_NONE: Final = 0
TOKEN_COMMAND_ADD_TIME: Final = 1
TOKEN_COMMAND_SET_TIME: Final = 2
TOKEN_COMMAND_DISABLE_PAYG: Final = 3
TOKEN_COMMAND_COUNTER_SYNC: Final = 4
TOKEN_COMMAND_UNLOCK_RELATIVE: Final = 5
TOKEN_COMMAND_UNLOCK_ABSOLUTE: Final = 6
TOKEN_COMMAND_NAMES: Final[dict[int, str]]

COMMAND_RESULT_OK: Final = 0
COMMAND_RESULT_REJECTED: Final = 1
COMMAND_RESULT_BUSY: Final = 2
COMMAND_RESULT_UNSUPPORTED: Final = 3
COMMAND_RESULT_NAMES: Final[dict[int, str]]

ALARM_KIND_KEYPAD_PAUSED: Final = 1
ALARM_KIND_KEYPAD_CLOSED: Final = 2
ALARM_KIND_LOW_CREDIT: Final = 3
ALARM_KIND_TAMPERED: Final = 4
ALARM_KIND_ROLLED_BACK: Final = 5
ALARM_KIND_STORE_FAILED: Final = 6
ALARM_KIND_NAMES: Final[dict[int, str]]

LOG_LEVEL_DEBUG: Final = 0
LOG_LEVEL_INFO: Final = 1
LOG_LEVEL_WARNING: Final = 2
LOG_LEVEL_ERROR: Final = 3
LOG_LEVEL_NAMES: Final[dict[int, str]]

GAP_REASON_EVICTED: Final = 0
GAP_REASON_RESTARTED: Final = 1
GAP_REASON_NAMES: Final[dict[int, str]]

RESET_KIND_SOFT: Final = 0
RESET_KIND_FACTORY: Final = 1
RESET_KIND_NAMES: Final[dict[int, str]]

USER_FIELD_ALL: Final = 0
USER_FIELD_NAME: Final = 1
USER_FIELD_LANGUAGE: Final = 2
USER_FIELD_PIN: Final = 3
USER_FIELD_NAMES: Final[dict[int, str]]

CONFIG_KEY_STATUS_INTERVAL_S: Final = 1
CONFIG_KEY_KEEP_ALIVE_S: Final = 2
CONFIG_KEY_LINKS: Final = 3
CONFIG_KEY_LOW_CREDIT_S: Final = 4
CONFIG_KEY_NAMES: Final[dict[int, str]]

TYPE_BOOT: Final = 1
TYPE_STATUS: Final = 2
TYPE_TOKEN_EVENT: Final = 3
TYPE_COMMAND_RESULT: Final = 4
TYPE_ALARM: Final = 5
TYPE_LOG: Final = 6
TYPE_GAP: Final = 7
TYPE_ACK: Final = 129
TYPE_TIME: Final = 130
TYPE_TOKEN: Final = 131
TYPE_SYNC: Final = 132
TYPE_SYNC_IV: Final = 133
TYPE_RESET: Final = 134
TYPE_USER_ACCT: Final = 135
TYPE_UPDATE: Final = 136
TYPE_CONFIG: Final = 137

class Header(NamedTuple):
    version: int
    flags: int  # FLAG_ENCRYPTED, FLAG_DOWN
    epoch: int  # counts the SYNCIVs; sequences start again in each
    sequence: int  # never the same twice in one epoch and direction

class Boot(NamedTuple):
    record: int  # number of the record, acknowledged by Ack
    at: int  # unix seconds; 0: the device's clock is not set
    boot_id: int  # another at each start
    reset_cause: int  # as machine.reset_cause() has it; 0: unknown
    family: int  # FAMILY_*
    firmware: bytes  # major, minor, patch

class Status(NamedTuple):
    record: int  # number of the record, acknowledged by Ack
    at: int  # unix seconds; 0: the device's clock is not set
    uptime_s: int
    credit_s: int  # 0xFFFFFFFF: no limit, PAYG is disabled
    relay: int  # 1: the load has power
    state: int  # STATE_*
    battery_mv: int
    panel_mv: int
    load_ma: int
    temperature_dc: int  # tenths of a degree Celsius
    token_count: int  # highest accepted OpenPAYGO count or Moto sequence number
    firmware: bytes  # major, minor, patch

class TokenEvent(NamedTuple):
    record: int  # number of the record, acknowledged by Ack
    at: int  # unix seconds; 0: the device's clock is not set
    source: int  # SOURCE_*
    result: int  # RESULT_*
    command: int  # TOKEN_COMMAND_*
    payload: int  # days, or the counter
    token_count: int
    credit_s: int

class CommandResult(NamedTuple):
    record: int  # number of the record, acknowledged by Ack
    at: int  # unix seconds; 0: the device's clock is not set
    command_id: int
    result: int  # COMMAND_RESULT_*
    detail: bytes  # UTF-8

class Alarm(NamedTuple):
    record: int  # number of the record, acknowledged by Ack
    at: int  # unix seconds; 0: the device's clock is not set
    kind: int  # ALARM_KIND_*; rolled_back: an update did not last
    value: int  # seconds of the pause, or of the credit left; else 0

class Log(NamedTuple):
    record: int  # number of the record, acknowledged by Ack
    at: int  # unix seconds; 0: the device's clock is not set
    level: int  # LOG_LEVEL_*
    text: bytes  # UTF-8

class Gap(NamedTuple):
    record: int  # number of the record, acknowledged by Ack
    at: int  # unix seconds; 0: the device's clock is not set
    first: int  # first record that will never come
    last: int  # last such record, inclusive
    reason: int  # GAP_REASON_*

class Ack(NamedTuple):
    first: int
    last: int  # inclusive

class Time(NamedTuple):
    unix_s: int

class Token(NamedTuple):
    command_id: int  # answered by CommandResult
    digits: bytes  # ASCII

class Sync(NamedTuple):
    command_id: int  # answered by CommandResult
    token_count: int  # the highest the back end knows: a device that lost its store goes on from it

class SyncIv(NamedTuple):
    command_id: int  # answered by CommandResult
    epoch: int  # the new one

class Reset(NamedTuple):
    command_id: int  # answered by CommandResult
    kind: int  # RESET_KIND_*
    signature: bytes  # of a factory reset; else zeros

class UserAcct(NamedTuple):
    command_id: int  # answered by CommandResult
    field: int  # USER_FIELD_*
    text: bytes  # UTF-8; empty clears it

class Update(NamedTuple):
    command_id: int  # answered by CommandResult
    size: int  # bytes
    sha256: bytes
    file: bytes  # name, UTF-8

class Config(NamedTuple):
    command_id: int  # answered by CommandResult
    key: int  # CONFIG_KEY_*
    value: bytes  # text; empty: the default again


class Unknown(NamedTuple):
    type: int
    body: bytes
Record: TypeAlias = (
    Unknown
    | Boot
    | Status
    | TokenEvent
    | CommandResult
    | Alarm
    | Log
    | Gap
    | Ack
    | Time
    | Token
    | Sync
    | SyncIv
    | Reset
    | UserAcct
    | Update
    | Config
)
