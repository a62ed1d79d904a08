"""HTTP of `moto` (checklist 78-91): three POST routes, header API-KEY, status texts under 200 as probed.

make_app builds the application of one service; what it calls is in service.py.
"""

import msgspec
from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, Forbidden, NotFound, TooLarge, Unavailable
from backend.kit.keys import ApiKeys, Client
from backend.kit.web import application, empty_response, json_response, read_json
from backend.moto.schemas import StatusAnswer, TokenAnswer, TokenRequest
from backend.moto.service import DeviceNotFound, MotoService

UNAVAILABLE = (
    "<!DOCTYPE html><html><head><title>503</title></head><body><h1>Service unavailable</h1></body></html>"
)


def make_app(service: MotoService, keys: ApiKeys) -> web.Application:
    """The application; `keys` says whose an API-KEY is."""

    async def stateless(request: web.Request) -> web.Response:
        _client(request)
        return _token(await service.generate_stateless(await _read(request)))

    async def stateful(request: web.Request) -> web.Response:
        client = _client(request)
        answer = await service.generate(await _read(request), client=client.name, markets=client.markets)
        return _token(answer)

    def _client(request: web.Request) -> Client:
        client = keys.client_of(request.headers.get("API-KEY"))
        if client is None:
            raise Forbidden("not authorized")
        return client

    return application(
        [
            web.post("/api/v1/tokens/stateless/generate", stateless),
            web.post("/api/v1/tokens/solarium/generate", stateless),
            web.post("/api/v1/tokens/generate", stateful),
        ],
        render=render,
        service="moto",
    )


def render(error: BackendError) -> web.Response:
    """An error as this service shows it: a status text; unknown paths empty, 503 a page (checklist 87-90)."""
    match error:
        case DeviceNotFound() | Forbidden():
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
    if not await request.read():
        return TokenRequest()  # no members at all: each is blank
    return await read_json(request, TokenRequest)


def _token(answer: TokenAnswer | None) -> web.Response:
    return (
        empty_response(200)
        if answer is None
        else web.Response(body=msgspec.json.encode(answer), content_type="application/json")
    )
