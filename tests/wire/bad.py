"""Bad requests made of a good one (good.py), each wrong in one thing and labelled with it.

An HTTP request that is none, or whose line is no URL, never reaches an application: see HTTP.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from backend.kit.openapi import FORM, JSON
from tests.wire.good import Body, Good
from tests.wire.raw import Request

HTTP = "http: "  # how labels begin of what aiohttp's own parser refuses
LIMIT = 64 * 1024
MANY = b"9" * 1000
BOMB = 2 * 1024 * 1024  # bytes more than a limit, in few when they are packed

# What takes a member's place, as JSON: one of each class. These are asked of PostgreSQL too: it refuses what
# SQLite takes.
REACHES_SQL = (
    b'"a\\u0000b"',
    b'"\\ud800"',
    b"9223372036854775808",
    MANY,
    b'"' + MANY + b'"',
    b'"0001-01-01T00:00:00+23:59"',
    b'"9999-12-31T23:59:59-23:59"',
    b'"2025-02-30T00:00:00Z"',
    b'"' + b"x" * 10_000 + '\U0001f4a1\u202e\ufeff"'.encode(),
)
WRONG = (
    *REACHES_SQL,
    b"null",
    b"true",
    b"-1",
    b"1.5",
    b"1e400",
    b'""',
    b'"\xff\xfe"',
    '"\u0663\u0664"'.encode(),
    b"[[]]",
    b'{"kind":1,"value":[]}',
)
WRONG_URLS = (b'"http://[::1"', b'"http://a b:99999/"', b'"http://x\\n/"')
BIG = (b"[" + b"0," * 5000 + b"0]", b"[" * 2000 + b"]" * 2000)  # once a body: what reads JSON meets them
BODIES = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"a":NaN,"b":-9223372036854775809}',
    MANY,
    b'{"a":' * 10_000,
    b"[" * 30_000 + b"]" * 30_000,
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf{}",
    b'{"\xff":1}',
    b'{"\\ud800":1}',
    b"%zz=%00&%ff=%ff",
    b"a=1&a=2&" * 3000,
)
KINDS = ("", "multipart/form-data", "application/json; charset=x")
TEXTS = (  # percent-encoded, for paths, queries and forms
    "",
    "a%00b",
    "%ed%a0%80",
    "%zz",
    "%F0%9F%92%A1",
    "%0d%0a",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "-1",
    "1.5",
    "9223372036854775807",
    "9223372036854775808",
    "9" * 1000,
    "x" * 4000,
    "0001-01-01T00:00:00%2b23:59",
    "9999-12-31T23:59:59-23:59",
    "%D9%A3",
)
QUERIES = ("%00=%00", "%ff=%zz", "&" * 1000, "=", "?" * 100, "a=1&" * 1000, "before=1&limit=0", "limit=201")
LOGINS = (b"", b"x", b"Bearer", b"Basic !", b"Basic /////w==", b"App \xff", b"\xff\xfe", b"x" * 4000)
# Headers that nobody has to send, and that may be anything: all at once, but for those that are refused.
ODD_HEADERS = (
    (b"Prefer", b"\xff"),
    (b"If-None-Match", b'"\xff'),
    (b"If-Range", b"\xff"),
    (b"If-Modified-Since", b"Thu, 99 Foo 99999 99:99:99 GMT"),
    (b"Cookie", b"\xff=\xff; ="),
    (b"Accept", b"\xff"),
    (b"X-Forwarded-For", b"\xff"),
)
REFUSED_HEADERS = (
    (b"Payg-Markets", b"\xff,,"),
    (b"Payg-Markets", b"XX"),
    (b"Range", b"bytes=99999999999999999999-"),
    (b"webhook-timestamp", MANY),
    (b"X-Reference-Id", b"\xff"),
)


@dataclass(frozen=True)
class Bad:
    """A request and what is wrong with it."""

    label: str
    request: Request


def bad(good: Good, *, limit: int = LIMIT, sql_only: bool = False) -> Iterator[Bad]:
    """Everything that can be wrong; `sql_only`: what may reach a database."""
    if good.kind:
        yield from _members(good, REACHES_SQL if sql_only else WRONG)
    yield from _places(good)
    if sql_only:
        return
    yield from _headers(good)
    for method in (b"GET" if good.method != "GET" else b"POST", b"OPTIONS", b"HEAD", b"PROPFIND"):
        yield Bad(f"method {method.decode()}", _request(good, method=method))
    if good.kind:
        yield from _bodies(good, limit)


def well(good: Good) -> Request:
    """The good request itself."""
    return _request(good)


def _request(
    good: Good,
    *,
    method: bytes | None = None,
    target: str | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    more: tuple[tuple[bytes, bytes], ...] = (),
    **framing: bool,
) -> Request:
    sent = good.encoded(good.body) if body is None and good.kind else body
    named = good.headers if headers is None else headers
    kind = {"Content-Type": good.kind} if good.kind and "Content-Type" not in named else {}
    told = {**kind, **named, **good.sign(sent or b"")}
    return Request(
        method or good.method.encode(),
        (good.target if target is None else target).encode("utf-8", "surrogateescape"),
        (*((name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in told.items()), *more),
        sent,
        **framing,
    )


def _members(good: Good, wrong: tuple[bytes, ...]) -> Iterator[Bad]:
    """Each member of the body, deep ones too, with every wrong value."""
    if good.kind == FORM and isinstance(good.body, Mapping):
        for name in dict.fromkeys((*good.body, *good.fields)):
            rest = good.encoded({key: value for key, value in good.body.items() if key != name})
            yield Bad(f"form without {name}", _request(good, body=rest))
            for text in TEXTS:
                sent = rest + b"&" + f"{quote(name)}={text}".encode()
                yield Bad(f"form {name}={text[:30]}", _request(good, body=sent))
    elif isinstance(good.body, Mapping):
        for path in [*_paths(good.body), *((name,) for name in good.fields if name not in good.body)]:
            name = ".".join(map(str, path))
            yield Bad(f"without {name}", _request(good, body=good.encoded(_without(good.body, path))))
            for value in (*wrong, *(WRONG_URLS if "url" in name.lower() else ())):
                yield Bad(f"{name}={value[:30]!r}", _request(good, body=_with(good.body, path, value)))
        for value in BIG:
            path = next(_paths(good.body))
            yield Bad(f"{path}={value[:30]!r}", _request(good, body=_with(good.body, path, value)))
    elif isinstance(good.body, str):
        text = good.body.encode()
        for value in wrong:
            yield Bad(f"text {value[:30]!r}", _request(good, body=text + value))
            yield Bad(f"cell {value[:30]!r}", _request(good, body=text.replace(b"UG,", value + b",", 1)))


_MARK = "@MARK@"


def _paths(body: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = body.items() if isinstance(body, Mapping) else enumerate(body[:1])
    for name, value in members:
        yield (*at, name)
        if isinstance(value, Mapping | list):
            yield from _paths(value, (*at, name))


def _placed(body: Any, path: tuple[Any, ...], value: object) -> Any:
    if not path:
        return value
    copied = dict(body) if isinstance(body, Mapping) else list(body)
    old = copied[path[0]] if not isinstance(body, Mapping) or path[0] in body else None
    copied[path[0]] = _placed(old, path[1:], value)
    return copied


def _with(body: Body, path: tuple[Any, ...], value: bytes) -> bytes:
    return json.dumps(_placed(body, path, _MARK)).encode().replace(f'"{_MARK}"'.encode(), value)


def _without(body: Any, path: tuple[Any, ...]) -> Any:
    copied = dict(body) if isinstance(body, Mapping) else list(body)
    if len(path) > 1:
        copied[path[0]] = _without(copied[path[0]], path[1:])
    elif not isinstance(copied, dict) or path[0] in copied:
        del copied[path[0]]
    return copied


def _places(good: Good) -> Iterator[Bad]:
    """Each parameter of the path and the query, and queries that nobody asked for."""
    for text in TEXTS:
        for name in good.values:
            kept = {key: value for key, value in good.values.items() if key != name}
            target = good.at(kept, "").replace(f"{{{name}}}", text)
            yield Bad(f"path {name}={text[:30]}", _request(good, target=target))
        for name in good.query:
            rest = "&".join(f"{key}={quote(value)}" for key, value in good.query.items() if key != name)
            target = good.at(good.values, f"{rest}&{name}={text}")
            yield Bad(f"query {name}={text[:30]}", _request(good, target=target))
    for name, value in good.query.items():
        target = f"{good.target}&{name}={quote(value)}"
        yield Bad(f"query {name} twice", _request(good, target=target))
    for query in QUERIES:
        yield Bad(f"query {query[:10]}", _request(good, target=good.at(good.values, query)))


def _headers(good: Good) -> Iterator[Bad]:
    for name, value in good.headers.items():
        others = {key: kept for key, kept in good.headers.items() if key != name}
        header = name.encode()
        yield Bad(f"no {name}", _request(good, headers=others))
        for wrong in LOGINS:
            more = ((header, wrong),)
            yield Bad(f"{name}: {wrong[:20]!r}", _request(good, headers=others, more=more))
        yield Bad(f"two {name}", _request(good, more=((header, b"another"),)))
        yield Bad(f"the same {name} twice", _request(good, more=((header, value.encode()),)))
    yield Bad("odd headers", _request(good, more=ODD_HEADERS))
    for header in REFUSED_HEADERS:
        yield Bad(f"header {header[0].decode()}: {header[1][:20]!r}", _request(good, more=(header,)))


def _bodies(good: Good, limit: int) -> Iterator[Bad]:
    for body in BODIES:
        yield Bad(f"body {body[:20]!r}", _request(good, body=body))
        if good.kind not in (JSON, FORM):
            kind = {**good.headers, "Content-Type": JSON}
            yield Bad(f"body {body[:20]!r} as JSON", _request(good, body=body, headers=kind))
    big = b"x" * (limit + 1)
    yield Bad("too long", _request(good, body=big))
    yield Bad("too long, in chunks", _request(good, body=big, chunked=True))
    text = good.encoded(good.body)
    yield Bad("in chunks", _request(good, body=text, chunked=True))
    for kind in KINDS:
        headers = {**good.headers, "Content-Type": kind}
        yield Bad(f"as {kind}", _request(good, headers=headers))
    if text.startswith(b"{"):
        yield Bad("every member twice", _request(good, body=text[:-1] + b"," + text[1:]))
        yield Bad("a member more", _request(good, body=text[:-1] + b',"\\u0000":"\\ud83d\\ude00"}'))
    packed = ((b"Content-Encoding", b"gzip"),)
    yield Bad("packed", _request(good, body=gzip.compress(text), more=packed))
    yield Bad("packed, too long", _request(good, body=gzip.compress(bytes(limit + BOMB)), more=packed))
    yield Bad("packed, but it is not", _request(good, more=packed))
    yield Bad("packed in no known way", _request(good, more=((b"Content-Encoding", b"x"),)))
    yield Bad("a webhook's old time", _request(good, more=((b"webhook-timestamp", b"1"),)))


def no_http(good: Good) -> Iterator[Bad]:
    """What is no HTTP, or no URL: the same for all routes of an application."""
    yield Bad(f"{HTTP}a target too long", _request(good, target=good.at(good.values, "x" * 9000)))
    yield Bad(f"{HTTP}a header too long", _request(good, more=((b"X", b"x" * 9000),)))
    yield Bad(f"{HTTP}two hosts", _request(good, more=((b"Host", b"[::"),)))
    yield Bad(f"{HTTP}a NUL in a header", _request(good, more=((b"X", b"a\x00b"),)))
    yield Bad(f"{HTTP}a header without a name", _request(good, more=((b"", b"x"),)))
    yield Bad(f"{HTTP}bytes in the target", _request(good, target=f"{good.target}\udcff\udcfe"))
    yield Bad(f"{HTTP}no such method", _request(good, method=b"G\xffT"))
    yield Bad(f"{HTTP}the target is a host", _request(good, target="http://[::1"))
    yield Bad(f"{HTTP}an unknown expectation", _request(good, more=((b"Expect", b"x"),)))
    if good.kind:
        yield Bad(f"{HTTP}broken chunks", _request(good, body=b"zz\r\n", chunked=True, raw_body=True))
