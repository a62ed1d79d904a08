"""HTTP/1.1 as bytes: sends what no client library would send, and reads what comes back."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

WAIT_S = 20  # for one answer, on a busy machine
CHUNK = 16 * 1024


@dataclass(frozen=True)
class Request:
    """What is sent. `chunked`: without Content-Length; `raw_body`: the body is framed already."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = None
    chunked: bool = False
    raw_body: bool = False

    def encoded(self) -> bytes:
        """On the wire."""
        lines = [b"%s %s HTTP/1.1" % (self.method, self.target), b"Host: 127.0.0.1"]
        lines += [b"%s: %s" % header for header in self.headers]
        body = self.body or b""
        if self.chunked:
            lines.append(b"Transfer-Encoding: chunked")
            body = body if self.raw_body else chunks(body)
        elif self.body is not None:
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def chunks(body: bytes) -> bytes:
    """A body in chunks."""
    parts = [body[start : start + CHUNK] for start in range(0, len(body), CHUNK)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class Connection:
    """One connection that is opened again when the server has closed it between two answers."""

    def __init__(self, host: str, port: int):
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Request) -> Answer:
        """The answer. ConnectionError, IncompleteReadError: there was none."""
        was_used = self._streams is not None
        try:
            answer = await self._asked(request)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            await self.close()
            if not was_used or getattr(error, "partial", b""):
                raise
            answer = await self._asked(request)  # it was closed after the last answer: HTTP allows that
        if answer.headers.get("connection") == "close":
            await self.close()
        return answer

    async def _asked(self, request: Request) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=1 << 20)
        reader, writer = self._streams
        async with asyncio.timeout(WAIT_S):
            writer.write(request.encoded())
            return await _read(reader, is_head=request.method == b"HEAD")

    async def close(self) -> None:
        """Close it."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _read(reader: asyncio.StreamReader, *, is_head: bool) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ")[1])
    headers = dict(_pairs(head[1:]))
    if status == 100:  # Continue: the answer follows
        return await _read(reader, is_head=is_head)
    if is_head or status in (204, 304):
        return Answer(status, headers)
    if headers.get("transfer-encoding") == "chunked":
        return Answer(status, headers, await _chunked(reader))
    return Answer(status, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            yield name.lower(), value.strip()


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body
