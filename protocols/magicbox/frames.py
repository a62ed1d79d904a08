"""Every MagicBox frame, defined once with construct.

A frame is HEADER, records (type, length, body), and a MAC of MAC_SIZE bytes over all of it; seal.py makes and
checks the last. codegen.py turns the header, the records' bodies and the enumerations into wire.py, which
everything runs; construct itself stays the reference in tests. A text after `*` documents the field.
"""

from protocols.magicbox.grammar import (
    Bytes,
    Const,
    Enum,
    FocusedSeq,
    GreedyBytes,
    GreedyRange,
    Int8ub,
    Int16sb,
    Int16ub,
    Int32ub,
    Prefixed,
    Struct,
    Switch,
    Terminated,
    this,
)

MAC_SIZE = 8
FLAGS = {"ENCRYPTED": 1, "DOWN": 2}

FAMILY = Enum(Int8ub, moto=0, openpaygo=1)
STATE = Enum(Int8ub, active=0, expired=1, payg_disabled=2, tampered=3)
SOURCE = Enum(Int8ub, keypad=0, command=1)
RESULT = Enum(Int8ub, accepted=0, already_used=1, invalid=2, locked=3)
TOKEN_COMMAND = Enum(
    Int8ub,
    none=0,
    add_time=1,
    set_time=2,
    disable_payg=3,
    counter_sync=4,
    unlock_relative=5,
    unlock_absolute=6,
)
COMMAND_RESULT = Enum(Int8ub, ok=0, rejected=1, busy=2, unsupported=3)
ALARM_KIND = Enum(
    Int8ub, keypad_paused=1, keypad_closed=2, low_credit=3, tampered=4, rolled_back=5, store_failed=6
)
LOG_LEVEL = Enum(Int8ub, debug=0, info=1, warning=2, error=3)
GAP_REASON = Enum(Int8ub, evicted=0, restarted=1)
RESET_KIND = Enum(Int8ub, soft=0, factory=1)
USER_FIELD = Enum(Int8ub, all=0, name=1, language=2, pin=3)
CONFIG_KEY = Enum(Int8ub, status_interval_s=1, keep_alive_s=2, links=3, low_credit_s=4)
ENUMERATIONS = {
    "FAMILY": FAMILY,
    "STATE": STATE,
    "SOURCE": SOURCE,
    "RESULT": RESULT,
    "TOKEN_COMMAND": TOKEN_COMMAND,
    "COMMAND_RESULT": COMMAND_RESULT,
    "ALARM_KIND": ALARM_KIND,
    "LOG_LEVEL": LOG_LEVEL,
    "GAP_REASON": GAP_REASON,
    "RESET_KIND": RESET_KIND,
    "USER_FIELD": USER_FIELD,
    "CONFIG_KEY": CONFIG_KEY,
}

HEADER = "Header" / Struct(
    "magic" / Const(b"MB"),
    "version" / Const(1, Int8ub),
    "flags" / Int8ub * "FLAG_ENCRYPTED, FLAG_DOWN",
    "epoch" / Int16ub * "counts the SYNCIVs; sequences start again in each",
    "sequence" / Int32ub * "never the same twice in one epoch and direction",
)

_FIRMWARE = Bytes(3)
_ORIGIN = (
    "record" / Int32ub * "number of the record, acknowledged by Ack",
    "at" / Int32ub * "unix seconds; 0: the device's clock is not set",
)
_COMMAND_ID = "command_id" / Int32ub * "answered by CommandResult"

