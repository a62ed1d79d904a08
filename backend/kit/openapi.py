"""A service's operations, told once: they are registered as routes, and they are its OpenAPI 3.1 document.

How a service uses it, in its routes.py:

    KEY = api_key("API-KEY")
    routes = documented(
        title="moto",
        about=__doc__,
        operations=[
            Operation(
                "POST", "/validate", handlers.validate, "Checks a payment before it is made", tag="Payments",
                request=Media(JSON, ValidateRequest, example={"reference": "254543", ...}),
                answers={200: Answer, **errors(400, 401)}, security=KEY,
            ),
            ...
        ],
    )
    return application(routes, render=render, service="moto")

`request` and `answers` name the msgspec schemas that the handlers read and write: the document shows what
validates. `{name:pattern}` in a path becomes a path parameter with that pattern. `None` is no body, `Media`
another content type than JSON, an optional body or one with an example, and a tuple is one of several.
`values` are examples of what a path and a query name. GET /openapi.json gives the document and GET /docs the
page that reference.py draws of it, with a curl line for each operation; both are open to anybody.

tests/backend/contract.py runs schemathesis over a document and the application that serves it, and the curl
lines of its page; tests/wire/test_every_route.py compares documents with routers.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from dataclasses import field as dataclass_field
from functools import cached_property
from http import HTTPStatus
from typing import Annotated, Any, cast

import msgspec
from aiohttp import web

from backend.kit import reference

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PLAIN = "text/plain"
HTML = "text/html"
OPENAPI = "3.1.0"
VERSION = "1"  # of the wire contract, which the seeds fix
MAY_BE_EMPTY = "x-may-be-empty"  # an answer that comes with its content or with no body at all

_SOURCE = re.compile(r" \((?:checklist|resolutions|providers) [^)]*\)")
_PARAMETER = re.compile(r"\{(\w+)(?::((?:[^{}]|\{[^{}]*\})+))?\}")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Media:
    """A body: its content type and schema."""

    content_type: str
    schema: Any = str
    optional: bool = False
    example: Any = None  # a request that works on a service where the examples above it were sent


Raw = Annotated[str, msgspec.Meta(extra_json_schema={"format": "binary"})]  # bytes as they are
Body = Any  # a type that msgspec knows, or a Media
Answer = Body | Sequence[Body | None] | None


@dataclass(frozen=True, slots=True)
class Security:
    """A credential, as OpenAPI describes it."""

    name: str
    scheme: Mapping[str, str]


BEARER = Security("bearer", {"type": "http", "scheme": "bearer"})
BASIC = Security("basic", {"type": "http", "scheme": "basic"})


def api_key(header: str) -> Security:
    """A key in a header of that name."""
    return Security(header, {"type": "apiKey", "in": "header", "name": header})


@dataclass(frozen=True, slots=True)
class Operation:
    """One route. `path` as aiohttp takes it; `query` a struct whose fields are the parameters.

    tag: the group that it is shown in. details: what its summary can't say.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    _: KW_ONLY
    answers: Mapping[int, Answer]
    tag: str
    details: str = ""
    request: Answer = None
    query: type[msgspec.Struct] | None = None
    values: Mapping[str, str] = dataclass_field(default_factory=dict[str, str])
    security: Security | None = None


class Teller:
    """Makes operations of a service that share a key and the shape of a refusal; `handlers` by route.

    A route is its method and path. `refusal` is the body of 400, of 413 where there is a body to send,
    of 503, of the statuses `always`, and of those that a call adds.
    """

    def __init__(
        self, handlers: Mapping[str, Handler], *, security: Security, refusal: Body, always: Sequence[int]
    ):
        self._handlers = handlers
        self._security = security
        self._refusal = refusal
        self._always = tuple(always)

    def __call__(
        self,
        route: str,
        summary: str,
        tag: str,
        answers: Mapping[int, Answer],
        *refusals: int,
        details: str = "",
        request: Answer = None,
        query: type[msgspec.Struct] | None = None,
        values: Mapping[str, str] | None = None,
    ) -> Operation:
        """The operation of `route`."""
        method, _, path = route.partition(" ")
        refused = (400, *self._always, *refusals, *(() if request is None else (413,)), 503)
        return Operation(
            method,
            path,
            self._handlers[route],
            summary,
            tag=tag,
            details=details,
            request=request,
            query=query,
            values=values or {},
            answers={**answers, **dict.fromkeys(refused, self._refusal)},
            security=self._security,
        )


def documented(*, title: str, about: str | None, operations: Iterable[Operation]) -> list[web.RouteDef]:
    """The routes of `operations`, and those of their document. `about`: the text above them."""
    told = [_limited(each) for each in operations]
    shown = _Shown(title, about or "", told)
    routes = [_route(each.method, each.path, each.handler) for each in told]
    return [*routes, web.get("/openapi.json", shown.openapi), web.get("/docs", shown.docs)]


class _Shown:
    """A document and its page, made when somebody first asks: no start waits for them."""

    def __init__(self, title: str, about: str, operations: Sequence[Operation]):
        self._title = title
        self._about = about
        self._operations = operations

    async def openapi(self, _: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._document), content_type=JSON)

    async def docs(self, request: web.Request) -> web.Response:
        address = reference.address(request.scheme, request.host, request.path)
        return web.Response(text=self._page.replace(reference.ADDRESS, address), content_type=HTML)

    @cached_property
    def _document(self) -> dict[str, Any]:
        return describe(title=self._title, about=self._about, operations=self._operations)

    @cached_property
    def _page(self) -> str:
        return reference.page(self._document)


