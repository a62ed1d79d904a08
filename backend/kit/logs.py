"""Structured logs (structlog), one JSON object or one readable line an event, without secrets.

What libraries log with the standard module becomes such lines as well, from warnings on.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import TextIO

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

# Names of values that must never be written, wherever they turn up in an event.
SECRET_NAMES = frozenset(
    (
        *("access_token", "api_key", "authorization", "client_secret", "digits", "link_key"),
        *("password", "passkey", "secret", "subscription_key", "token", "unlock_code"),
    )
)
MASK = "***"
# A row may have lines of its own: up to what a traceback says after an error's text, or to its end.
DETAIL = re.compile(
    r"^DETAIL:.*?(?=\n(?:HINT:|\[SQL|\nThe above exception|\nDuring handling)|\Z)", re.MULTILINE | re.DOTALL
)


def configure(stream: TextIO = sys.stderr, *, as_json: bool = False, level: int = logging.INFO) -> None:
    """Set structlog up once, in a composition root."""
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        # Not the default formatter: it prints the values of local variables, which may be tokens.
        else structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            mask_secrets,
            structlog.processors.format_exc_info,
            cut_rows,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Printer(stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Libraries()]
    root.setLevel(max(level, logging.WARNING))


class _Printer(structlog.PrintLogger):
    """Prints lines. One that can't be written (a full disk, a pipe that nobody reads) breaks nothing else."""

    def msg(self, message: str) -> None:
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warning = error = critical = msg


class _Libraries(logging.Handler):
    """Says what a library logs as we say it."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(library=record.name)
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            # Its text quotes what a stranger sent, or a client by mistake: perhaps a key, or a hook's path.
            log.info("http.unreadable", error=type(error).__name__, status=getattr(error, "code", 400))
        else:
            log.log(record.levelno, "library", said=record.getMessage(), exc_info=error)


def cut_rows(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Take PostgreSQL's DETAIL lines, which quote whole rows, out of a traceback."""
    trace = event.get("exception")
    if isinstance(trace, str):
        event["exception"] = DETAIL.sub(f"DETAIL: {MASK}", trace)
    return event


def mask_secrets(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Replace the values of SECRET_NAMES, at any depth."""
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: object) -> object:
    if name.lower() in SECRET_NAMES:
        return MASK
    if isinstance(value, dict):
        return {str(inner): _masked(str(inner), item) for inner, item in value.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - any JSON
    return value
