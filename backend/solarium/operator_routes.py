"""HTTP for operators, with an API-KEY: plans, accounts, devices, suspense, reversals, statements.

    POST, GET  /v1/plans
    POST, GET  /v1/accounts          GET  /v1/accounts/{id}, /v1/accounts/{id}/statement?from=&to=
    POST       /v1/accounts/{id}/pair, /swap, /return
    POST       /v1/imports/accounts, /v1/imports/devices  (CSV; ?dry_run=true)
    POST, GET  /v1/devices           GET  /v1/device_events?identifier=
    GET        /v1/actions           who did what, when and why
    GET        /v1/suspense          POST /v1/suspense/{id}/resolve, /v1/payments/{id}/reverse

A key sees its own markets only: what is of another market is not found. operations.py, registration.py and
corrections.py decide; operator_reference.py tells what the routes take and answer.
"""

import re
from collections.abc import Callable, Mapping

from aiohttp import web

from backend.kit.errors import BadRequest
from backend.kit.keys import Client
from backend.kit.openapi import Operation
from backend.kit.runtime import parse_iso
from backend.kit.web import body_of, json_response, read_json, read_query
from backend.solarium import operator_reference
from backend.solarium.operator_reference import IMPORT_ACCOUNTS, IMPORT_DEVICES
from backend.solarium.operator_schemas import (
    AccountQuery,
    AccountRequest,
    DeviceEventQuery,
    DeviceQuery,
    DeviceRequest,
    ImportQuery,
    ImportReport,
    PageQuery,
    PairRequest,
    PlanRequest,
    ResolutionRequest,
    ReturnRequest,
    ReversalRequest,
    StatementQuery,
)
from backend.solarium.service import Solarium

MAX_FILE = 32 * 1024 * 1024  # 100,000 rows of 320 bytes
BODIES: Mapping[str, int] = {IMPORT_ACCOUNTS: MAX_FILE, IMPORT_DEVICES: MAX_FILE}

FAR_MS = 2**53  # beyond every statement

_NUMBER = re.compile(r"[0-9]{1,18}\Z")

ClientOf = Callable[[web.Request], Client]


def operations(service: Solarium, client_of: ClientOf) -> list[Operation]:
    """The routes; `client_of` says whose a request's key is, or raises Unauthorized."""
    stock, money = _Stock(service, client_of), _Money(service, client_of)
    return operator_reference.operations(
        {
            "POST /v1/plans": stock.create_plan,
            "GET /v1/plans": stock.plans,
            "POST /v1/accounts": stock.create_account,
            "GET /v1/accounts": stock.accounts,
            "GET /v1/accounts/{id}": stock.account,
            "POST /v1/accounts/{id}/pair": stock.pair,
            "POST /v1/accounts/{id}/swap": stock.swap,
            "POST /v1/accounts/{id}/return": stock.give_back,
            "POST /v1/devices": stock.create_device,
            "GET /v1/devices": stock.devices,
            "GET /v1/device_events": stock.events,
            f"POST {IMPORT_ACCOUNTS}": stock.import_accounts,
            f"POST {IMPORT_DEVICES}": stock.import_devices,
            f"GET {IMPORT_DEVICES}": stock.device_counts,
            "GET /v1/actions": stock.journal,
            "GET /v1/accounts/{id}/statement": money.statement,
            "GET /v1/suspense": money.suspense,
            "POST /v1/suspense/{id}/resolve": money.resolve,
            "POST /v1/payments/{id}/reverse": money.reverse,
        }
    )


class _Stock:
    def __init__(self, service: Solarium, client_of: ClientOf):
        self._operations = service.operations
        self._registration = service.registration
        self._imports = service.imports
        self._client_of = client_of

    async def create_plan(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        made = await self._operations.create_plan(await read_json(request, PlanRequest), by)
        return json_response(made, status=201)

    async def plans(self, request: web.Request) -> web.Response:
        return json_response(await self._operations.plans(self._client_of(request)))

    async def create_account(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        made = await self._operations.create_account(await read_json(request, AccountRequest), by)
        return json_response(made, status=201)

    async def accounts(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        asked = read_query(request, AccountQuery)
        equal = {name: getattr(asked, name) for name in ("reference", "msisdn", "device")}
        found = await self._operations.accounts(by, equal=equal, before=asked.before, limit=asked.limit)
        return json_response(found)

    async def account(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        return json_response(await self._operations.account(_id(request), by))

    async def pair(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        wanted = await read_json(request, PairRequest)
        paired = await self._operations.pair(_id(request), wanted.serial, by, reason=wanted.reason)
        return json_response(paired)

    async def swap(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        wanted = await read_json(request, PairRequest)
        swapped = await self._operations.swap(_id(request), wanted.serial, by, reason=wanted.reason)
        return json_response(swapped)

    async def give_back(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        wanted = await read_json(request, ReturnRequest) if await body_of(request) else ReturnRequest()
        return json_response(await self._operations.give_back(_id(request), by, reason=wanted.reason))

    async def journal(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        asked = read_query(request, PageQuery)
        found = await self._operations.journal(by, before=asked.before, limit=asked.limit)
        return json_response(found)

    async def create_device(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        made = await self._registration.create(await read_json(request, DeviceRequest), by)
        return json_response(made, status=201)

    async def import_accounts(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        dry_run = read_query(request, ImportQuery).dry_run
        return _report(await self._imports.accounts(await body_of(request), by, dry_run=dry_run))

    async def import_devices(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        dry_run = read_query(request, ImportQuery).dry_run
        return _report(await self._imports.devices(await body_of(request), by, dry_run=dry_run))

    async def device_counts(self, request: web.Request) -> web.Response:
        return json_response(await self._operations.device_counts(self._client_of(request)))

    async def devices(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        asked = read_query(request, DeviceQuery)
        equal = {"state": asked.state, "serial": asked.serial}
        found = await self._operations.devices(by, equal=equal, after=asked.after or "", limit=asked.limit)
        return json_response(found)

    async def events(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        asked = read_query(request, DeviceEventQuery)
        return json_response(await self._operations.events(asked.identifier, by))


class _Money:
    def __init__(self, service: Solarium, client_of: ClientOf):
        self._corrections = service.corrections
        self._client_of = client_of

    async def suspense(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        asked = read_query(request, PageQuery)
        found = await self._corrections.suspense(by, before=asked.before, limit=asked.limit)
        return json_response(found)

    async def resolve(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        wanted = await read_json(request, ResolutionRequest)
        return json_response(await self._corrections.resolve(_id(request), wanted, by))

    async def reverse(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        wanted = await read_json(request, ReversalRequest)
        return json_response(await self._corrections.reverse(_id(request), wanted.reason, by))

    async def statement(self, request: web.Request) -> web.Response:
        by = self._client_of(request)
        asked = read_query(request, StatementQuery)
        found = await self._corrections.statement(
            _id(request),
            by,
            from_ms=_time("from", asked.since, 0),
            to_ms=_time("to", asked.until, FAR_MS),
        )
        return json_response(found)


def _report(report: ImportReport) -> web.Response:
    return json_response(report, status=422 if report.errors else 200)


def _id(request: web.Request) -> int:
    """The id in the path; one that no database gives is 0, which nothing has."""
    value = request.match_info["id"]
    return int(value) if _NUMBER.match(value) else 0


def _time(name: str, value: str | None, default_ms: int) -> int:
    try:
        return default_ms if value is None else parse_iso(value)
    except ValueError as error:
        raise BadRequest("the query does not fit", fields=[(name, "is no ISO 8601 time")]) from error
