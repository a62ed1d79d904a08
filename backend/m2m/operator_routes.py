"""HTTP for operators, with an X-API-Key: commands after their creation, many at once, dead letters, history.

    GET  /v1/commands?identifier=&status=&before=&limit=     POST /v1/commands/bulk
    GET  /v1/commands/{id}    POST /v1/commands/{id}/cancel, /retry, /report
    GET  /v1/dead_letters     POST /v1/dead_letters/{id}/retry
    GET  /v1/devices/{serial}/statuses, /logs

A page goes newest first; its `next` is the `before` of the following one. A key sees its own markets only.
lifecycle.py and history.py decide; operator_reference.py tells what the routes take and answer.
"""

from collections.abc import Callable
from typing import TypeVar

from aiohttp import web
from msgspec import Struct

from backend.kit.errors import BackendError, BadRequest, InternalError
from backend.kit.keys import Client
from backend.kit.openapi import Operation
from backend.kit.web import json_response, read_json, read_query
from backend.m2m import operator_reference
from backend.m2m.creation import Created
from backend.m2m.lifecycle import viewer_of
from backend.m2m.lifecycle_store import Viewer
from backend.m2m.operator_reference import ID
from backend.m2m.schemas import BulkAnswer, BulkEntry, BulkRequest, CommandQuery, PageQuery, ReportRequest
from backend.m2m.service import M2mService

MAX_BULK = 500  # commands of one request: about a write batch

Q = TypeVar("Q", bound=Struct)
ClientOf = Callable[[web.Request], Client]


def operations(service: M2mService, client_of: ClientOf) -> list[Operation]:
    """The routes; `client_of` says whose a request's key is, or raises Unauthorized."""
    commands, others = _Commands(service, client_of), _Others(service, client_of)
    return operator_reference.operations(
        {
            "GET /v1/commands": commands.page,
            "POST /v1/commands/bulk": commands.bulk,
            f"GET /v1/commands/{ID}": commands.get,
            f"POST /v1/commands/{ID}/cancel": commands.cancel,
            f"POST /v1/commands/{ID}/retry": commands.retry,
            f"POST /v1/commands/{ID}/report": commands.report,
            "GET /v1/dead_letters": others.dead_letters,
            f"POST /v1/dead_letters/{ID}/retry": others.retry_letter,
            "GET /v1/devices/{serial}/statuses": others.statuses,
            "GET /v1/devices/{serial}/logs": others.logs,
        }
    )


class _Commands:
    def __init__(self, service: M2mService, client_of: ClientOf):
        self._service = service
        self._lifecycle = service.lifecycle
        self._client_of = client_of

    async def page(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        asked = _query(request, CommandQuery)
        found = await self._lifecycle.page(
            viewer, serial=asked.identifier, state=asked.status, before=asked.before, limit=asked.limit
        )
        return json_response(found)

    async def get(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        return json_response(await self._lifecycle.get(_id(request), viewer))

    async def cancel(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        return json_response(await self._lifecycle.cancel(_id(request), viewer))

    async def retry(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        return json_response(await self._lifecycle.retry(_id(request), viewer))

    async def report(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        report = await read_json(request, ReportRequest)
        return json_response(await self._lifecycle.report(_id(request), report, viewer))

    async def bulk(self, request: web.Request) -> web.Response:
        client = self._client_of(request)
        wanted = (await read_json(request, BulkRequest)).commands
        if not 0 < len(wanted) <= MAX_BULK:
            raise BadRequest(f"A bulk has 1 to {MAX_BULK} commands")
        answers = await self._service.intake.create_bulk(wanted, client=client.name, markets=client.markets)
        created = sum(isinstance(answer, Created) for answer in answers)
        body = BulkAnswer(created, len(answers) - created, [_entry(answer) for answer in answers])
        return json_response(body, status=201 if created == len(answers) else 207)


class _Others:
    def __init__(self, service: M2mService, client_of: ClientOf):
        self._lifecycle = service.lifecycle
        self._history = service.history
        self._client_of = client_of

    async def dead_letters(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        asked = _query(request, PageQuery)
        found = await self._lifecycle.dead_letters(viewer, before=asked.before, limit=asked.limit)
        return json_response(found)

    async def retry_letter(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        return json_response(await self._lifecycle.retry_letter(_id(request), viewer))

    async def statuses(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        asked = _query(request, PageQuery)
        serial = request.match_info["serial"]
        found = await self._history.statuses(serial, viewer, before=asked.before, limit=asked.limit)
        return json_response(found)

    async def logs(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        asked = _query(request, PageQuery)
        serial = request.match_info["serial"]
        found = await self._history.logs(serial, viewer, before=asked.before, limit=asked.limit)
        return json_response(found)


def _viewer(client: Client) -> Viewer:
    return viewer_of(client.name, client.markets)


def _entry(answer: Created | BackendError) -> BulkEntry:
    if isinstance(answer, Created):
        return BulkEntry(answer.serial, answer.text, "waiting", answer.id)
    return BulkEntry(error="Internal error" if isinstance(answer, InternalError) else answer.detail)


def _id(request: web.Request) -> int:
    return int(request.match_info["id"])


def _query(request: web.Request, schema: type[Q]) -> Q:
    try:
        return read_query(request, schema)
    except BadRequest as error:
        names = ", ".join(name for name, _ in error.fields)
        raise BadRequest(f"Invalid parameters: {names}") from None
