"""Logs: no secret by its name, no local variable and no stored row in a traceback."""

import asyncio
import errno
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from aiohttp import web

from backend.kit import listener
from backend.kit.logs import configure

DIGITS = "004274434900"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.configure(**before)
    root.handlers = handlers
    root.setLevel(level)


def defect(unlock: str) -> None:
    parts = {"unlock": unlock}
    raise RuntimeError(f"{len(parts)} parts")


class Detailed(Exception):
    """As asyncpg's: its text goes on with lines that quote the row."""

    def __str__(self) -> str:
        return f"null value in column\nDETAIL:  Failing row contains (Dear\n\n{DIGITS})."


@pytest.mark.parametrize("as_json", [False, True], ids=["console", "json"])
def test_a_traceback_shows_no_values(as_json: bool) -> None:
    stream = io.StringIO()
    configure(stream, as_json=as_json)
    log = structlog.get_logger()
    try:
        defect(DIGITS)
    except RuntimeError:
        log.error("http.defect", exc_info=True, digits=DIGITS, nested={"token": DIGITS})
    try:
        try:
            raise Detailed
        except Detailed as error:
            raise RuntimeError("what came of it") from error
    except RuntimeError:
        log.error("http.defect", exc_info=True)
    written = stream.getvalue()
    assert "what came of it" in written
    assert DIGITS not in written
    assert "1 parts" in written  # the traceback itself is there
    assert "null value in column" in written


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nAPI-KEY: 004274434900\x00\r\n\r\n",
        b"GET /hooks/004274434900 HTTP/1.1\x00\r\n\r\n",
        b"GET /hooks/004274434900 extra HTTP/1.1\r\n\r\n",
    ],
    ids=["header", "version", "path"],
)
async def test_what_is_no_http_is_one_line_without_its_bytes(request_line: bytes) -> None:
    stream = io.StringIO()
    configure(stream, as_json=True)
    runner = listener.runner_of(web.Application())
    await runner.setup()
    await listener.listen(runner, listener.bound("127.0.0.1", 0), None)
    reader, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(request_line)
    assert (await reader.read()).startswith(b"HTTP/1.0 400 ")
    writer.close()
    await runner.cleanup()
    (line,) = stream.getvalue().splitlines()
    assert DIGITS not in line
    written = json.loads(line)
    assert (written["event"], written["status"], written["library"]) == (
        "http.unreadable",
        400,
        "aiohttp.server",
    )


async def test_a_body_that_is_not_packed_as_it_says_is_one_line() -> None:
    stream = io.StringIO()
    configure(stream, as_json=True)
    runner = listener.runner_of(web.Application())  # nothing there reads it: aiohttp does, after its answer
    await runner.setup()
    await listener.listen(runner, listener.bound("127.0.0.1", 0), None)
    reader, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: deflate\r\nContent-Length: 6\r\n\r\n\xff\xfezzzz"
    )
    assert (await reader.read()).startswith(b"HTTP/1.1 404 ")
    writer.close()
    await runner.cleanup()
    (line,) = stream.getvalue().splitlines()
    written = json.loads(line)
    assert (written["event"], written["level"]) == ("http.unreadable", "info")
    assert "exception" not in written


def test_a_librarys_warning_is_a_line_of_ours_and_its_chatter_is_none() -> None:
    stream = io.StringIO()
    configure(stream, as_json=True)
    log = logging.getLogger("some.library")
    log.info("chatter")
    try:
        raise Detailed
    except Detailed:
        log.exception("it failed %d times", 3)
    (line,) = stream.getvalue().splitlines()
    written = json.loads(line)
    assert (written["event"], written["level"], written["said"]) == ("library", "error", "it failed 3 times")
    assert "null value in column" in written["exception"]
    assert DIGITS not in line


@pytest.mark.parametrize("as_json", [False, True], ids=["console", "json"])
def test_a_line_that_cannot_be_written_breaks_nothing(as_json: bool) -> None:
    """A full disk, or a pipe whose reader is gone."""

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, text)

    configure(Full(), as_json=as_json)
    log = structlog.get_logger()
    for write in (log.info, log.warning, log.error, log.critical, logging.getLogger("some.library").warning):
        write("it happened")
