"""HTTP of firmware files (checklist 54, 55): devices GET and HEAD without a login, operators PUT.

A download may ask for one range (`bytes=4096-`), if it likes on the condition (If-Range) that the ETag is
still the same. The ETag is the SHA-256; `/checksum` answers the MD5 as bare hex text.
"""

import re
from collections.abc import Callable

from aiohttp import web

from backend.kit.errors import BackendError, Forbidden, NotFound
from backend.kit.keys import Client
from backend.kit.openapi import Handler
from backend.kit.ratelimit import RateLimit
from backend.kit.web import body_of, json_response, within_limit
from backend.m2m.firmware import PART, FirmwareFiles
from backend.m2m.rows import FirmwareFile
from backend.m2m.schemas import FileAnswer

PATH = "/v1/firmware/{file}"
BINARY = "application/octet-stream"

_RANGE = re.compile(r"bytes=([0-9]{0,9})-([0-9]{0,9})\Z")


def handlers(
    files: FirmwareFiles, client_of: Callable[[web.Request], Client], strangers: RateLimit
) -> dict[str, Handler]:
    """The handlers, by method and path; `client_of` says whose a request's key is, or raises Unauthorized.

    `strangers` limits what needs no key.
    """

    async def download(request: web.Request) -> web.StreamResponse:
        return await _download(files, request)

    async def checksum(request: web.Request) -> web.Response:
        return web.Response(text=(await _found(files, request)).md5)

    async def put(request: web.Request) -> web.Response:
        client = client_of(request)
        if client.markets:  # a file is for the devices of every market
            raise Forbidden("Firmware needs a key of all markets")
        file, added = await files.put(request.match_info["file"], await body_of(request), client=client.name)
        answer = FileAnswer(file.file, file.size, file.sha256, file.md5)
        return json_response(answer, status=201 if added else 200)

    return {
        f"GET {PATH}": within_limit(strangers, download),
        f"GET {PATH}/checksum": within_limit(strangers, checksum),
        f"PUT {PATH}": put,
    }


def asked_range(request_range: str, size: int) -> tuple[int, int] | None:
    """(first, end) of a Range header, end exclusive; first >= end: it can't be had.

    None: no header, or not one range of bytes: all of it is sent (RFC 9110, 14.2).
    """
    match = _RANGE.match(request_range.strip())
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        return max(size - int(last), 0) if int(last) else size, size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size) if last else size


async def _found(files: FirmwareFiles, request: web.Request) -> FirmwareFile:
    file = await files.find(request.match_info["file"])
    if file is None:
        raise NotFound("no such file")
    return file


async def _download(files: FirmwareFiles, request: web.Request) -> web.StreamResponse:
    file = await _found(files, request)
    etag = f'"{file.sha256}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "public, max-age=31536000, immutable"}
    if request.headers.get("If-None-Match", "") in (etag, "*"):
        return web.Response(status=304, headers=headers)
    asked = None
    if request.method == "GET" and request.headers.get("If-Range", etag) == etag:
        asked = asked_range(request.headers.get("Range", ""), file.size)
    first, end = asked or (0, file.size)
    if first >= end:
        return web.Response(status=416, headers=headers | {"Content-Range": f"bytes */{file.size}"})
    if asked is not None:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{file.size}"
    response = web.StreamResponse(status=200 if asked is None else 206, headers=headers)
    response.content_type = BINARY
    response.content_length = end - first
    await response.prepare(request)
    if request.method != "HEAD":
        await _send(files, file, (first, end), request, response)
    return response


async def _send(
    files: FirmwareFiles,
    file: FirmwareFile,
    part: tuple[int, int],
    request: web.Request,
    response: web.StreamResponse,
) -> None:
    """Write the bytes of `part`. What fails on the way cuts the connection: the device asks for the rest."""
    first, end = part
    try:
        for start in range(first, end, PART):
            await response.write(await files.read(file, start, min(PART, end - start)))
    except (BackendError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()
