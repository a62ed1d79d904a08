"""The HTTP shell: errors in the service's shape, bodies within bounds."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.errors import BY_STATUS, BackendError, Conflict
from backend.kit.http import AiohttpClient, TimedOut, Unreachable, error_of
from backend.kit.web import (
    MAX_BODY,
    Msisdn,
    Subunits,
    Text,
    application,
    empty_response,
    json_response,
    read_json,
)


class Body(msgspec.Struct):
    name: Text
    amount: Subunits = 1
    msisdn: Msisdn = "256700000000"


async def echo(request: web.Request) -> web.Response:
    return json_response(await read_json(request, Body), status=201)


async def conflict(request: web.Request) -> web.Response:
    raise Conflict("there already")


async def defect(request: web.Request) -> web.Response:
    raise RuntimeError("secret detail")


async def hang(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return empty_response(204)


def render(error: BackendError) -> web.Response:
    return json_response({"code": error.code, "fields": error.fields}, status=error.status)


@pytest.fixture
async def http() -> AsyncIterator[TestClient]:
    app = application(
        [
            web.post("/echo", echo),
            web.get("/conflict", conflict),
            web.get("/defect", defect),
            web.get("/bare", conflict),
            web.get("/hang", hang),
        ],
        render=render,
        service="kit",
        headers={"X-Frame-Options": "DENY"},
        shapes={"/bare": lambda error: empty_response(error.status)},
    )
    async with TestClient(TestServer(app)) as client:
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


async def test_a_path_may_have_a_shape_of_its_own(http: TestClient) -> None:
    async with http.get("/bare") as answer:
        assert (answer.status, await answer.read()) == (409, b"")


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
        await http_client.request("GET", str(http.make_url("/conflict")), timeout_s=0)


def test_every_status_has_one_error() -> None:
    assert all(kind.status == status for status, kind in BY_STATUS.items())
