"""HTTP of momo: parse, call the service, render.

    POST /resolve · POST /validate · POST /payment · GET /payment/{id}?wait_s=    header API-KEY
    GET /payment?idempotency_key=    header API-KEY; for a client that got no answer to its POST
    /reconciliation...    reconciliation_routes.py
    POST /validate_payment · POST /confirm_payment    header API-KEY; MoMoEP's (checklist 35)
    POST|PUT /hooks/{provider}/{secret}    a provider's callback; the path is the credential
    POST /hooks/{market}/{name}/v|c/{secret} · /hooks/{market}/{name}    about payments that customers began:
        v validates, c tells; without a secret the Authorization header is the credential (inbound.py)

Hooks have no rate limit, and MoMoEP's routes none but for wrong keys (resolutions 9): money that has moved
must get in, all of a provider's comes from a few addresses, and some providers never come again after a 429.
Strangers stop at the secret, the login, or PAYG_CALLBACK_IPS, before anything is stored.

Answers of /confirm_payment have no body (checklist 32-34). Errors: 400 `{"errors":[{"field","message"}]}`
(resolutions 6), billing's refusals `{"status"}` (404, 412), every other one `{"error","message"}`.
"""

from typing import TypedDict

import structlog
from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, NotFound, Unauthorized
from backend.kit.keys import ApiKeys, Client, market_of
from backend.kit.openapi import documented
from backend.kit.web import application, body_of, empty_response, json_response, read_json, read_query
from backend.momo import http_reference, reconciliation_routes
from backend.momo.errors import HTTP_STATUS, REFUSALS
from backend.momo.ports import Incoming, Validation
from backend.momo.schemas import (
    ConfirmPayment,
    ErrorAnswer,
    FieldError,
    FieldErrors,
    KeyQuery,
    PaymentRequest,
    ResolveRequest,
    ValidatePayment,
    ValidateRequest,
    ValidationAnswer,
    WaitQuery,
    epoch_ms,
)
from backend.momo.service import MomoService

NOT_FOUND = ValidationAnswer(status="reference_not_found")
TOO_LOW = ValidationAnswer(status="amount_too_low")


def make_app(service: MomoService, keys: ApiKeys) -> web.Application:
    """The application of `service`; `keys` are whom it lets in."""
    shell = _Routes(service, keys)
    told = http_reference.operations(
        {
            "/resolve": shell.resolve,
            "/validate": shell.validate,
            "/payment": shell.pay,
            http_reference.FOUND: shell.find,
            http_reference.PAYMENT: shell.payment,
            "/validate_payment": shell.validate_payment,
            "/confirm_payment": shell.confirm_payment,
            http_reference.CALLBACK: shell.callback,
            http_reference.ASKED: shell.asked,
            http_reference.TOLD: shell.told,
        }
    )
    told += reconciliation_routes.operations(service, shell.client, http_reference.KEY)
    routes = documented(title="momo", about=http_reference.ABOUT, operations=told)
    shapes = {"/confirm_payment": _render_empty}
    return application(routes, render=render, service="momo", shapes=shapes, keys=keys)


def render(error: BackendError) -> web.Response:
    """The documented answer of an error."""
    if isinstance(error, BadRequest):
        fields = error.fields or (("", error.detail),)
        answer = FieldErrors([FieldError(field, message) for field, message in fields])
        return json_response(answer, status=error.status)
    if isinstance(error, REFUSALS):
        return json_response(ValidationAnswer(status=error.code), status=error.status)
    return json_response(ErrorAnswer(error.code, error.detail), status=error.status)


def _render_empty(error: BackendError) -> web.Response:
    structlog.get_logger(service="momo").warning("confirm.refused", status=error.status, error=error.detail)
    return empty_response(error.status)


