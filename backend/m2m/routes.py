"""HTTP of `m2m`: ping, check-ins, the two command routes, devices (resolutions 12-16, checklist 52-69).

make_app builds the application of one service; what it calls is in service.py. files_routes.py adds firmware,
operator_routes.py what operators see and do; http_reference.py tells what the routes take and answer.
"""

import base64
from functools import partial

from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, MethodNotAllowed, NotFound, TooLarge, Unauthorized
from backend.kit.keys import MARKETS_HEADER, ApiKeys, Client
from backend.kit.openapi import Handler, documented
from backend.kit.web import application, body_of, json_response, read_json, within_limit
from backend.m2m import files_routes, http_reference, lines, operator_routes, registry
from backend.m2m.creation import Created
from backend.m2m.firmware import MAX_FILE
from backend.m2m.http_reference import FRAME, LINES
from backend.m2m.lifecycle import viewer_of
from backend.m2m.links import MAX_FRAME
from backend.m2m.schemas import CommandAnswer, CommandRequest, DeviceAnswer, DeviceRequest, Error, Pong
from backend.m2m.service import M2mService


class LoginRequired(Unauthorized):
    """A device's Basic auth is missing or wrong."""


class UnsupportedMediaType(BackendError):
    """/v1/log takes frames and text lines."""

    status = 415
    code = "unsupported_media_type"


def make_app(service: M2mService, keys: ApiKeys) -> web.Application:
    """The application; `keys` says whose an X-API-Key is."""
    client_of = partial(_client, keys)
    handlers: dict[str, Handler] = {
        "GET /v1/ping": within_limit(service.strangers, _ping),
        "POST /v1/log": _log(service),
        "POST /v1/commands": _v1_commands(service, keys),
        "POST /m2m/command": _m2m_command(service, keys),
        "POST /v1/devices": _devices(service, keys),
        **files_routes.handlers(service.firmware, client_of, service.strangers),
    }
    told = [*http_reference.operations(handlers), *operator_routes.operations(service, client_of)]
    return application(
        documented(title="m2m", about=http_reference.ABOUT, operations=told),
        render=render,
        service="m2m",
        keys=keys,
        bodies={files_routes.PATH: MAX_FILE},
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
    response = json_response(Error(text), status=error.status)
    if isinstance(error, LoginRequired):
        response.headers["WWW-Authenticate"] = 'Basic realm="m2m"'
    return response


async def _ping(_request: web.Request) -> web.Response:
    return json_response(Pong())


def _log(service: M2mService) -> Handler:
    async def log(request: web.Request) -> web.Response:
        login = _login(request)
        body = await body_of(request)
        if request.content_type == FRAME and len(body) <= MAX_FRAME:
            down = await service.log(*login, body)
            if down is None:
                raise LoginRequired("wrong login")
            return web.Response(body=down, content_type=FRAME)
        serial = await service.verify_login(*login)
        if serial is None:
            raise LoginRequired("wrong login")
        if request.content_type == FRAME:
            raise TooLarge(f"a frame has at most {MAX_FRAME} bytes")
        if request.content_type != LINES:
            raise UnsupportedMediaType(f"Send one MagicBox frame as {FRAME}, or text lines as {LINES}")
        if len(body) > lines.MAX_BODY:
            raise TooLarge(f"a check-in has at most {lines.MAX_BODY} bytes")
        return web.Response(body=await service.log_lines(serial, body), content_type=LINES, charset="utf-8")

    return log


def _v1_commands(service: M2mService, keys: ApiKeys) -> Handler:
    async def commands(request: web.Request) -> web.Response:
        client = _client(keys, request)
        created = await service.intake.create(
            await _read(request), client=client.name, markets=client.markets, callback_required=False
        )
        if request.headers.get("Prefer", "") == "return=representation":  # RFC 7240: what GET would answer
            view = await service.lifecycle.get(created.id, viewer_of(client.name, client.markets))
            return _located(json_response(view, status=201), created)
        answer = CommandAnswer(created.serial, created.text, "waiting")
        return _located(json_response(answer, status=201), created)

    return commands


def _m2m_command(service: M2mService, keys: ApiKeys) -> Handler:
    async def command(request: web.Request) -> web.Response:
        client = _client(keys, request)
        created = await service.intake.create(
            await _read(request), client=client.name, markets=client.markets, callback_required=True
        )
        answer = CommandAnswer(created.serial, created.text, "created", created.created_at)
        return _located(json_response(answer, status=201), created)

    return command


def _devices(service: M2mService, keys: ApiKeys) -> Handler:
    async def devices(request: web.Request) -> web.Response:
        client = _client(keys, request)
        wanted = registry.check(
            await read_json(request, DeviceRequest) if await body_of(request) else DeviceRequest()
        )
        await service.register(
            serial=wanted.serial,
            market=wanted.market,
            link_key_hex=wanted.link_key_hex,
            password=wanted.password,
            msisdn=wanted.msisdn,
            markets=client.markets,
        )
        return json_response(DeviceAnswer(wanted.serial, wanted.market, "registered"), status=201)

    return devices


def _client(keys: ApiKeys, request: web.Request) -> Client:
    client = keys.client_of(request.headers.get("X-API-Key"), request.remote)
    if client is None:
        raise Unauthorized("no such key")
    return client.narrowed(request.headers.get(MARKETS_HEADER))


def _located(response: web.Response, created: Created) -> web.Response:
    """With where the command is from now on; the seed's body has no id."""
    response.headers["Location"] = f"/v1/commands/{created.id}"
    return response


async def _read(request: web.Request) -> CommandRequest:
    if not await body_of(request):
        return CommandRequest()
    return await read_json(request, CommandRequest)


def _login(request: web.Request) -> tuple[str, str]:
    """User name and password of a device's Basic auth."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # no base64, no UTF-8
        raise LoginRequired("no login") from None
    if scheme.lower() != "basic" or not colon:
        raise LoginRequired("no login")
    return username, password
