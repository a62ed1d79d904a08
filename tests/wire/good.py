"""A good request, and how it is written. Next: goods.py, which has one for every route."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from backend.kit.openapi import FORM

Body = Any  # JSON's values, a form's fields, or a text as it is
DESCRIPTION = ("/", "/openapi.json", "/docs")  # of a sandbox, of a service: they take nothing


@dataclass(frozen=True)
class Good:
    """One request. `path` as the router has it, with `values` for its parameters; `kind`: the content type.

    fields: what besides the example's the body may have. sign: the headers that go with a body.
    """

    method: str
    path: str
    values: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    body: Body = None
    fields: tuple[str, ...] = ()
    sign: Callable[[bytes], Mapping[str, str]] = lambda _: {}

    @property
    def target(self) -> str:
        """Path and query, encoded."""
        return self.at(self.values, urlencode(self.query))

    def at(self, values: Mapping[str, str], query: str) -> str:
        """The same with other values and another query."""
        path = self.path
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        return f"{path}?{query}" if query else path

    def encoded(self, body: Body) -> bytes:
        """A body on the wire."""
        if isinstance(body, bytes) or body is None:
            return body or b""
        if self.kind == FORM:
            return urlencode(body).encode()
        return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def basic(name: str, password: object) -> str:
    """What HTTP's basic authentication says in the header."""
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def routes(app: web.Application) -> set[tuple[str, str]]:
    """(method, path) of a router; HEAD goes where GET goes."""
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