class _Routes:
    def __init__(self, service: MomoService, keys: ApiKeys):
        self.service = service
        self._keys = keys

    async def resolve(self, request: web.Request) -> web.Response:
        client = self.client(request)
        body = await read_json(request, ResolveRequest)
        client.check(body.market)
        route = await self.service.resolve(reference=body.reference, market=body.market, msisdn=body.msisdn)
        if route is None:
            return json_response(NOT_FOUND, status=404)
        return json_response(route)

    async def validate(self, request: web.Request) -> web.Response:
        client = self.client(request)
        body = await read_json(request, ValidateRequest)
        client.check(market_of(body.provider_key))
        if body.amount_subunit == 0:
            return json_response(TOO_LOW, status=412)
        validation: Validation = await self.service.validate(
            reference=body.reference,
            currency=body.currency,
            business_account=body.business_account,
            provider_key=body.provider_key,
            amount_subunit=body.amount_subunit,
        )
        answer = ValidationAnswer(status=validation.status, customer_name=validation.customer_name)
        return json_response(answer, status=HTTP_STATUS[validation.status])

    async def pay(self, request: web.Request) -> web.Response:
        client = self.client(request)
        body = await read_json(request, PaymentRequest)
        client.check(market_of(body.provider_key))
        payment = await self.service.pay(
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

    async def find(self, request: web.Request) -> web.Response:
        client = self.client(request)
        query = read_query(request, KeyQuery)
        payment = await self.service.find(query.idempotency_key, client=client.name)
        if payment is None:
            raise NotFound("no payment was asked for with this key")
        return json_response(payment)

    async def payment(self, request: web.Request) -> web.Response:
        markets = self.client(request).markets
        wait_s = read_query(request, WaitQuery).wait_s
        payment_id = request.match_info["payment_id"]
        return json_response(await self.service.wait(payment_id, wait_s=wait_s, markets=markets))

    async def callback(self, request: web.Request) -> web.Response:
        provider, secret = request.match_info["provider"], request.match_info["secret"]
        answer = await self.service.callback(hook=provider, secret=secret, body=await body_of(request))
        return empty_response(200) if answer is None else json_response(answer)

    async def validate_payment(self, request: web.Request) -> web.Response:
        client = self.client(request)
        body = await read_json(request, ValidatePayment)
        client.check(market_of(body.provider_key))
        validation = await self.service.inbound.validate(
            reference=body.reference,
            currency=body.currency,
            business_account=body.business_account,
            provider_key=body.provider_key,
            amount_subunit=body.amount_subunit,
        )
        named = body.additional_fields is None or "customer_name" in body.additional_fields
        answer = ValidationAnswer(
            status=validation.status, customer_name=validation.customer_name if named else None
        )
        return json_response(answer, status=HTTP_STATUS[validation.status])

    async def confirm_payment(self, request: web.Request) -> web.Response:
        client = self.client(request)
        body = await read_json(request, ConfirmPayment)
        client.check(market_of(body.provider_key))
        incoming = Incoming(
            provider_tx=body.provider_tx,
            provider_key=body.provider_key,
            reference=body.reference,
            business_account=body.business_account,
            amount_subunit=body.amount_subunit,
            currency=body.currency,
            sender=body.sender_phone_number,
        )
        is_new = await self.service.inbound.confirm(incoming, paid_at_ms=epoch_ms(body.received_at))
        return empty_response(200 if is_new else 409)

    async def asked(self, request: web.Request) -> web.Response:
        return json_response(await self.service.inbound.asked(**await _call(request)))

    async def told(self, request: web.Request) -> web.Response:
        return json_response(await self.service.inbound.told(**await _call(request)))

    def client(self, request: web.Request) -> Client:
        """Whose the request's key is. Raises Unauthorized."""
        client = self._keys.client_of(request.headers.get("API-KEY"), request.remote)
        if client is None:
            raise Unauthorized("send a valid key in the header API-KEY")
        return client


class _Call(TypedDict):
    hook: str
    secret: str
    authorization: str
    body: bytes


async def _call(request: web.Request) -> _Call:
    """A provider's call about a payment that a customer began."""
    return _Call(
        hook=f"{request.match_info['market']}/{request.match_info['name']}",
        secret=request.match_info.get("secret", ""),
        authorization=request.headers.get("Authorization", ""),
        body=await body_of(request),
    )
