"""HTTP of momo: parse, call the service, render.

    POST /resolve · POST /validate · POST /payment · GET /payment/{id}?wait_s=    header API-KEY
    POST|PUT /hooks/{provider}/{secret}    a provider's callback; the path is the credential

Errors: 400 `{"errors":[{"field","message"}]}` (resolutions 6), billing's refusals `{"status"}` (404, 412),
every other one `{"error","message"}`.
"""

import math

from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, Forbidden, Unauthorized
from backend.kit.keys import ApiKeys, Client
from backend.kit.web import application, empty_response, json_response, read_json
from backend.momo.errors import HTTP_STATUS, REFUSALS
from backend.momo.ports import Validation
from backend.momo.schemas import (
    ErrorAnswer,
    FieldError,
    FieldErrors,
    PaymentRequest,
    ResolveRequest,
    RouteAnswer,
    ValidateRequest,
    ValidationAnswer,
)
from backend.momo.service import MomoService

NOT_FOUND = ValidationAnswer(status="reference_not_found")
TOO_LOW = ValidationAnswer(status="amount_too_low")


def make_app(service: MomoService, keys: ApiKeys) -> web.Application:
    """The application of `service`; `keys` are whom it lets in."""
    routes = _Routes(service, keys)
    return application(
        [
            web.post("/resolve", routes.resolve),
            web.post("/validate", routes.validate),
            web.post("/payment", routes.pay),
            web.get("/payment/{payment_id:[0-9a-f-]{36}}", routes.payment),
            web.post("/hooks/{provider:[a-z]+}/{secret:[0-9a-f]{32}}", routes.callback),
            web.put("/hooks/{provider:[a-z]+}/{secret:[0-9a-f]{32}}", routes.callback),
        ],
        render=render,
        service="momo",
    )


def render(error: BackendError) -> web.Response:
    """The documented answer of an error."""
    if isinstance(error, BadRequest):
        fields = error.fields or (("", error.detail),)
        answer = FieldErrors([FieldError(field, message) for field, message in fields])
        return json_response(answer, status=error.status)
    if isinstance(error, REFUSALS):
        return json_response(ValidationAnswer(status=error.code), status=error.status)
    response = json_response(ErrorAnswer(error.code, error.detail), status=error.status)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


class _Routes:
    def __init__(self, service: MomoService, keys: ApiKeys):
        self._service = service
        self._keys = keys

    async def resolve(self, request: web.Request) -> web.Response:
        client = self._client(request)
        body = await read_json(request, ResolveRequest)
        _check_market(client, body.market)
        route = await self._service.resolve(reference=body.reference, market=body.market)
        if route is None:
            return json_response(NOT_FOUND, status=404)
        answer = RouteAnswer(
            reference=route.reference,
            business_account=route.business_account,
            currency=route.currency,
            provider_key=route.provider_key,
            customer_name=route.customer_name,
        )
        return json_response(answer)

    async def validate(self, request: web.Request) -> web.Response:
        client = self._client(request)
        body = await read_json(request, ValidateRequest)
        _check_market(client, _market_of(body.provider_key))
        if body.amount_subunit == 0:
            return json_response(TOO_LOW, status=412)
        validation: Validation = await self._service.validate(
            reference=body.reference,
            currency=body.currency,
            business_account=body.business_account,
            provider_key=body.provider_key,
            amount_subunit=body.amount_subunit,
        )
        answer = ValidationAnswer(status=validation.status, customer_name=validation.customer_name)
        return json_response(answer, status=HTTP_STATUS[validation.status])

    async def pay(self, request: web.Request) -> web.Response:
        client = self._client(request)
        body = await read_json(request, PaymentRequest)
        _check_market(client, _market_of(body.provider_key))
        payment = await self._service.pay(
            reference=body.reference,
            amount_subunit=body.amount_subunit,
            currency=body.currency,
            business_account=body.business_account,
            provider_key=body.provider_key,
            msisdn=body.msisdn,
            idempotency_key=body.idempotency_key,
            client=client.name,
        )
        return json_response(payment, status=202)

    async def payment(self, request: web.Request) -> web.Response:
        self._client(request)
        wait_s = _seconds(request.query.get("wait_s", "0"))
        return json_response(await self._service.wait(request.match_info["payment_id"], wait_s=wait_s))

    async def callback(self, request: web.Request) -> web.Response:
        provider, secret = request.match_info["provider"], request.match_info["secret"]
        await self._service.callback(hook=provider, secret=secret, body=await request.read())
        return empty_response(200)

    def _client(self, request: web.Request) -> Client:
        client = self._keys.client_of(request.headers.get("API-KEY"))
        if client is None:
            raise Unauthorized("send a valid key in the header API-KEY")
        return client


def _market_of(provider_key: str) -> str:
    """Resolutions 24: a provider key begins with its market."""
    return provider_key[:2].upper()


def _check_market(client: Client, market: str) -> None:
    if client.markets and market not in client.markets:
        raise Forbidden(f"this key is not for the market {market}")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise BadRequest("wait_s is a number of seconds", fields=[("wait_s", "is no number of seconds")])
    return value
