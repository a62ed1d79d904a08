"""HTTP of `m2m`: ping, check-ins over HTTP, and the two command routes (resolutions 12-16, checklist 52-69).

make_app builds the application of one service; what it calls is in service.py.
"""

import base64
from collections.abc import Awaitable, Callable

from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, MethodNotAllowed, NotFound, TooLarge, Unauthorized
from backend.kit.keys import ApiKeys, Client
from backend.kit.web import application, json_response, read_json
from backend.m2m.links import MAX_FRAME
from backend.m2m.schemas import CommandAnswer, CommandRequest
from backend.m2m.service import M2mService

FRAME = "application/octet-stream"


class LoginRequired(Unauthorized):
    """A device's Basic auth is missing or wrong."""


class UnsupportedMediaType(BackendError):
    """/v1/log takes frames."""

    status = 415
    code = "unsupported_media_type"


def make_app(service: M2mService, keys: ApiKeys) -> web.Application:
    """The application; `keys` says whose an X-API-Key is."""
    return application(
        [
            web.get("/v1/ping", _ping),
            web.post("/v1/log", _log(service)),
            web.post("/v1/commands", _v1_commands(service, keys)),
            web.post("/m2m/command", _m2m_command(service, keys)),
        ],
        render=render,
        service="m2m",
    )


def render(error: BackendError) -> web.Response:
    """An error as this service shows it: {"error": text} (checklist 66-68)."""
    match error:
        case Unauthorized():
            text = "Unauthorized"
        case NotFound():
            text = "Not found"
        case MethodNotAllowed():
            text = "Method not allowed"
        case TooLarge():
            text = "Request too large"
        case BadRequest(fields=fields) if fields:
            text = "Invalid JSON"
        case _:
            text = error.detail
    response = json_response({"error": text}, status=error.status)
    if isinstance(error, LoginRequired):
        response.headers["WWW-Authenticate"] = 'Basic realm="m2m"'
    return response


Handler = Callable[[web.Request], Awaitable[web.Response]]


async def _ping(_request: web.Request) -> web.Response:
    return json_response({"status": "ok"})


def _log(service: M2mService) -> Handler:
    async def log(request: web.Request) -> web.Response:
        serial = await _device(service, request)
        if request.content_type != FRAME:
            raise UnsupportedMediaType(f"Send one MagicBox frame as {FRAME}")
        frame = await request.read()
        if len(frame) > MAX_FRAME:
            raise TooLarge(f"a frame has at most {MAX_FRAME} bytes")
        return web.Response(body=await service.log(serial, frame), content_type=FRAME)

    return log


def _v1_commands(service: M2mService, keys: ApiKeys) -> Handler:
    async def commands(request: web.Request) -> web.Response:
        client = _client(keys, request)
        created = await service.create_command(
            await _read(request), client=client.name, markets=client.markets, callback_required=False
        )
        return json_response(CommandAnswer(created.serial, created.text, "waiting"), status=201)

    return commands


def _m2m_command(service: M2mService, keys: ApiKeys) -> Handler:
    async def command(request: web.Request) -> web.Response:
        client = _client(keys, request)
        created = await service.create_command(
            await _read(request), client=client.name, markets=client.markets, callback_required=True
        )
        answer = CommandAnswer(created.serial, created.text, "created", created.created_at)
        return json_response(answer, status=201)

    return command


def _client(keys: ApiKeys, request: web.Request) -> Client:
    client = keys.client_of(request.headers.get("X-API-Key"))
    if client is None:
        raise Unauthorized("no such key")
    return client


async def _read(request: web.Request) -> CommandRequest:
    if not await request.read():
        return CommandRequest()
    return await read_json(request, CommandRequest)


async def _device(service: M2mService, request: web.Request) -> str:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # no base64, no UTF-8
        raise LoginRequired("no login") from None
    if scheme.lower() != "basic" or not colon:
        raise LoginRequired("no login")
    serial = await service.verify_login(username, password)
    if serial is None:
        raise LoginRequired("wrong login")
    return serial
