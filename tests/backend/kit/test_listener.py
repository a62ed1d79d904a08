"""Listening: what a stranger leaves half done ends, and costs the others nothing."""

import asyncio
import resource
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from backend.kit import listener
from backend.kit import web as kit_web
from backend.kit.errors import BackendError, CannotStart
from backend.kit.web import application, body_of, json_response

LOOPBACK = "127.0.0.1"


def render(error: BackendError) -> web.Response:
    return json_response({"code": error.code, "detail": error.detail}, status=error.status)


async def echo(request: web.Request) -> web.Response:
    transport = request.transport
    assert transport is not None
    peer = transport.get_extra_info("socket")
    untaken_ms = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    return json_response([len(await body_of(request)), untaken_ms])


@asynccontextmanager
async def listening(*, idle_s: float = listener.IDLE_S) -> AsyncGenerator[int]:
    """The port of an application that echoes."""
    runner = listener.runner_of(
        application([web.post("/", echo)], render=render, service="kit"),
        idle_s=idle_s,
        grace_s=0.05,
    )
    await runner.setup()
    await listener.listen(runner, listener.bound(LOOPBACK, 0), None)
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def sent(port: int, request: bytes) -> bytes:
    """What comes back until the other side hangs up; ours sends no more."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(request)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "begun", [b"", b"POST / HTTP/1.1\r\nHost: x\r\nX-Half"], ids=["nothing", "half a head"]
)
async def test_a_connection_without_a_request_is_closed(begun: bytes) -> None:
    async with listening(idle_s=0.05) as port:
        assert await sent(port, begun) == b""


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 50\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"],
    ids=["length", "chunked"],
)
async def test_half_a_body_is_answered_and_cut_off(monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(kit_web, "BODY_S", -kit_web.MAX_BODY / kit_web.BODY_RATE + 0.05)
    async with listening() as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + head)
        answer = await reader.readuntil(b"}")
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"did not come to its end in time; send it again" in answer


async def test_an_answer_that_nobody_takes_is_given_up() -> None:
    async with listening() as port:
        request = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab"
        assert (await sent(port, request)).endswith(b"[2,60000]")


async def test_a_process_takes_as_many_connections_as_the_system_lets_it() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(before[1], listener.MAX_FILES) if before[1] != resource.RLIM_INFINITY else listener.MAX_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
    try:
        async with listening():
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == most
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_taken_port_is_an_error_and_leaves_nothing_open() -> None:
    async with listening() as port:
        with pytest.raises(CannotStart, match=rf"--port {port} can't be had .* in use.*name another"):
            listener.bound(LOOPBACK, port)
    again = listener.bound(LOOPBACK, port)
    assert [each.getsockname()[1] for each in again] == [port]
    for each in again:
        each.close()
