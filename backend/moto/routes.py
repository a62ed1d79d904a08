"""HTTP of `moto` (checklist 78-91): three POST routes, header API-KEY, status texts under 200 as probed.

For operators: POST /api/v1/devices registers one (checklist 94; 201, again with the same values too, 409 for
others), PUT /api/v1/devices/{serial}/state reports it stolen, lost or active, GET /api/v1/attempts lists who
asked for tokens (`device`, `before`, `limit`).
make_app builds the application of one service; what it calls is in service.py.
"""

import re

import msgspec
from aiohttp import web

from backend.kit.errors import (
    BackendError,
    BadRequest,
    Forbidden,
    NotFound,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from backend.kit.keys import MARKETS_HEADER, ApiKeys, Client
from backend.kit.openapi import HTML, Answer, Handler, Media, Operation, api_key, documented
from backend.kit.web import JSON, application, body_of, empty_response, json_response, read_json
from backend.moto.ownership import SOLARIUM, STATE, STATELESS, Caller, noted
from backend.moto.registry import DeviceNotFound
from backend.moto.schemas import (
    AttemptPage,
    AttemptQuery,
    DeviceAnswer,
    DeviceRequest,
    SequenceAnswer,
    StateAnswer,
    StateRequest,
    StatusAnswer,
    TokenAnswer,
    TokenRequest,
)
from backend.moto.service import MotoService

ABOUT = """
Keypad tokens of two families: moto, and openpaygo.

Header API-KEY. What can't be done is said under 200 as `{"status"}`, and under 400, 403 and 404 too; an
`encoding` that is not known gets an empty 200. 503 is a page of HTML.

unlock_relative adds days, unlock_absolute sets the day since activation, counter_sync sets the counter. The
encodings are `*+0-9+#+pad3 space3` and `*+0-9#`; none is plain digits.
"""
KEY = api_key("API-KEY")
PAGE = 50
MAX_PAGE = 200  # attempts of an answer

_NUMBER = re.compile(r"[0-9]{1,18}\Z")

UNAVAILABLE = (
    "<!DOCTYPE html><html><head><title>503</title></head><body><h1>Service unavailable</h1></body></html>"
)


class WrongKey(Unauthorized):
    """No key, or a wrong one, which is 403 here (resolutions 18)."""

    status = 403


def make_app(service: MotoService, keys: ApiKeys) -> web.Application:
    """The application; `keys` says whose an API-KEY is."""

    def stateless(route: str) -> Handler:
        async def generate(request: web.Request) -> web.Response:
            client = _client(request)
            answer = await service.generate_stateless(
                await _read(request), client=client.name, markets=client.markets, route=route
            )
            return _token(answer)

        return generate

    async def stateful(request: web.Request) -> web.Response:
        client = _client(request)
        answer = await service.generate(await _read(request), client=client.name, markets=client.markets)
        return _token(answer)

    async def devices(request: web.Request) -> web.Response:
        client = _client(request)
        wanted = await read_json(request, DeviceRequest) if await body_of(request) else DeviceRequest()
        await service.registry.register_requested(wanted, markets=client.markets)
        return json_response(DeviceAnswer("ok", str(wanted.serial)), status=201)

    async def state(request: web.Request) -> web.Response:
        client = _client(request)
        serial = request.match_info["serial"]
        reported = await service.registry.report(
            serial,
            await read_json(request, StateRequest),
            caller=Caller(client.name, client.markets, STATE),
        )
        return json_response(StateAnswer("ok", serial, reported))

    async def sequence(request: web.Request) -> web.Response:
        client = _client(request)
        serial = request.match_info["serial"]
        last = await service.registry.last_sequence(serial, markets=client.markets)
        return json_response(SequenceAnswer("ok", serial, last))

    async def attempts(request: web.Request) -> web.Response:
        client = _client(request)
        device, before, limit = (request.query.get(name) for name in ("device", "before", "limit"))
        page = await service.registry.attempts(
            markets=client.markets,
            device=None if device is None else noted(device),
            before=_number(before, "before"),
            limit=min(_number(limit, "limit") or PAGE, MAX_PAGE),
        )
        return json_response(page)

    def _client(request: web.Request) -> Client:
        client = keys.client_of(request.headers.get("API-KEY"), request.remote)
        if client is None:
            raise WrongKey("not authorized")
        return client.narrowed(request.headers.get(MARKETS_HEADER))

    told = [
        *_operator_operations(devices=devices, state=state, sequence=sequence, attempts=attempts),
        *_token_operations(stateless=stateless(STATELESS), solarium=stateless(SOLARIUM), stateful=stateful),
    ]
    routes = documented(title="moto", about=ABOUT, operations=told)
    return application(routes, render=render, service="moto", keys=keys)


_SERIAL = "SCBLNX/A/BT/240300126900"
_DEVICE = {"serial": _SERIAL, "market": "UG", "secret": "00112233AABBCC"}
_STATELESS = {
    "device": _SERIAL,
    "command": "unlock_relative",
    "payload": 10,
    "sequence_number": 1,
    "secret": _DEVICE["secret"],
}
_REFUSED: dict[int, Answer] = {
    **dict.fromkeys((400, 403, 413, 429), StatusAnswer),
    503: Media(HTML),
}


def _token_operations(*, stateless: Handler, solarium: Handler, stateful: Handler) -> list[Operation]:
    tokens: Answer = (TokenAnswer, StatusAnswer, None)  # 200 says why not, too; nothing: a bad encoding
    asked = Media(JSON, TokenRequest, optional=True, example=_STATELESS)
    return [
        Operation(
            "POST",
            path,
            handler,
            summary,
            tag="Tokens",
            details="200 has a status text instead of a token if the request can't be done.",
            request=asked,
            answers=answers | _REFUSED,
            security=KEY,
        )
        for path, handler, summary, answers in (
            (
                "/api/v1/tokens/stateless/generate",
                stateless,
                "A token of what the request says",
                {200: tokens},
            ),
            ("/api/v1/tokens/solarium/generate", solarium, "The same, under Solarium's path", {200: tokens}),
            (
                "/api/v1/tokens/generate",
                stateful,
                "The next token of a registered device",
                {200: tokens, 404: StatusAnswer},
            ),
        )
    ]


def _operator_operations(
    *, devices: Handler, state: Handler, sequence: Handler, attempts: Handler
) -> list[Operation]:
    return [
        Operation(
            "POST",
            "/api/v1/devices",
            devices,
            "Registers a device; again with the same values changes nothing",
            tag="Devices",
            request=Media(JSON, DeviceRequest, optional=True, example=_DEVICE),
            answers={201: DeviceAnswer, 409: StatusAnswer, **_REFUSED},
            security=KEY,
        ),
        Operation(
            "PUT",
            "/api/v1/devices/{serial}/state",
            state,
            "Reports a device stolen, lost or active",
            tag="Devices",
            request=Media(JSON, StateRequest, example={"state": "active"}),
            values={"serial": _SERIAL},
            answers={200: StateAnswer, 404: (StatusAnswer, None), **_REFUSED},
            security=KEY,
        ),
        Operation(
            "GET",
            "/api/v1/devices/{serial}/sequence",
            sequence,
            "The last sequence number that a device was given",
            tag="Devices",
            values={"serial": _SERIAL},
            answers={200: SequenceAnswer, 404: (StatusAnswer, None), **_REFUSED},
            security=KEY,
        ),
        Operation(
            "GET",
            "/api/v1/attempts",
            attempts,
            "Who asked for tokens, newest first",
            tag="Devices",
            values={"device": _SERIAL, "limit": "50"},
            query=AttemptQuery,
            answers={200: AttemptPage, **_REFUSED},
            security=KEY,
        ),
    ]


def render(error: BackendError) -> web.Response:
    """An error as this service shows it: a status text; unknown paths empty, 503 a page (checklist 87-90)."""
    match error:
        case DeviceNotFound() | Forbidden() | WrongKey():
            return json_response(StatusAnswer(error.detail), status=error.status)
        case NotFound():
            return empty_response(404)
        case Unavailable():
            return web.Response(status=503, text=UNAVAILABLE, content_type="text/html")
        case BadRequest(fields=fields):
            what = ", ".join(f"{name} {why}".strip() for name, why in fields) or error.detail
            return json_response(StatusAnswer(f"Request is invalid: {what}"), status=400)
        case TooLarge():
            return json_response(StatusAnswer("Request is too large"), status=413)
        case _:
            return json_response(StatusAnswer(error.detail), status=error.status)


async def _read(request: web.Request) -> TokenRequest:
    if not await body_of(request):
        return TokenRequest()  # no members at all: each is blank
    return await read_json(request, TokenRequest)


def _token(answer: TokenAnswer | None) -> web.Response:
    return (
        empty_response(200)
        if answer is None
        else web.Response(body=msgspec.json.encode(answer), content_type="application/json")
    )


def _number(value: str | None, what: str) -> int | None:
    if value is not None and not _NUMBER.match(value):
        raise BadRequest(f"{what} is no number")
    return None if value is None else int(value)
