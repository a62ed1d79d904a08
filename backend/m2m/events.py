"""What the ops topics say of a record (protocols/topics.py). Pure; never token digits or keys."""

import re

import msgspec

from backend.kit.feed import OpsEvent
from backend.kit.outbox import Outgoing
from backend.kit.runtime import iso
from backend.m2m import schemas
from backend.m2m.commands import REPLIED
from backend.m2m.rows import CommandRow, Device
from protocols.magicbox import wire

OPS = "ops"  # outbox kind: an event for the feed, of a frame that did not come through the bridge
NO_LIMIT = 0xFFFFFFFF
_LONG_NUMBER = re.compile(r"\d[\d -]{7,}\d")  # what could be a token in free text

NO_STATUS = wire.Status(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b"")


def at_ms(at: int, received_ms: int) -> int:
    """When a record was made; when it came, if the device's clock was not set."""
    return at * 1000 if at else received_ms


def plain_text(raw: bytes) -> str:
    """A device's free text: readable, without NUL and with what could be a token masked."""
    return _LONG_NUMBER.sub("***", raw.decode("utf-8", "replace").replace("\x00", ""))


def status_event(device: Device, status: wire.Status | None, *, at_ms: int) -> OpsEvent:
    """Kind `status`; without a status yet its members are null."""
    known = status is not None
    shown = status or NO_STATUS
    document = schemas.StatusEvent(
        serial=device.serial,
        market=device.market,
        at=iso(at_ms),
        online=device.online,
        credit_s=credit_s(shown.credit_s) if known else None,
        relay=bool(shown.relay) if known else None,
        state=wire.STATE_NAMES.get(shown.state, str(shown.state)) if known else None,
        battery_mv=shown.battery_mv if known else None,
        panel_mv=shown.panel_mv if known else None,
        load_ma=shown.load_ma if known else None,
        temperature_c=shown.temperature_dc / 10 if known else None,
        token_count=shown.token_count if known else None,
        firmware=_version(shown.firmware) if known else None,
    )
    return _event(device, "status", document)


def record_event(device: Device, record: wire.Record, received_ms: int) -> OpsEvent | None:
    """Kind `event` or `alarm`; None for records that say nothing here."""
    match record:
        case wire.Boot():
            document = schemas.BootEvent(
                serial=device.serial,
                market=device.market,
                at=iso(at_ms(record.at, received_ms)),
                boot_id=record.boot_id,
                reset_cause=record.reset_cause,
                family=wire.FAMILY_NAMES.get(record.family, str(record.family)),
                firmware=_version(record.firmware),
            )
        case wire.TokenEvent():
            document = schemas.TokenEvent(
                serial=device.serial,
                market=device.market,
                at=iso(at_ms(record.at, received_ms)),
                source=wire.SOURCE_NAMES.get(record.source, str(record.source)),
                result=wire.RESULT_NAMES.get(record.result, str(record.result)),
                command=wire.TOKEN_COMMAND_NAMES.get(record.command, str(record.command)),
                payload=record.payload,
                token_count=record.token_count,
                credit_s=credit_s(record.credit_s),
            )
        case wire.Log():
            at = iso(at_ms(record.at, received_ms))
            document = schemas.LogEvent(
                serial=device.serial,
                market=device.market,
                at=at,
                level=record.level,
                text=plain_text(record.text),
                level_name=wire.LOG_LEVEL_NAMES.get(record.level, str(record.level)),
            )
        case wire.Gap():
            at = iso(at_ms(record.at, received_ms))
            document = schemas.GapEvent(
                serial=device.serial,
                market=device.market,
                at=at,
                first=record.first,
                last=record.last,
                reason=record.reason,
                reason_name=wire.GAP_REASON_NAMES.get(record.reason, str(record.reason)),
            )
        case wire.Alarm():
            at = iso(at_ms(record.at, received_ms))
            alarm = schemas.AlarmEvent(
                serial=device.serial,
                market=device.market,
                at=at,
                alarm=record.kind,
                value=record.value,
                alarm_name=wire.ALARM_KIND_NAMES.get(record.kind, str(record.kind)),
            )
            return _event(device, "alarm", alarm)
        case _:
            return None
    return _event(device, "event", document)


def command_event(
    device: Device, command: CommandRow, device_response: str, at_ms: int, *, status: str = REPLIED
) -> OpsEvent:
    """Kind `command`: it ended, answered unless `status` says otherwise."""
    document = schemas.CommandEvent(
        serial=device.serial,
        market=device.market,
        at=iso(at_ms),
        command_id=command.id,
        name=command.name,
        status=status,
        device_response=plain_text(device_response.encode()),
    )
    return _event(device, "command", document)


def recovery_event(device: Device, order: str, at: str) -> OpsEvent:
    """Kind `event`: the device lost its store, and is ordered a SYNCIV or a SYNC."""
    document = schemas.RecoveryEvent(serial=device.serial, market=device.market, at=at, order=order)
    return _event(device, "event", document)


def _event(device: Device, kind: str, document: msgspec.Struct) -> OpsEvent:
    return OpsEvent(device.serial, device.market, kind, msgspec.json.encode(document))


def credit_s(value: int) -> int | None:
    """The seconds of credit that a record names; None: there is no limit."""
    return None if value == NO_LIMIT else value


def ops_row(event: OpsEvent, key: str) -> Outgoing:
    """An event as a row for the feed."""
    return Outgoing(
        OPS,
        key,
        {
            "serial": event.serial,
            "market": event.market,
            "kind": event.kind,
            "document": event.payload.decode(),
        },
    )


def _version(firmware: bytes) -> str:
    return ".".join(str(part) for part in firmware)
