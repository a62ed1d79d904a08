"""HTTP of reconciliation, for operators: header API-KEY; a key sees the providers of its markets.

POST /reconciliation        a statement's lines, or the provider's own, against our books
POST /reconciliation/runs   a day (UTC) of a provider
GET  /reconciliation/runs, /reconciliation/runs/{id}, /reconciliation/providers
GET  /reconciliation/differences?state=open|resolved|closed|all
POST /reconciliation/differences/{id}/close
"""

from collections.abc import Callable
from datetime import date

from aiohttp import web

from backend.kit.keys import Client, market_of
from backend.kit.openapi import Answer, Media, Operation, Security
from backend.kit.web import JSON, json_response, read_json, read_query
from backend.momo.ports import StatementLine
from backend.momo.reconciliation import Span
from backend.momo.schemas import (
    CloseRequest,
    DifferencePage,
    DifferenceQuery,
    DifferenceView,
    ErrorAnswer,
    FieldErrors,
    Line,
    PageQuery,
    Providers,
    ReconciliationReport,
    ReconciliationRequest,
    RunPage,
    RunRequest,
    RunView,
    epoch_ms,
)
from backend.momo.service import MomoService

EPOCH = date(1970, 1, 1)
ID = "{id:[0-9]{1,18}}"

TAG = "Reconciliation"
RECONCILE = {
    "provider_key": "ug_mtn_mobilemoney",
    "since": "2025-12-01T00:00:00Z",
    "until": "2025-12-02T00:00:00Z",
    "lines": [{"provider_tx": "MP251201.1030.A00003", "amount_subunit": 450_000, "currency": "UGX"}],
}

ClientOf = Callable[[web.Request], Client]


def operations(service: MomoService, client_of: ClientOf, key: Security) -> list[Operation]:
    """The routes; `client_of` says whose a request's key is, or raises Unauthorized."""
    routes = _Routes(service, client_of)
    return [*_runs(routes, key), *_differences(routes, key)]


def _runs(routes: "_Routes", key: Security) -> list[Operation]:
    return [
        Operation(
            "POST",
            "/reconciliation",
            routes.reconcile,
            "Compares a provider's statement with our books",
            tag=TAG,
            request=Media(JSON, ReconciliationRequest, example=RECONCILE),
            answers={200: ReconciliationReport, **_errors(401, 403, 413, 422)},
            security=key,
        ),
        Operation(
            "POST",
            "/reconciliation/runs",
            routes.make,
            "Reconciles a day of a provider; one without a statement is asked about each payment",
            tag=TAG,
            request=Media(
                JSON, RunRequest, example={"provider_key": "ug_mtn_mobilemoney", "day": "2025-12-01"}
            ),
            answers={200: ReconciliationReport, **_errors(401, 403, 413, 422)},
            security=key,
        ),
        Operation(
            "GET",
            "/reconciliation/providers",
            routes.known,
            "The providers that can be reconciled",
            tag=TAG,
            answers={200: Providers, **dict.fromkeys((401, 503), ErrorAnswer)},
            security=key,
        ),
        Operation(
            "GET",
            "/reconciliation/runs",
            routes.runs,
            "Runs, newest first",
            tag=TAG,
            values={"limit": "50"},
            query=PageQuery,
            answers={200: RunPage, **_errors(401)},
            security=key,
        ),
        Operation(
            "GET",
            f"/reconciliation/runs/{ID}",
            routes.run,
            "A run with its report",
            tag=TAG,
            values={"id": "1"},
            answers={200: RunView, **_errors(401, 404)},
            security=key,
        ),
    ]


def _differences(routes: "_Routes", key: Security) -> list[Operation]:
    return [
        Operation(
            "GET",
            "/reconciliation/differences",
            routes.differences,
            "Differences, newest first; each is there once, however many runs found it",
            tag=TAG,
            values={"state": "open"},
            query=DifferenceQuery,
            answers={200: DifferencePage, **_errors(401)},
            security=key,
        ),
        Operation(
            "POST",
            f"/reconciliation/differences/{ID}/close",
            routes.close,
            "Closes an open difference that an operator has dealt with",
            tag=TAG,
            values={"id": "1"},
            request=Media(JSON, CloseRequest, example={"reason": "The provider has corrected its statement"}),
            answers={200: DifferenceView, **_errors(401, 404, 413)},
            security=key,
        ),
    ]


class _Routes:
    def __init__(self, service: MomoService, client_of: ClientOf):
        self._service = service
        self._client_of = client_of

    async def reconcile(self, request: web.Request) -> web.Response:
        client = self._client_of(request)
        body = await read_json(request, ReconciliationRequest)
        client.check(market_of(body.provider_key))
        report = await self._service.reconciliation.run(
            Span(body.provider_key, epoch_ms(body.since), epoch_ms(body.until)),
            lines=None if body.lines is None else [_line(line) for line in body.lines],
            settle=body.settle,
        )
        return json_response(report)

    async def make(self, request: web.Request) -> web.Response:
        client = self._client_of(request)
        body = await read_json(request, RunRequest)
        client.check(market_of(body.provider_key))
        span = self._service.reconciliation.day_so_far(body.provider_key, (body.day - EPOCH).days)
        report = await self._service.reconciliation.run(span, settle=body.settle, each=True)
        return json_response(report)

    async def known(self, request: web.Request) -> web.Response:
        return json_response(Providers(self._providers(request)))

    async def runs(self, request: web.Request) -> web.Response:
        providers = self._providers(request)
        query = read_query(request, PageQuery)
        return json_response(
            await self._service.reports.runs(providers, before=query.before, limit=query.limit)
        )

    async def run(self, request: web.Request) -> web.Response:
        providers = self._providers(request)
        return json_response(await self._service.reports.run(providers, int(request.match_info["id"])))

    async def differences(self, request: web.Request) -> web.Response:
        providers = self._providers(request)
        query = read_query(request, DifferenceQuery)
        found = await self._service.reports.differences(
            providers,
            state=None if query.state == "all" else query.state,
            before=query.before,
            limit=query.limit,
        )
        return json_response(found)

    async def close(self, request: web.Request) -> web.Response:
        client = self._client_of(request)
        body = await read_json(request, CloseRequest)
        closed = await self._service.reports.close(
            self._providers(request), int(request.match_info["id"]), by=client.name, reason=body.reason
        )
        return json_response(closed)

    def _providers(self, request: web.Request) -> list[str]:
        """The provider keys that the caller's key may see."""
        client = self._client_of(request)
        return [key for key in self._service.reconciliation.providers if client.sees(market_of(key))]


def _errors(*statuses: int) -> dict[int, Answer]:
    return {400: FieldErrors, **dict.fromkeys((*statuses, 503), ErrorAnswer)}


def _line(line: Line) -> StatementLine:
    return StatementLine(
        provider_tx=line.provider_tx,
        amount_subunit=line.amount_subunit,
        currency=line.currency,
        provider_ref=line.provider_ref,
        reference=line.reference,
        business_account=line.business_account,
        sender=line.sender or "",
    )
