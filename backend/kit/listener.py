"""How a process listens for HTTP, so that nobody holds a connection of it open for ever.

    no request, or half of its head     closed after IDLE_S
    half of its body                    answered 400 by web.py (`body_of`), and closed
    an answer that is not taken         the kernel closes the connection after UNTAKEN_S

A connection is an open file, so a process takes as many of those as the system lets it have.
"""

import resource
import socket
from collections.abc import Sequence
from ssl import SSLContext

from aiohttp import web

from backend.kit.errors import CannotStart

IDLE_S = 75.0  # our own clients hang up before, and so do proxies as they come
UNTAKEN_S = 60  # a peer that took none of its bytes for so long is gone, or wants to harm
GRACE_S = 60.0  # for what is being answered when a process stops
BACKLOG = 128
MAX_FILES = 65_536  # more connections than one process can answer


def runner_of(app: web.Application, *, idle_s: float = IDLE_S, grace_s: float = GRACE_S) -> web.AppRunner:
    """What runs `app`; give it to `listen` when it is set up."""
    return web.AppRunner(app, access_log=None, keepalive_timeout=idle_s, shutdown_timeout=grace_s)


async def listen(runner: web.AppRunner, sockets: Sequence[socket.socket], tls: SSLContext | None) -> None:
    """Answer what comes in at bound sockets."""
    _allow_files()
    for each in sockets:
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; what is accepted inherits it
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_S * 1000)
        await web.SockSite(runner, each, ssl_context=tls, backlog=BACKLOG).start()


def bound(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of `host`; port 0 is any free one. CannotStart: it can't be had."""
    found: list[socket.socket] = []
    try:
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            own = socket.socket(family, socket.SOCK_STREAM)
            found.append(own)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            own.bind(address)
    except OSError as error:
        for own in found:
            own.close()
        raise CannotStart(
            f"--port {port} can't be had on {host} ({error.strerror}); name another (0: any)"
        ) from None
    return found


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
