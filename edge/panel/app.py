"""The panel's server: look at a device, type on its keypad. Mounted by `payg up` under /panel.

GET  /devices                     every device as its snapshot
GET  /devices/{serial}            one; the serial percent-encoded
POST /devices/{serial}/keypad     {"keys": "123 456 789"} -> what the controller answered
All with header X-API-Key: whoever types can use up a device's wrong entries.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp import web

MAX_BODY = 4096  # a keypad entry is at most 22 keys
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
            raise _error(404, f"no device {serial} runs here; GET /panel/devices lists those that do")
        return devices[serial]

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        key = request.headers.get("X-API-Key", "")
        if not hmac.compare_digest(key.encode("utf-8", "surrogateescape"), api_key.encode()):
            raise _error(401, "header X-API-Key: the panel's key of credentials.json")
        return await handler(request)

    async def listing(_: web.Request) -> web.Response:
        return web.json_response([device.snapshot() for device in devices.values()])

    async def one(request: web.Request) -> web.Response:
        return web.json_response(device_of(request).snapshot())

    async def keypad(request: web.Request) -> web.Response:
        device = device_of(request)
        return web.json_response(device.type_keys(_keys(await request.read())))

    app = web.Application(middlewares=[guard], client_max_size=MAX_BODY)
    app.add_routes(
        [
            web.get("/devices", listing),
            web.get("/devices/{serial}", one),
            web.post("/devices/{serial}/keypad", keypad),
        ]
    )
    return app


def _keys(body: bytes) -> str:
    try:
        content: object = json.loads(body)
    except ValueError:
        content = None
    keys: object = content.get("keys") if isinstance(content, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - any JSON
    if not isinstance(keys, str):
        raise _error(400, 'send {"keys": "the digits"}')
    return keys


def _error(status: int, text: str) -> web.HTTPException:
    kind = {400: web.HTTPBadRequest, 401: web.HTTPUnauthorized, 404: web.HTTPNotFound}[status]
    return kind(text=json.dumps({"error": text}), content_type="application/json")
