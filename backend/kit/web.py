"""The HTTP shell of a service: aiohttp, one middleware, errors in the service's own shape.

A route parses, calls the service and renders. Whatever it raises is a BackendError that the service's
`render` turns into its documented answer; anything else is logged as a defect and answered as InternalError.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl

import msgspec
import structlog
from aiohttp import web

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import (
    BackendError,
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unauthorized,
)
from backend.kit.keys import KEY_HEADERS, ApiKeys
from backend.kit.peers import counted_as
from backend.kit.ratelimit import RateLimit

MAX_BODY = 64 * 1024  # every documented request is far smaller
MAX_FORM_FIELDS = 50  # the widest form of a provider has about ten
# How long a body may take: so many seconds, and a second for so many bytes that it may have. A check-in or a
# payment is there in one piece; an image or a shipment's sheet comes over the worst of lines.
BODY_S, BODY_RATE = 30.0, 8 * 1024
JSON = "application/json"
_LACKS = re.compile(r"Object missing required field `(.*)`")  # msgspec's, without a path: of the body itself

T = TypeVar("T")
Q = TypeVar("Q", bound=msgspec.Struct)
R = TypeVar("R", bound=web.StreamResponse)
Render = Callable[[BackendError], web.Response]

# Field types of the wire schemas. NUL has no place in any of them (PostgreSQL refuses it in text).
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*\Z")]
Subunits = Annotated[int, msgspec.Meta(gt=0, le=10**14)]
Msisdn = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{6,14}\Z")]


def application(
    routes: Iterable[web.RouteDef],
    *,
    render: Render,
    service: str,
    headers: Mapping[str, str] | None = None,
    shapes: Mapping[str, Render] | None = None,
    bodies: Mapping[str, int] | None = None,
    keys: ApiKeys | None = None,
) -> web.Application:
    """An aiohttp application of `routes`; `headers` go on every answer.

    `shapes` gives paths (by how they end, so also below a prefix) a render of their own, `bodies` gives
    routes (by how their pattern ends) another limit than MAX_BODY, in bytes. `keys` are kept up to date;
    who sends wrong ones again and again gets 429 for each further one (checklist 101).
    """
    log = structlog.get_logger(service=service)
    extra = dict(headers or {})
    default, shaped = render, tuple((shapes or {}).items())
    bounds = tuple((bodies or {}).items())

    def rendered(request: web.Request, error: BackendError) -> web.Response:
        path = request.rel_url.path
        response = next((own for end, own in shaped if path.endswith(end)), default)(error)
        if error.retry_after_s is not None:
            response.headers["Retry-After"] = str(error.retry_after_s)
        return response

    @web.middleware
    async def shell(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        bound = _bound(request, bounds) if bounds else MAX_BODY
        try:
            if keys is not None and (key := presented(request)):
                await keys.follow(key)
            response = await handler(_bounded(request, bound))
        except BackendError as error:
            response = rendered(request, error if keys is None else _counted(request, error, keys))
        except web.HTTPRequestEntityTooLarge:
            response = rendered(request, TooLarge(f"the body is over {bound} bytes; send less"))
        except web.RequestPayloadError:  # chunks that are none, or not packed as Content-Encoding says
            response = rendered(
                request, BadRequest("the body does not come as its headers say; send it plain")
            )
        except web.HTTPNotFound:
            response = rendered(request, NotFound("no such path"))
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            text = f"this path does not take {error.method}; it takes {allowed}"
            response = rendered(request, MethodNotAllowed(text, method=error.method))
            response.headers["Allow"] = allowed
        except web.HTTPException:
            raise
        except Exception as error:
            if not _is_gone(request, error):
                log.error("http.defect", route=_route(request), error=repr(error), exc_info=True)
            response = rendered(request, InternalError("internal error; it has been logged"))
        return response

    async def headed(_: web.Request, response: web.StreamResponse) -> None:
        for name, value in extra.items():
            response.headers.setdefault(name, value)

    app = web.Application(middlewares=[shell], client_max_size=MAX_BODY)
    if extra:
        app.on_response_prepare.append(headed)  # what aiohttp answers by itself is among "every answer"
    app.add_routes(routes)
    return app


def presented(request: web.Request) -> str | None:
    """The API key of a request, in whichever header."""
    for name in KEY_HEADERS:
        if key := request.headers.get(name):
            return key
    return None


def _bound(request: web.Request, bounds: Sequence[tuple[str, int]]) -> int:
    route = _route(request)
    return next((own for end, own in bounds if route.endswith(end)), MAX_BODY)


def within_limit(
    limit: RateLimit, handler: Callable[[web.Request], Awaitable[R]]
) -> Callable[[web.Request], Awaitable[R]]:
    """The handler of a path that needs no key, for each address within `limit` (checklist 101)."""

    async def limited(request: web.Request) -> R:
        limit.take(counted_as(request.remote))
        return await handler(request)

    return limited


def _counted(request: web.Request, error: BackendError, keys: ApiKeys) -> BackendError:
    """What a caller is told: of one wrong key or login too many, that it is.

    Only failures are counted, after they failed: a valid key pays nothing and goes on from the same address.
    A bearer token is its service's to limit, and who sends no credential guesses none.
    """
    if not isinstance(error, Unauthorized):
        return error
    login = request.headers.get("Authorization", "").partition(" ")[0].lower() == "basic"
    if not login and presented(request) is None:
        return error
    try:
        keys.count_wrong(counted_as(request.remote))
    except TooManyRequests as over:
        return over
    return error


def _bounded(request: web.Request, bound: int) -> web.Request:
    """The request with our limit on its body, read or not: aiohttp knows only the outermost application's."""
    announced = request.content_length or 0
    if announced > bound:
        raise web.HTTPRequestEntityTooLarge(bound, announced)
    return request if request.client_max_size == bound else request.clone(client_max_size=bound)


