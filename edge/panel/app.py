"""The panel's server: look at a device, type on its keypad. Mounted by `payg up` under /panel.

GET  /devices                     every device as its snapshot
GET  /devices/{serial}            one; the serial percent-encoded
POST /devices/{serial}/keypad     {"keys": "123 456 789"} -> what the controller answered
All with header X-API-Key: whoever types can use up a device's wrong entries. Every answer is JSON, an error
{"error": what to do}.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp import web

from firmware.store import StoreError

MAX_BODY = 4096  # bytes; a keypad entry is at most 22 keys
MAX_KEYS = 64  # the longest entry with a space after every key
JsonObject = dict[str, object]


class PanelDevice(Protocol):
    """What the panel needs of a virtual device (edge/device.py)."""

    def snapshot(self) -> JsonObject:
        """Serial, relay, credit and display as JSON values."""
        ...

    def type_keys(self, digits: str) -> JsonObject:
        """Type, and what the controller answered."""
        ...


def make_app(devices: Mapping[str, PanelDevice], api_key: str) -> web.Application:
    """The application over `devices` by serial."""

    def device_of(request: web.Request) -> PanelDevice:
        serial = request.match_info["serial"]
        if serial not in devices:
            raise _error(404, f"no device {serial} runs here; `payg device list` names those that do")
        return devices[serial]

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        key = request.headers.get("X-API-Key", "")
        if not hmac.compare_digest(key.encode("utf-8", "surrogateescape"), api_key.encode()):
            raise _error(401, "header X-API-Key: the panel's key of credentials.json")
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as error:
            allow = {"Allow": ", ".join(sorted(error.allowed_methods))}
            answer = {"error": f"{request.method} is not for this path: use {allow['Allow']}"}
            return web.json_response(answer, status=405, headers=allow)
        except web.HTTPNotFound as error:
            if error.content_type == "application/json":
                raise
            raise _error(404, "no such path: GET /devices lists the devices") from None
        except StoreError as error:
            raise _error(503, f"{error}; type it again later") from None

    async def listing(_: web.Request) -> web.Response:
        return web.json_response([device.snapshot() for device in devices.values()])

    async def one(request: web.Request) -> web.Response:
        return web.json_response(device_of(request).snapshot())

    async def keypad(request: web.Request) -> web.Response:
        device = device_of(request)
        return web.json_response(device.type_keys(_keys(await _body(request))))

    app = web.Application(middlewares=[guard])
    app.add_routes(
        [
            web.get("/devices", listing),
            web.get("/devices/{serial}", one),
            web.post("/devices/{serial}/keypad", keypad),
        ]
    )
    return app


async def _body(request: web.Request) -> bytes:
    """At most MAX_BODY bytes; an application inside another has no limit of its own."""
    body = b""
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > MAX_BODY:
            raise _error(413, f"send at most {MAX_BODY} bytes")
    return body


def _keys(body: bytes) -> str:
    try:
        content: object = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    keys: object = content.get("keys") if isinstance(content, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - any JSON
    if not isinstance(keys, str):
        raise _error(400, 'send {"keys": "the digits"}')
    if len(keys) > MAX_KEYS:
        raise _error(400, f"send at most {MAX_KEYS} keys")
    return keys


def _error(status: int, text: str) -> web.HTTPException:
    body = json.dumps({"error": text})
    if status == 413:
        return web.HTTPRequestEntityTooLarge(MAX_BODY, text=body, content_type="application/json")
    kind = {
        400: web.HTTPBadRequest,
        401: web.HTTPUnauthorized,
        404: web.HTTPNotFound,
        503: web.HTTPServiceUnavailable,
    }[status]
    return kind(text=body, content_type="application/json")
