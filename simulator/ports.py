"""Which ports a world listens on. Port 0 means any free one, and the same again at the next start.

Addresses outlive a process: a callback URL that was stored before a crash must still be right after it.
"""

import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from backend.data_dir import write_private
from backend.kit.decoding import UNREADABLE
from backend.kit.errors import CannotStart

FILE = "ports.json"
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class PortError(CannotStart):
    """A port can't be had; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a world. `http_socket` is bound already; the broker binds its own two.

    `last_http` is the HTTP port of the last start, 0 if there was none: URLs that were stored then name it.
    """

    host: str
    http: int
    mqtt: int
    ws: int
    last_http: int
    http_socket: socket.socket


@dataclass(frozen=True, slots=True)
class Wanted:
    """The ports that were asked for; 0: any."""

    http: int
    mqtt: int
    ws: int


@contextmanager
def claim(folder: Path, host: str, wanted: Wanted) -> Generator[Ports]:
    """The wanted ports, or for 0 those of the last start in `folder`. PortError when one is in use."""
    last = _remembered(folder / FILE)
    sockets: dict[str, socket.socket] = {}
    try:
        for name, port in (("http", wanted.http), ("mqtt", wanted.mqtt), ("ws", wanted.ws)):
            sockets[name] = _bind(host, name, port, last.get(name, 0))
        numbers = {name: int(bound.getsockname()[1]) for name, bound in sockets.items()}
        write_private(folder / FILE, numbers)
        for name in ("mqtt", "ws"):
            sockets.pop(name).close()
        yield Ports(host=host, **numbers, last_http=last.get("http", 0), http_socket=sockets["http"])
    finally:
        for bound in sockets.values():
            bound.close()


def _bind(host: str, name: str, port: int, last: int) -> socket.socket:
    for candidate in [port] if port else [last, 0]:
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, candidate))
            bound.listen()  # only a listening socket collides with one that listens already
        except OSError:
            bound.close()
            continue
        return bound
    raise PortError(f"--{name}-port {port} can't be had; stop what listens there, or name another (0: any)")


def _remembered(file: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Port])
    except (FileNotFoundError, *UNREADABLE):
        return {}
