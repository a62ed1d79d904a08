"""By which way a command leaves: MQTT, the answer to a check-in, or SMS. Pure; decided when it is created.

    mqtt   a row for the bridge's feed: the device is online, or was never heard of over HTTP
    http   no row: every check-in's answer brings what waits (ingest.py); a device that comes online over MQTT
           is sent what waits at once (presence.py)
    sms    a row that is due later: the device is silent until then, and its modem has a number (sms.py)

The device does a command once, whichever way brings it.
"""

from collections.abc import Sequence

from backend.kit.outbox import Outgoing
from backend.m2m.rows import Device

DOWN = "down"  # outbox kind: a command for the feed
SMS = "sms"  # outbox kind: a command for the device's modem

MQTT = "mqtt"
HTTP = "http"
REPORTED = "report"  # a partner says that the command was done


def down_row(device: Device, command_id: int) -> Outgoing:
    """The row that the feed makes a frame of."""
    return Outgoing(DOWN, str(command_id), {"serial": device.serial})


def sms_row(command_id: int, due_at_ms: int) -> Outgoing:
    """The row that sms.py makes a short message of."""
    return Outgoing(SMS, str(command_id), {}, due_at_ms=due_at_ms)


def rows(device: Device, command_id: int, now_ms: int, *, sms_after_ms: int | None) -> Sequence[Outgoing]:
    """The outbox rows of a new command. sms_after_ms: how long SMS waits for the other ways; None: no SMS."""
    found: list[Outgoing] = []
    if by_mqtt(device):
        found.append(down_row(device, command_id))
    if sms_after_ms is not None and device.msisdn is not None:
        found.append(sms_row(command_id, now_ms + sms_after_ms))
    return found


def by_mqtt(device: Device) -> bool:
    """Whether it is worth publishing: not to a device without keys, nor to one that is known to be away."""
    if device.link_key is None:
        return False
    is_away = device.boot_id is not None or device.over_http
    return device.online or not is_away