def _is_gone(request: web.Request, error: Exception) -> bool:
    """Whether the client went away before its body had come: no defect, and nobody reads the answer."""
    return isinstance(error, ConnectionError) and request.transport is None


def _route(request: web.Request) -> str:
    """The route's pattern: a path itself may carry a hook's secret."""
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical if resource is not None else '?'}"


async def body_of(request: web.Request) -> bytes:
    """The body. BadRequest: it did not come to its end in time."""
    if request.content.is_eof():
        return await request.read()
    try:
        async with asyncio.timeout(BODY_S + request.client_max_size / BODY_RATE):
            return await request.read()
    except TimeoutError:
        raise BadRequest("the body did not come to its end in time; send it again") from None


async def read_json(request: web.Request, schema: type[T]) -> T:
    """The body as `schema`, whatever its content type says (resolutions 5).

    BadRequest names the first field that does not fit, or all that are missing.
    """
    body = await body_of(request)
    try:
        return msgspec.json.decode(body, type=schema)
    except msgspec.ValidationError as error:
        fields = _missing(body, schema) if _LACKS.fullmatch(str(error)) else [_field(str(error))]
        raise BadRequest("the request does not fit its schema", fields=fields) from error
    except UNREADABLE as error:
        raise _no_json() from error


def read_query(request: web.Request, schema: type[Q]) -> Q:
    """The query as `schema`. BadRequest names the field."""
    given = dict(request.query)
    try:
        asked = msgspec.convert(given, schema, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest("the query does not fit its schema", fields=[_field(str(error))]) from error
    for field in msgspec.structs.fields(schema):
        if field.encode_name in given and getattr(asked, field.name) is None:  # msgspec reads "null" as none
            text = "is null; leave it out instead"
            raise BadRequest("the query does not fit its schema", fields=[(field.encode_name, text)])
    return asked


async def read_form(request: web.Request) -> dict[str, str]:
    """The body as a URL-encoded form, the last value of each name. BadRequest: no form, not UTF-8, a NUL."""
    body = await body_of(request)
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise BadRequest("the body is no form in UTF-8") from error
    for name, value in pairs:
        if "\x00" in name or "\x00" in value:
            raise BadRequest("the form contains NUL", fields=[(name.replace("\x00", ""), "contains NUL")])
    return dict(pairs)


def json_response(value: object, *, status: int = 200) -> web.Response:
    """A msgspec-encodable value as `application/json`, with no charset (some providers' clients insist)."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type=JSON)


def empty_response(status: int) -> web.Response:
    """No body at all (checklist 32-34)."""
    return web.Response(status=status)


def _missing(body: bytes, schema: type) -> list[tuple[str, str]]:
    """The required members that an object lacks, in the schema's order."""
    try:
        given = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except UNREADABLE as error:  # a name that the schema's decoder ran over
        raise _no_json() from error
    wanted = msgspec.structs.fields(schema)
    return [
        (each.encode_name, "is missing") for each in wanted if each.required and each.encode_name not in given
    ]


def _no_json() -> BadRequest:
    return BadRequest("the body is no JSON; send one JSON object", fields=[("", "is no JSON")])


def _field(message: str) -> tuple[str, str]:
    """msgspec's "Expected `str`, got `int` - at `$.reference`" as (field, what is wrong)."""
    text, _, path = message.partition(" - at `")
    lacks = _LACKS.fullmatch(text)
    if lacks is not None:
        return lacks[1], "is missing"
    return path.rstrip("`").removeprefix("$").removeprefix("."), text
