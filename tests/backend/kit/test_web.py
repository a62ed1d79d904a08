"""The HTTP shell: errors in the service's shape, bodies within bounds."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.errors import BY_STATUS, BackendError, Conflict, Unavailable
from backend.kit.http import MAX_ANSWER, AiohttpClient, TimedOut, Unreachable, error_of
from backend.kit.web import (
    MAX_BODY,
    MAX_FORM_FIELDS,
    Msisdn,
    Subunits,
    Text,
    application,
    empty_response,
    json_response,
    read_form,
    read_json,
)


class Body(msgspec.Struct):
    name: Text
    amount: Subunits = 1
    msisdn: Msisdn = "256700000000"


async def echo(request: web.Request) -> web.Response:
    return json_response(await read_json(request, Body), status=201)


async def form(request: web.Request) -> web.Response:
    return json_response(await read_form(request))


async def length(request: web.Request) -> web.Response:
    return json_response(len(await request.read()))


async def never(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return empty_response(204)


async def conflict(request: web.Request) -> web.Response:
    raise Conflict("there already")


async def busy(request: web.Request) -> web.Response:
    raise Unavailable("later", retry_after_s=7)


async def defect(request: web.Request) -> web.Response:
    raise RuntimeError("secret detail")


async def hang(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return empty_response(204)


def render(error: BackendError) -> web.Response:
    return json_response({"code": error.code, "fields": error.fields}, status=error.status)


def service() -> web.Application:
    return application(
        [
            web.post("/echo", echo),
            web.post("/form", form),
            web.post("/length", length),
            web.get("/never", never),
            web.get("/conflict", conflict),
            web.get("/defect", defect),
            web.get("/bare", busy),
            web.get("/hang", hang),
        ],
        render=render,
        service="kit",
        headers={"X-Frame-Options": "DENY"},
        shapes={"/bare": lambda error: empty_response(error.status)},
    )


@pytest.fixture
async def http() -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(service())) as client:
        yield client


async def test_a_request_is_parsed_and_rendered(http: TestClient) -> None:
    async with http.post("/echo", data=b'{"name":"x","unknown":1}') as answer:
        assert answer.status == 201
        assert answer.headers["Content-Type"] == "application/json"
        assert await answer.json() == {"name": "x", "amount": 1, "msisdn": "256700000000"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"{", [["", "is no JSON"]]),
        (b"", [["", "is no JSON"]]),
        (b"\xff", [["", "is no JSON"]]),
        (b"[" * 60_000, None),
        (b"{}", [["name", "is missing"]]),
        (b'{"\xff":1}', [["", "is no JSON"]]),
        (b'{"name":5}', [["name", "Expected `str`, got `int`"]]),
        (b'{"name":"x","amount":0}', [["amount", "Expected `int` >= 1"]]),
        (b'{"name":"x","amount":' + b"9" * 5000 + b"}", None),
        (b'{"name":"a\\u0000b"}', None),
        (b'{"name":"\\ud800"}', None),
        (b'{"name":"x","msisdn":"256700000000\\n"}', None),
        (b"[1]", None),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_does_not_fit_is_400_and_names_the_field(
    http: TestClient, body: bytes, fields: list[list[str]] | None
) -> None:
    async with http.post("/echo", data=body) as answer:
        told = await answer.json()
    assert (answer.status, told["code"]) == (400, "bad_request")
    assert fields is None or told["fields"] == fields


async def test_a_body_may_have_64_kib(http: TestClient) -> None:
    for size, status in ((MAX_BODY, 201), (MAX_BODY + 1, 413)):
        body = b'{"name":"x"}'.ljust(size)
        async with http.post("/echo", data=body) as answer:
            assert answer.status == status


async def test_the_limit_holds_below_a_prefix_and_for_chunks(http: TestClient) -> None:
    """aiohttp looks at the limit of the outermost application only; its own default is 1 MiB."""

    async def chunks(size: int) -> AsyncIterator[bytes]:
        for start in range(0, size, 1000):
            yield b"x" * min(1000, size - start)

    root = web.Application()
    root.add_subapp("/kit", service())
    async with TestClient(TestServer(root)) as mounted:
        for client, prefix in ((mounted, "/kit"), (http, "")):
            for body in (lambda size: b"x" * size, chunks):
                async with client.post(f"{prefix}/length", data=body(MAX_BODY)) as answer:
                    assert (answer.status, await answer.json()) == (200, MAX_BODY)
                async with client.post(f"{prefix}/length", data=body(MAX_BODY + 1)) as answer:
                    assert (answer.status, (await answer.json())["code"]) == (413, "request_too_large")


async def test_a_form_is_read(http: TestClient) -> None:
    async with http.post("/form", data=b"a=1&b=&a=2&c=%2B256+7&d=\xc3\xa9") as answer:
        assert await answer.json() == {"a": "2", "b": "", "c": "+256 7", "d": "é"}


@pytest.mark.parametrize(
    "body",
    [b"a=\xff", b"a=%ff", b"a=%00", b"a\x00=1", b"a=1&" * (MAX_FORM_FIELDS + 1)],
    ids=["bytes", "percent", "nul", "nul name", "many"],
)
async def test_what_is_no_form_is_400(http: TestClient, body: bytes) -> None:
    async with http.post("/form", data=body) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "bad_request")


async def test_every_error_is_rendered_by_the_service(http: TestClient) -> None:
    for method, path, status, code in (
        ("GET", "/conflict", 409, "conflict"),
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/echo", 405, "method_not_allowed"),
        ("GET", "/defect", 500, "internal_error"),
    ):
        async with http.request(method, path) as answer:
            text = await answer.text()
            assert answer.status == status
            assert f'"code":"{code}"' in text
            assert "secret detail" not in text
            assert answer.headers["X-Frame-Options"] == "DENY"
            if status == 405:
                assert answer.headers["Allow"] == "POST"


async def test_a_client_that_goes_away_in_its_body_is_no_defect(http_client: AiohttpClient) -> None:
    came, gone = asyncio.Event(), asyncio.Event()

    async def late(request: web.Request) -> web.Response:
        came.set()
        while request.transport is not None:
            await asyncio.sleep(0)
        try:
            return json_response(len(await request.read()))
        finally:
            gone.set()

    with structlog.testing.capture_logs() as logs:
        routes = [web.post("/late", late), web.get("/defect", defect)]
        runner = web.AppRunner(application(routes, render=render, service="kit"))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
        await came.wait()
        writer.close()
        await gone.wait()
        assert (await http_client.request("GET", f"http://{host}:{port}/defect")).status == 500
        await runner.cleanup()
    assert [entry["route"] for entry in logs if entry["event"] == "http.defect"] == ["GET /defect"]


async def test_a_path_may_have_a_shape_of_its_own(http: TestClient) -> None:
    async with http.get("/bare") as answer:
        assert (answer.status, await answer.read(), answer.headers["Retry-After"]) == (503, b"", "7")


async def test_the_client_gives_any_status_as_an_answer(http: TestClient, http_client: AiohttpClient) -> None:
    answer = await http_client.request("GET", str(http.make_url("/conflict")))
    assert (answer.status, answer.json()["code"]) == (409, "conflict")
    assert answer.headers["x-frame-options"] == "DENY"
    assert isinstance(error_of(answer, "echo"), Conflict)


async def test_the_client_tells_no_connection_from_no_answer(
    http: TestClient, http_client: AiohttpClient
) -> None:
    with pytest.raises(Unreachable):
        await http_client.request("GET", "http://127.0.0.1:1/")
    with pytest.raises(TimedOut):
        await http_client.request("GET", str(http.make_url("/hang")))
    with pytest.raises(TimedOut):
        await http_client.request("GET", str(http.make_url("/never")), timeout_s=0.1)


async def test_the_client_tells_a_late_connection_from_a_late_answer(http: TestClient) -> None:
    with socket.socket() as deaf:  # its queue of connections is full: the next one gets no answer at all
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(deaf.getsockname())
        client = AiohttpClient()
        with pytest.raises(Unreachable):
            await client.request("GET", f"http://127.0.0.1:{deaf.getsockname()[1]}/", timeout_s=0.2)
        await client.close()
        for each in waiting:
            each.close()

    narrow = AiohttpClient(connections=1)
    first = asyncio.create_task(narrow.request("GET", str(http.make_url("/never")), timeout_s=0.5))
    await asyncio.sleep(0)
    with pytest.raises(Unreachable):  # it waits for the only connection
        await narrow.request("GET", str(http.make_url("/conflict")), timeout_s=0.1)
    with pytest.raises(TimedOut):
        await first
    await narrow.close()


async def served(pieces: Sequence[bytes], client: AiohttpClient) -> bytes:
    """What `client` reads of an answer that is written in these pieces."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):  # a client that has enough
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.02)  # or the kernel would join them
            writer.close()
            await writer.wait_closed()
        ended.set()

    ended = asyncio.Event()
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            return (await client.request("GET", f"http://127.0.0.1:{port}/", timeout_s=5)).body
        finally:
            await ended.wait()


async def test_the_client_reads_an_answer_to_its_end(http_client: AiohttpClient) -> None:
    head = b"HTTP/1.1 200 OK\r\n"
    assert await served([head + b"Content-Length: 6\r\n\r\nabc", b"def"], http_client) == b"abcdef"
    chunked = [head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"3\r\ndef\r\n", b"0\r\n\r\n"]
    assert await served(chunked, http_client) == b"abcdef"


async def test_the_client_reads_no_endless_answer(http_client: AiohttpClient) -> None:
    pieces = [b"HTTP/1.1 200 OK\r\n\r\n", b"x" * MAX_ANSWER, b"x"]
    with pytest.raises(TimedOut, match="over 1048576 bytes"):
        await served(pieces, http_client)


def test_every_status_has_one_error() -> None:
    assert all(kind.status == status for status, kind in BY_STATUS.items())
