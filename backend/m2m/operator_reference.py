"""What the operators' routes of operator_routes.py take and answer, for OpenAPI (kit/openapi.py).

The examples go on from those of http_reference.py, which make commands 1 and 2.
"""

from collections.abc import Mapping

from backend.kit.openapi import Handler, Media, Operation, Teller
from backend.kit.web import JSON
from backend.m2m.http_reference import COMMANDS, KEY, SERIAL, UNLOCK
from backend.m2m.schemas import (
    BulkAnswer,
    BulkRequest,
    CommandPage,
    CommandQuery,
    CommandView,
    DeadLetterPage,
    DeadLetterView,
    Error,
    HistoryPage,
    PageQuery,
    ReportRequest,
)

LETTERS, HISTORY = "Dead letters", "History"
ID = "{id:[0-9]{1,18}}"


def operations(handlers: Mapping[str, Handler]) -> list[Operation]:
    """The operations; `handlers` by method and path."""
    told = Teller(handlers, security=KEY, refusal=Error, always=(401, 403))
    return [*_commands(told), *_ends(told), *_letters(told), *_history(told)]


def _commands(told: Teller) -> list[Operation]:
    sync = {"identifier": SERIAL, "command": {"name": "sync"}}
    return [
        told(
            "GET /v1/commands",
            "Commands, newest first",
            COMMANDS,
            {200: CommandPage},
            query=CommandQuery,
            values={"identifier": SERIAL, "status": "created"},
        ),
        told(
            "POST /v1/commands/bulk",
            "Creates up to 500 commands, decided one by one",
            COMMANDS,
            {201: BulkAnswer, 207: BulkAnswer},
            details="201: all are created. 207: `error` says of each other one why not.",
            request=Media(JSON, BulkRequest, example={"commands": [UNLOCK, sync]}),
        ),
        told(
            f"GET /v1/commands/{ID}",
            "How far a command is",
            COMMANDS,
            {200: CommandView},
            404,
            values={"id": "1"},
        ),
    ]


def _ends(told: Teller) -> list[Operation]:
    return [
        told(
            f"POST /v1/commands/{ID}/retry",
            "Sends a command again: one that is open, or has expired",
            COMMANDS,
            {200: CommandView},
            *(404, 409, 429),
            values={"id": "1"},
        ),
        told(
            f"POST /v1/commands/{ID}/report",
            "Says how a command ended, in the device's place; fires the callback",
            COMMANDS,
            {200: CommandView},
            *(404, 409),
            details="`status` is executed, failed or expired.",
            request=Media(
                JSON, ReportRequest, example={"status": "executed", "executed_at": "2025-12-01T10:30:02Z"}
            ),
            values={"id": "1"},
        ),
        told(
            f"POST /v1/commands/{ID}/cancel",
            "Ends a command that is open; again changes nothing",
            COMMANDS,
            {200: CommandView},
            *(404, 409),
            values={"id": "2"},
        ),
    ]


def _letters(told: Teller) -> list[Operation]:
    return [
        told(
            "GET /v1/dead_letters",
            "Callbacks, billing events, SMS and lost devices that were given up, newest first",
            LETTERS,
            {200: DeadLetterPage},
            query=PageQuery,
            values={"limit": "50"},
        ),
        told(
            f"POST /v1/dead_letters/{ID}/retry",
            "Delivers one again, with all its attempts",
            LETTERS,
            {200: DeadLetterView},
            404,
            values={"id": "1"},
        ),
    ]


def _history(told: Teller) -> list[Operation]:
    return [
        told(
            f"GET /v1/devices/{{serial}}/{path}",
            summary,
            HISTORY,
            {200: HistoryPage},
            404,
            query=PageQuery,
            values={"serial": SERIAL, "limit": "50"},
        )
        for path, summary in (
            ("statuses", "What a device has measured, newest first"),
            ("logs", "Its lines, alarms, starts, tokens and gaps, newest first"),
        )
    ]