def _limited(operation: Operation) -> Operation:
    """With 429 beside 401, in its shape: wrong keys are counted (web.py)."""
    answers = dict(operation.answers)
    if 401 in answers:
        answers.setdefault(429, answers[401])
    return replace(operation, answers=answers)


def describe(*, title: str, about: str, operations: Sequence[Operation]) -> dict[str, Any]:
    """The OpenAPI 3.1 document; `servers` is relative, so it holds below any prefix."""
    schemas = _Schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = _PARAMETER.sub(lambda found: f"{{{found[1]}}}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _described(operation, path, schemas)
    named = {each.security.name: each.security.scheme for each in operations if each.security is not None}
    return {
        "openapi": OPENAPI,
        "info": {"title": title, "version": VERSION, "description": about.strip()},
        "servers": [{"url": "."}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in operations)],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": named},
    }


class _Schemas:
    """The JSON Schemas of all types that the operations name, and the components that they share."""

    def __init__(self, operations: Iterable[Operation]):
        types = [media.schema for operation in operations for media in _bodies(operation)]
        types += [operation.query for operation in operations if operation.query is not None]
        found, components = msgspec.json.schema_components(
            types, schema_hook=_anything, ref_template="#/components/schemas/{name}"
        )
        self._of = list(zip(types, map(_ecma, found), strict=True))
        queries = {operation.query.__name__ for operation in operations if operation.query is not None}
        self._all: dict[str, Any] = {name: _ecma(schema) for name, schema in components.items()}
        self.components = {name: schema for name, schema in self._all.items() if name not in queries}

    def of(self, kind: Any) -> dict[str, Any]:
        return next(schema for known, schema in self._of if known == kind)

    def parameters(self, query: type[msgspec.Struct]) -> Iterator[dict[str, Any]]:
        """The fields of a query's struct."""
        schema = self._all[query.__name__]
        for name, field in schema["properties"].items():
            given = [choice for choice in field.get("anyOf", [field]) if choice != {"type": "null"}]
            shown = given[0] if len(given) == 1 else field  # in a query there is no null
            yield _parameter("query", name, shown, required=name in schema.get("required", []))


def _described(operation: Operation, path: str, schemas: _Schemas) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{operation.method.lower()}{path}").strip("_"),
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": [] if operation.security is None else [{operation.security.name: []}],
        "responses": {
            str(status): _response(status, operation.answers[status], schemas)
            for status in sorted(operation.answers)
        },
    }
    if operation.details:
        told["description"] = operation.details
    parameters = [
        _parameter("path", name, {"type": "string", "pattern": f"^{pattern or '[^{}/]+'}$"}, required=True)
        for name, pattern in _PARAMETER.findall(operation.path)
    ]
    if operation.query is not None:
        parameters += schemas.parameters(operation.query)
    for parameter in parameters:
        if parameter["name"] in operation.values:
            parameter["example"] = operation.values[parameter["name"]]
    if parameters:
        told["parameters"] = parameters
    if medias := list(_medias(operation.request)):
        told["requestBody"] = {
            "required": not any(media.optional for media in medias),
            "content": {media.content_type: _content(media, schemas) for media in medias},
        }
    return told


def _content(media: Media, schemas: _Schemas) -> dict[str, Any]:
    told: dict[str, Any] = {"schema": schemas.of(media.schema)}
    return told if media.example is None else told | {"example": media.example}


def _response(status: int, answer: Answer, schemas: _Schemas) -> dict[str, Any]:
    by_type: dict[str, list[dict[str, Any]]] = {}
    for media in _medias(answer):
        by_type.setdefault(media.content_type, []).append(schemas.of(media.schema))
    told: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if not by_type:
        told["description"] += "; no body"
        return told
    told["content"] = {
        content_type: {"schema": found[0] if len(found) == 1 else {"anyOf": found}}
        for content_type, found in by_type.items()
    }
    if isinstance(answer, tuple) and None in answer:
        told["description"] += "; with a body or without"
        told[MAY_BE_EMPTY] = True
    return told


def _bodies(operation: Operation) -> Iterator[Media]:
    yield from _medias(operation.request)
    for answer in operation.answers.values():
        yield from _medias(answer)


def _medias(answer: Answer) -> Iterator[Media]:
    bodies = cast(Sequence[Body | None], answer) if isinstance(answer, tuple) else (answer,)
    for body in bodies:
        if body is not None:
            yield _media(body)


def _media(body: Body) -> Media:
    return body if isinstance(body, Media) else Media(JSON, body)


def _parameter(place: str, name: str, schema: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": dict(schema)}


def _route(method: str, path: str, handler: Handler) -> web.RouteDef:
    return web.get(path, handler) if method == "GET" else web.route(method, path, handler)


def _anything(kind: type) -> dict[str, Any]:
    """`object` is any JSON value (msgspec wants to hear something); it knows every other type."""
    if kind is object:
        return {"title": "any value"}
    raise NotImplementedError(f"{kind} has no JSON Schema")


def _ecma(schema: Any) -> Any:
    r"""JSON Schema's patterns are ECMAScript's: the end is `$`, not Python's `\Z`.

    A docstring's sources are left out: who reads a document has only it.
    """
    if isinstance(schema, dict):
        return {name: _member(name, value) for name, value in cast(dict[str, Any], schema).items()}
    if isinstance(schema, list | tuple):
        return [_ecma(item) for item in cast(Sequence[Any], schema)]
    return schema


def _member(name: str, value: Any) -> Any:
    if name == "pattern" and isinstance(value, str):
        return value.replace(r"\Z", "$")
    if name == "description" and isinstance(value, str):
        return _SOURCE.sub("", value)
    return _ecma(value)