# Up: from the device.
BOOT = "Boot" / Struct(
    *_ORIGIN,
    "boot_id" / Int32ub * "another at each start",
    "reset_cause" / Int8ub * "as machine.reset_cause() has it; 0: unknown",
    "family" / FAMILY * "FAMILY_*",
    "firmware" / _FIRMWARE * "major, minor, patch",
)
STATUS = "Status" / Struct(
    *_ORIGIN,
    "uptime_s" / Int32ub,
    "credit_s" / Int32ub * "0xFFFFFFFF: no limit, PAYG is disabled",
    "relay" / Int8ub * "1: the load has power",
    "state" / STATE * "STATE_*",
    "battery_mv" / Int16ub,
    "panel_mv" / Int16ub,
    "load_ma" / Int16ub,
    "temperature_dc" / Int16sb * "tenths of a degree Celsius",
    "token_count" / Int32ub * "highest accepted OpenPAYGO count or Moto sequence number",
    "firmware" / _FIRMWARE * "major, minor, patch",
)
TOKEN_EVENT = "TokenEvent" / Struct(
    *_ORIGIN,
    "source" / SOURCE * "SOURCE_*",
    "result" / RESULT * "RESULT_*",
    "command" / TOKEN_COMMAND * "TOKEN_COMMAND_*",
    "payload" / Int32ub * "days, or the counter",
    "token_count" / Int32ub,
    "credit_s" / Int32ub,
)
COMMAND_RESULT_RECORD = "CommandResult" / Struct(
    *_ORIGIN,
    "command_id" / Int32ub,
    "result" / COMMAND_RESULT * "COMMAND_RESULT_*",
    "detail" / GreedyBytes * "UTF-8",
)
ALARM = "Alarm" / Struct(
    *_ORIGIN,
    "kind" / ALARM_KIND * "ALARM_KIND_*; rolled_back: an update did not last",
    "value" / Int32ub * "seconds of the pause, or of the credit left; else 0",
)
LOG = "Log" / Struct(*_ORIGIN, "level" / LOG_LEVEL * "LOG_LEVEL_*", "text" / GreedyBytes * "UTF-8")
GAP = "Gap" / Struct(
    *_ORIGIN,
    "first" / Int32ub * "first record that will never come",
    "last" / Int32ub * "last such record, inclusive",
    "reason" / GAP_REASON * "GAP_REASON_*",
)

# Down: to the device.
ACK = "Ack" / Struct("first" / Int32ub, "last" / Int32ub * "inclusive")
TIME = "Time" / Struct("unix_s" / Int32ub)
TOKEN = "Token" / Struct(_COMMAND_ID, "digits" / GreedyBytes * "ASCII")
SYNC = "Sync" / Struct(
    _COMMAND_ID,
    "token_count" / Int32ub * "the highest the back end knows: a device that lost its store goes on from it",
)
SYNC_IV = "SyncIv" / Struct(_COMMAND_ID, "epoch" / Int16ub * "the new one")
RESET = "Reset" / Struct(
    _COMMAND_ID,
    "kind" / RESET_KIND * "RESET_KIND_*",
    "signature" / Bytes(8) * "of a factory reset; else zeros",
)
USER_ACCT = "UserAcct" / Struct(
    _COMMAND_ID, "field" / USER_FIELD * "USER_FIELD_*", "text" / GreedyBytes * "UTF-8; empty clears it"
)
UPDATE = "Update" / Struct(
    _COMMAND_ID, "size" / Int32ub * "bytes", "sha256" / Bytes(32), "file" / GreedyBytes * "name, UTF-8"
)
CONFIG = "Config" / Struct(
    _COMMAND_ID, "key" / CONFIG_KEY * "CONFIG_KEY_*", "value" / GreedyBytes * "text; empty: the default again"
)

RECORDS = {
    1: BOOT,
    2: STATUS,
    3: TOKEN_EVENT,
    4: COMMAND_RESULT_RECORD,
    5: ALARM,
    6: LOG,
    7: GAP,
    129: ACK,
    130: TIME,
    131: TOKEN,
    132: SYNC,
    133: SYNC_IV,
    134: RESET,
    135: USER_ACCT,
    136: UPDATE,
    137: CONFIG,
}

# The reference for the loop that codegen.py writes: a body is RECORD after RECORD to its end.
RECORD = Struct(
    "type" / Int8ub,
    "body"
    / Prefixed(
        Int16ub,
        FocusedSeq("fields", "fields" / Switch(this._.type, RECORDS, default=GreedyBytes), Terminated),
    ),
)
BODY = FocusedSeq("records", "records" / GreedyRange(RECORD), Terminated)
