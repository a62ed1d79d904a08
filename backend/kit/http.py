"""HTTP to others, as a port: the services' clients and provider adapters see only `HttpClient`.

A world in virtual time hands in one that calls the other application directly.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import aiohttp
import msgspec

from backend.kit.decoding import UNREADABLE
from backend.kit.errors import BY_STATUS, BackendError, InternalError, Unavailable

MAX_ANSWER = 1 << 20  # no partner answers more; a runaway one must not fill our memory
NO_HEADERS: Mapping[str, str] = {}

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]  # as getaddrinfo gives it
ApiKey = str | Callable[[], str]  # asked for before each request where it may be rotated


class TimedOut(Unavailable):
    """No answer in time, or none that can be used: the other side may have done it, or not."""

    code = "timed_out"


class Unreachable(Unavailable):
    """No connection: the other side has not seen the request."""

    code = "unreachable"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, lower-cased headers and body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_s(self) -> int | None:
        """The seconds of a Retry-After header; None: there is none, or it names a date."""
        wait = self.headers.get("retry-after", "")
        return int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 6 else None

    def json(self) -> dict[str, object]:
        """The body as a JSON object; an InternalError names a partner that answers something else."""
        try:
            return msgspec.json.decode(self.body, type=dict[str, object])
        except UNREADABLE as error:
            raise Unavailable(f"the answer (HTTP {self.status}) is no JSON object") from error


class HttpClient(Protocol):
    """One request, one answer; any status is an answer."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes = b"",
        timeout_s: float = 10.0,
    ) -> HttpAnswer:
        """Send and wait. Raises TimedOut or Unreachable."""
        ...


@dataclass(slots=True)
class _Progress:
    """How far one request came."""

    connected: bool = False


class AiohttpClient:
    """The real one: a pooled aiohttp session, opened at the first request.

    `tls` says whom to trust besides the system's authorities. With `may_connect` it connects to no IP address
    that this refuses: the one that counts is the one in the socket's hand.
    """

    def __init__(
        self,
        *,
        connections: int = 100,
        tls: ssl.SSLContext | None = None,
        may_connect: Callable[[str], bool] | None = None,
    ):
        self._may_connect = may_connect
        self._connections = connections
        self._tls: ssl.SSLContext | bool = True if tls is None else tls
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes = b"",
        timeout_s: float = 10.0,
    ) -> HttpAnswer:
        """See HttpClient."""
        session = self._opened()
        progress = _Progress()
        try:
            async with (
                asyncio.timeout(timeout_s),
                session.request(
                    method,
                    url,
                    headers=headers,
                    data=body or None,
                    allow_redirects=False,
                    trace_request_ctx=progress,
                ) as answer,
            ):
                content = await _whole(answer)
                lowered = {name.lower(): value for name, value in answer.headers.items()}
                return HttpAnswer(answer.status, lowered, content)
        except TimeoutError as error:
            if not progress.connected:
                raise Unreachable(f"no connection within {timeout_s:g} s") from error
            raise TimedOut(f"no answer within {timeout_s:g} s") from error
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, UnicodeError) as error:
            # UnicodeError: a host that is no name, such as `a..b`, for the system's resolver
            raise Unreachable("no connection") from error
        except aiohttp.ClientError as error:
            raise TimedOut(f"the connection broke ({type(error).__name__})") from error

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections,
                    ssl=self._tls,
                    socket_factory=None if self._may_connect is None else _judging(self._may_connect),
                ),
                timeout=aiohttp.ClientTimeout(total=None),
                trace_configs=[_tracing()],
            )
        return self._session


def _judging(may_connect: Callable[[str], bool]) -> Callable[[AddressInfo], socket.socket]:
    """Makes sockets for allowed addresses only; an OSError for others counts as no connection."""

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if not may_connect(str(address[0])):
            raise PermissionError(errno.EACCES, "an address that must not be connected to")
        return socket.socket(family, kind, protocol)

    return make


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    """The body up to its end, in however many pieces it comes."""
    content = bytearray()
    async for piece in answer.content.iter_any():
        content += piece
        if len(content) > MAX_ANSWER:
            raise TimedOut(f"the answer is over {MAX_ANSWER} bytes")
    return bytes(content)


def _tracing() -> aiohttp.TraceConfig:
    """Marks a request's _Progress when it has a connection, a new one or a pooled one."""

    async def connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _event: object) -> None:
        context.trace_request_ctx.connected = True

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(connected)
    tracing.on_connection_reuseconn.append(connected)
    return tracing


def key_now(api_key: ApiKey) -> str:
    """The key to call with now."""
    return api_key if isinstance(api_key, str) else api_key()


def error_of(answer: HttpAnswer, what: str) -> BackendError:
    """The error that an answer of another service stands for; `what` names the call for the log."""
    kind = BY_STATUS.get(answer.status, InternalError if answer.status < 500 else Unavailable)
    return kind(f"{what}: HTTP {answer.status}")
