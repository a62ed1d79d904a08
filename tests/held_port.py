"""A port whose number must be known before its server is there; an unused one might be somebody's by then."""

import socket

from aiohttp import web
from aiohttp.test_utils import TestServer


def hold() -> tuple[socket.socket, int]:
    """A socket on a free port of this machine, and its number; nobody else gets it while it is open."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    return held, held.getsockname()[1]


def serve(app: web.Application, held: socket.socket) -> TestServer:
    """A server for the application, which closes the socket with itself."""
    return TestServer(app, socket_factory=lambda *_: held)
