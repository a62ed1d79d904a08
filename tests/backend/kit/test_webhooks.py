"""Callbacks reach public addresses only, whatever a name says the second time and however it is written."""

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from backend.kit.errors import BadRequest
from backend.kit.http import AiohttpClient, Unreachable
from backend.kit.peers import networks_of, only_from
from backend.kit.webhooks import LOOPBACK, CallbackHttp, check_target, is_public, split_url
from backend.m2m.ports import SystemResolver
from backend.sources import KNOWN, sources_of

ANY = str(IPv4Address(0))  # every address of this machine
PUBLIC = "93.184.216.34"


class Home:
    """A server of ours, on loopback, that no callback may reach."""

    def __init__(self) -> None:
        self.calls = 0
        app = web.Application()
        app.add_routes([web.post("/{any:.*}", self._call)])
        self.server = TestServer(app)

    async def _call(self, request: web.Request) -> web.Response:
        self.calls += 1
        if request.path == "/away":
            return web.Response(status=307, headers={"Location": "/inside"})
        return web.Response(text="inside")


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    home = Home()
    await home.server.start_server()
    yield home
    await home.server.close()


@pytest.fixture
async def public() -> AsyncIterator[AiohttpClient]:
    client = AiohttpClient(may_connect=is_public)
    yield client
    await client.close()


def answering(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names resolve to each of `answers` in turn, the last one for ever; the names that were asked for."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()

    async def getaddrinfo(host: str, port: int | None, **_: Any) -> list[Any]:
        addresses = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                *(socket.SOCK_STREAM, socket.IPPROTO_TCP, ""),
                (one, port or 0, 0, 0) if ":" in one else (one, port or 0),
            )
            for one in addresses
        ]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("second", [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["127.0.0.1", "::1"]])
async def test_a_name_that_changes_its_answer_reaches_nothing(
    home: Home, public: AiohttpClient, monkeypatch: pytest.MonkeyPatch, second: list[str]
) -> None:
    asked = answering(monkeypatch, [PUBLIC], second)
    url = f"http://rebinding.example:{home.server.port}/hook"
    await check_target(url, resolver=SystemResolver(), allowed_hosts=())
    with pytest.raises(Unreachable):
        await public.request("POST", url, timeout_s=5)
    assert (len(asked), home.calls) == (2, 0)


async def test_the_same_name_reaches_an_address_that_may_be_reached(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other side of the test above: nothing but the judgement keeps the callback away."""
    answering(monkeypatch, ["127.0.0.1"])
    client = AiohttpClient(may_connect=lambda address: address == "127.0.0.1")
    answer = await client.request("POST", f"http://rebinding.example:{home.server.port}/hook")
    await client.close()
    assert (answer.status, home.calls) == (200, 1)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0", "localhost", "localhost."),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "①②⑦.0.0.1", "127。0。0。1"),
    ],
)
async def test_no_spelling_of_loopback_is_reached(home: Home, public: AiohttpClient, host: str) -> None:
    with pytest.raises(Unreachable):
        await public.request("POST", f"http://{host}:{home.server.port}/hook", timeout_s=5)
    assert home.calls == 0


async def test_redirects_are_answers(home: Home) -> None:
    client = AiohttpClient()
    answer = await client.request("POST", str(home.server.make_url("/away")))
    await client.close()
    assert (answer.status, home.calls) == (307, 1)


async def test_a_proxy_of_the_environment_is_not_used(
    home: Home, public: AiohttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, str(home.server.make_url("/")))
    with pytest.raises(Unreachable):
        await public.request("POST", "http://127.0.0.2:9/hook", timeout_s=5)
    assert home.calls == 0


async def test_allowed_hosts_are_reached_by_their_name_alone(home: Home, public: AiohttpClient) -> None:
    private = AiohttpClient()
    callbacks = CallbackHttp(public=public, private=private, allowed_hosts=LOOPBACK)
    port = home.server.port
    assert (await callbacks.request("POST", f"http://127.0.0.1:{port}/x")).status == 200
    for host in ("127.0.0.2", "127.1", "localhost.", "[::ffff:127.0.0.1]"):
        with pytest.raises(Unreachable):
            await callbacks.request("POST", f"http://{host}:{port}/x", timeout_s=5)
    await private.close()
    assert home.calls == 1


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://a.example/", "http://", "//a.example", "http://user@a.example/", "http://u:p@a.example/"),
        *("http://a.example:0/", "http://a.example:99999/", "http://a.example\\@10.0.0.1/", "http:///a"),
        *("http://a b.example/", "http://a.example/\n", "http://[::1/", "file:///etc/passwd", ""),
        *("http://a..example/", "http://.example/", f"http://{'a' * 64}.example/"),
    ],
)
def test_what_is_no_callback_url(url: str) -> None:
    with pytest.raises(BadRequest):
        split_url(url)


@pytest.mark.parametrize("host", ["a..example", f"{'a' * 64}.example"])
async def test_a_host_that_is_no_name_is_not_reached(public: AiohttpClient, host: str) -> None:
    """Such a URL may have been stored before it was refused."""
    with pytest.raises(Unreachable):
        await public.request("POST", f"http://{host}/hook", timeout_s=5)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *((one, True) for one in (PUBLIC, "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808")),
        *((one, False) for one in ("10.0.0.1", "100.64.0.1", "169.254.169.254", "192.168.0.1", ANY)),
        *((one, False) for one in ("224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "::", "::1")),
        *((one, False) for one in ("fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1")),
        *((one, False) for one in ("::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "::10.0.0.1")),
        *((one, False) for one in ("2002:a00:1::1", "2001:0:a00:1::1", "fec0::1")),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


@given(st.ip_addresses(v=4))
def test_an_address_is_as_public_as_the_one_it_carries(address: object) -> None:
    carried = is_public(str(address))
    assert is_public(f"::ffff:{address}") is carried
    assert is_public(f"64:ff9b::{address}") is carried


@pytest.mark.parametrize(
    ("peer", "path", "status"),
    [
        *(("127.0.0.1", path, 404) for path in ("/hooks/daraja/x", "/hooks/ke/c2b/c/x", "/ussd")),
        *(("127.0.0.1", path, 200) for path in ("/hooks/mtn/x", "/payment", "/")),
    ],
)
async def test_a_provider_s_calls_come_from_its_networks(peer: str, path: str, status: int) -> None:
    async def hook(_: web.Request) -> web.Response:
        return web.Response()

    sources = sources_of({"daraja": ["safaricom"], "africastalking": ["192.0.2.0/24"]})
    app = web.Application(middlewares=[only_from(sources)])
    app.add_routes([web.post("/{any:.*}", hook)])
    server = TestServer(app, host=peer)
    client = AiohttpClient()
    await server.start_server()
    assert (await client.request("POST", str(server.make_url(path)))).status == status
    await client.close()
    await server.close()
    allowed = sources_of({"daraja": ["safaricom", "127.0.0.0/8"]})["/hooks/daraja/"]
    assert len(allowed) == len(KNOWN["safaricom"]) + 1
    assert networks_of(["127.0.0.0/8"])[0] in allowed


def test_unknown_providers_and_networks_are_named() -> None:
    for lists, says in (
        ({"visa": []}, "visa"),
        ({"mtn": ["10.0.0.1/8"]}, "host bits"),
        ({"mtn": ["x"]}, "x"),
    ):
        with pytest.raises(ValueError, match=says):
            sources_of(lists)
