"""HTTP for operators, with an X-API-Key: commands after their creation, many at once, dead letters, history.

    GET  /v1/commands?identifier=&status=&before=&limit=     POST /v1/commands/bulk
    GET  /v1/commands/{id}    POST /v1/commands/{id}/cancel, /retry, /report
    GET  /v1/dead_letters     POST /v1/dead_letters/{id}/retry
    GET  /v1/devices/{serial}/statuses, /logs

A page goes newest first; its `next` is the `before` of the following one. A key sees its own markets only.
lifecycle.py and history.py decide.
"""

import re
from collections.abc import Callable

from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, InternalError
from backend.kit.keys import Client
from backend.kit.web import json_response, read_json
from backend.m2m.creation import Created
from backend.m2m.lifecycle import MAX_PAGE, viewer_of
from backend.m2m.lifecycle_store import Viewer
from backend.m2m.schemas import BulkAnswer, BulkEntry, BulkRequest, ReportRequest
from backend.m2m.service import M2mService

MAX_BULK = 500  # commands of one request: about a write batch
PAGE = 50

_NUMBER = re.compile(r"[0-9]{1,18}\Z")

ClientOf = Callable[[web.Request], Client]


def routes(service: M2mService, client_of: ClientOf) -> list[web.RouteDef]:
    """The routes; `client_of` says whose a request's key is, or raises Unauthorized."""
    commands, others = _Commands(service, client_of), _Others(service, client_of)
    return [
        web.get("/v1/commands", commands.page),
        web.post("/v1/commands/bulk", commands.bulk),
        web.get("/v1/commands/{id}", commands.get),
        web.post("/v1/commands/{id}/cancel", commands.cancel),
        web.post("/v1/commands/{id}/retry", commands.retry),
        web.post("/v1/commands/{id}/report", commands.report),
        web.get("/v1/dead_letters", others.dead_letters),
        web.post("/v1/dead_letters/{id}/retry", others.retry_letter),
        web.get("/v1/devices/{serial}/statuses", others.statuses),
        web.get("/v1/devices/{serial}/logs", others.logs),
    ]


class _Commands:
    def __init__(self, service: M2mService, client_of: ClientOf):
        self._service = service
        self._lifecycle = service.lifecycle
        self._client_of = client_of

    async def page(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        before, limit = _paging(request)
        found = await self._lifecycle.page(
            viewer,
            serial=_text(request, "identifier"),
            state=_text(request, "status"),
            before=before,
            limit=limit,
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
        answers = await self._service.create_bulk(wanted, client=client.name, markets=client.markets)
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
        before, limit = _paging(request)
        return json_response(await self._lifecycle.dead_letters(viewer, before=before, limit=limit))

    async def retry_letter(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        return json_response(await self._lifecycle.retry_letter(_id(request), viewer))

    async def statuses(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        before, limit = _paging(request)
        serial = request.match_info["serial"]
        return json_response(await self._history.statuses(serial, viewer, before=before, limit=limit))

    async def logs(self, request: web.Request) -> web.Response:
        viewer = _viewer(self._client_of(request))
        before, limit = _paging(request)
        serial = request.match_info["serial"]
        return json_response(await self._history.logs(serial, viewer, before=before, limit=limit))


def _viewer(client: Client) -> Viewer:
    return viewer_of(client.name, client.markets)


def _entry(answer: Created | BackendError) -> BulkEntry:
    if isinstance(answer, Created):
        return BulkEntry(answer.serial, answer.text, "waiting", answer.id)
    return BulkEntry(error="Internal error" if isinstance(answer, InternalError) else answer.detail)


def _id(request: web.Request) -> int:
    """The id in the path; one that no database gives is 0, which nothing has."""
    value = request.match_info["id"]
    return int(value) if _NUMBER.match(value) else 0


def _paging(request: web.Request) -> tuple[int | None, int]:
    """(before, limit) of the query."""
    before, limit = _text(request, "before"), _text(request, "limit")
    for name, value in (("before", before), ("limit", limit)):
        if value is not None and not _NUMBER.match(value):
            raise BadRequest(f"Invalid parameters: {name}")
    size = PAGE if limit is None else int(limit)
    if not 1 <= size <= MAX_PAGE:
        raise BadRequest("Invalid parameters: limit")
    return None if before is None else int(before), size


def _text(request: web.Request, name: str) -> str | None:
    value = request.query.get(name)
    if value is not None and "\x00" in value:
        raise BadRequest(f"Invalid parameters: {name}")
    return value or None
