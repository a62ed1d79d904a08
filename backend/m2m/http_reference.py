"""What m2m's routes take and answer, for OpenAPI (kit/openapi.py): devices, commands, firmware files.

The examples work one after the other, on a service that knows SCBLNX/A/BT/240300126005; operator_reference.py
has those of operators.
"""

from collections.abc import Mapping

from backend.kit.openapi import BASIC, Answer, Handler, Media, Operation, Raw, api_key
from backend.kit.web import JSON
from backend.m2m.schemas import (
    CommandAnswer,
    CommandRequest,
    CommandView,
    DeviceAnswer,
    DeviceRequest,
    Error,
    FileAnswer,
    Pong,
)

ABOUT = """
Device commands, check-ins, and what devices have said.

Header X-API-Key; a key sees its own markets only. Devices log in with Basic: the user name is the serial,
percent-encoded. Errors are `{"error"}`.

A command is `created`, then `sent`, then `replied`, `expired` or `cancelled`; `waiting` is /v1/commands' word
for created. Its callback goes out when the device has replied, 11 attempts at most, signed as Standard
Webhooks tells. Serials contain `/`: percent-encode them in paths.
"""
KEY = api_key("X-API-Key")
FRAME = "application/octet-stream"
LINES = "text/plain"
DEVICES, COMMANDS, FIRMWARE = "Devices", "Commands", "Firmware"
SERIAL = "SCBLNX/A/BT/240300126005"
UNLOCK = {
    "identifier": SERIAL,
    "command": {"name": "unlock_token", "details": {"unlock_code": "123456789"}},
}
CALLED_BACK = {**UNLOCK, "callback_url": "http://127.0.0.1:9000/callback"}
REGISTERED = {
    "serial": "SCBLNX/A/BT/240300126900",
    "market": "UG",
    "link_key": "00112233445566778899aabbccddeeff",
    "password": "a-random-text-of-128-bits",
    "msisdn": "256772199900",
}
CHECK_IN = """BOOT: 1 0 boot_id=5 family=moto firmware=1.0.0
STATUS: 2 1764584400 battery_mv=3300 relay=1 state=active token_count=3
"""
CREATED = (
    " `command.name` is one of unlock_token, sync, synciv, reset, useracct, update, config. Location is where"
    " the command is from now on. The same `reference` again is the first command."
)


def operations(handlers: Mapping[str, Handler]) -> list[Operation]:
    """The operations; `handlers` by method and path."""
    return [*_devices(handlers), *_commands(handlers), *_files(handlers)]


def refused(*statuses: int) -> dict[int, Answer]:
    """What those statuses, and those that any may get, say."""
    return dict.fromkeys((400, *statuses, 503), Error)


def _devices(handlers: Mapping[str, Handler]) -> list[Operation]:
    return [
        Operation(
            "GET",
            "/v1/ping",
            handlers["GET /v1/ping"],
            "Whether the service is there",
            tag=DEVICES,
            answers={200: Pong, 429: Error},
        ),
        Operation(
            "POST",
            "/v1/log",
            handlers["POST /v1/log"],
            "A device checks in: what it says goes up, commands that wait come down",
            tag=DEVICES,
            details="A MagicBox frame is answered by a frame, text lines by text lines: `TIME: …` and the"
            " commands. What was stored before is acknowledged and changes nothing.",
            request=(Media(LINES, str, example=CHECK_IN), Media(FRAME, Raw)),
            answers={200: (Media(LINES), Media(FRAME, Raw)), **refused(401, 413, 415)},
            security=BASIC,
        ),
        Operation(
            "POST",
            "/v1/devices",
            handlers["POST /v1/devices"],
            "Registers a device with its keys; again with the same values changes nothing",
            tag=DEVICES,
            details="409: it is registered with other values.",
            request=Media(JSON, DeviceRequest, optional=True, example=REGISTERED),
            answers={201: DeviceAnswer, **refused(401, 403, 409, 413)},
            security=KEY,
        ),
    ]


def _commands(handlers: Mapping[str, Handler]) -> list[Operation]:
    return [
        Operation(
            "POST",
            "/v1/commands",
            handlers["POST /v1/commands"],
            "Creates a command; a callback is optional",
            tag=COMMANDS,
            details="With the header `Prefer: return=representation` the answer is that of"
            " GET /v1/commands/{id}." + CREATED,
            request=Media(JSON, CommandRequest, optional=True, example=UNLOCK),
            answers={201: (CommandAnswer, CommandView), **refused(401, 403, 413, 429)},
            security=KEY,
        ),
        Operation(
            "POST",
            "/m2m/command",
            handlers["POST /m2m/command"],
            "Creates a command that is called back",
            tag=COMMANDS,
            details="400 lists what is missing: identifier, callback_url, command, name, kind." + CREATED,
            request=Media(JSON, CommandRequest, optional=True, example=CALLED_BACK),
            answers={201: CommandAnswer, **refused(401, 403, 413, 429)},
            security=KEY,
        ),
    ]


def _files(handlers: Mapping[str, Handler]) -> list[Operation]:
    path, name = "/v1/firmware/{file}", {"file": "payg-0.2.0-x64.img"}
    whole: Answer = Media(FRAME, Raw)
    return [
        Operation(
            "PUT",
            path,
            handlers[f"PUT {path}"],
            "Stores a firmware file; its name never gets other bytes",
            tag=FIRMWARE,
            details="201: new. 200: the same bytes were here. 409: other bytes were. The key must be of all"
            " markets.",
            request=Media(FRAME, Raw),
            answers={200: FileAnswer, 201: FileAnswer, **refused(401, 403, 409, 413)},
            values=name,
            security=KEY,
        ),
        Operation(
            "GET",
            path,
            handlers[f"GET {path}"],
            "A firmware file, or a range of it",
            tag=FIRMWARE,
            details="Takes Range, If-Range and If-None-Match; the ETag is the SHA-256. HEAD too.",
            answers={200: whole, 206: whole, 304: None, 404: Error, 416: None, 429: Error, 503: Error},
            values=name,
        ),
        Operation(
            "GET",
            f"{path}/checksum",
            handlers[f"GET {path}/checksum"],
            "Its MD5, as bare hex",
            tag=FIRMWARE,
            answers={200: Media(LINES), 404: Error, 429: Error, 503: Error},
            values=name,
        ),
    ]
