"""Solarium's HTTP: inbound routes (API-KEY), M2M's callback (signed), and the external API (Bearer).

Errors come in three shapes: `errors` with fields (resolutions 6), no body at all (confirm_payment), and the
external API's own. What a request means is decided in service.py and external.py; http_reference.py tells
what these routes take and answer, operator_routes.py has those of operators.
"""

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, MethodNotAllowed, Unauthorized
from backend.kit.keys import ApiKeys, Client, market_of
from backend.kit.openapi import Handler, documented
from backend.kit.peers import counted_as
from backend.kit.web import application, body_of, empty_response, json_response, read_json
from backend.solarium import booked_routes, http_reference, operator_routes
from backend.solarium.schemas import (
    REFERENCE_NOT_FOUND,
    STATUS_CODES,
    BillingEvent,
    CommandReply,
    ConfirmRequest,
    Credentials,
    CustomerAccounts,
    CustomerAccountsRequest,
    CustomerTokens,
    CustomerTokensRequest,
    DotNetError,
    Errors,
    ExecutionRequest,
    ExternalError,
    FieldError,
    ResolveRequest,
    SimulationRequest,
    ValidateRequest,
    Validation,
)
from backend.solarium.service import SERVICE, Solarium

SECURITY_HEADERS = {  # checklist 47
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
}


def make_app(service: Solarium, keys: ApiKeys) -> web.Application:
    """The application; `keys` are those of the inbound routes."""
    inbound, external = _Inbound(service, keys), _External(service)
    posts: Mapping[str, Handler] = {
        "/validate_payment": inbound.validate,
        "/confirm_payment": inbound.confirm,
        "/resolve_account": inbound.resolve,
        "/customer_accounts": inbound.customer_accounts,
        "/customer_tokens": inbound.customer_tokens,
        "/m2m/callback/{order_id}": inbound.callback,
        "/api/m2m/events": inbound.event,
        "/api/auth/token": external.token,
        "/api/payment/simulation": external.simulation,
        "/api/payment/execution": external.execution,
    }
    told = [
        *http_reference.operations(posts),
        *booked_routes.operations(service, inbound.client),
        *operator_routes.operations(service, inbound.client),
    ]
    return application(
        documented(title=SERVICE, about=http_reference.ABOUT, operations=told),
        render=_render,
        service=SERVICE,
        keys=keys,
        headers=SECURITY_HEADERS,
        bodies=operator_routes.BODIES,
        shapes={
            "/confirm_payment": _render_empty,
            "/api/auth/token": external.render_token,
            "/api/payment/simulation": external.render_payment,
            "/api/payment/execution": external.render_payment,
        },
    )


class _Inbound:
    """The routes for MoMo, MESE and M2M."""

    def __init__(self, service: Solarium, keys: ApiKeys):
        self._service = service
        self._keys = keys

    async def validate(self, request: web.Request) -> web.Response:
        client = self.client(request)
        asked = await read_json(request, ValidateRequest)
        client.check(market_of(asked.provider_key))
        found = await self._service.validate(
            reference=asked.reference,
            currency=asked.currency,
            business_account=asked.business_account,
            provider_key=asked.provider_key,
            amount_subunit=asked.amount_subunit,
        )
        if asked.additional_fields is not None and "customer_name" not in asked.additional_fields:
            found = Validation(found.status)
        return json_response(found, status=STATUS_CODES[found.status])

    async def confirm(self, request: web.Request) -> web.Response:
        client = self.client(request)
        payment = await read_json(request, ConfirmRequest)
        client.check(market_of(payment.provider_key))
        answer = await self._service.book(payment)
        return empty_response(HTTPStatus.OK if answer.new else HTTPStatus.CONFLICT)

    async def resolve(self, request: web.Request) -> web.Response:
        client = self.client(request)
        asked = await read_json(request, ResolveRequest)
        client.check(asked.market)
        route = await self._service.resolve(reference=asked.reference, market=asked.market)
        if route is None:
            return json_response(Validation(REFERENCE_NOT_FOUND), status=HTTPStatus.NOT_FOUND)
        return json_response(route)

    async def customer_accounts(self, request: web.Request) -> web.Response:
        client = self.client(request)
        asked = await read_json(request, CustomerAccountsRequest)
        client.check(asked.market)
        found = await self._service.customers.accounts(msisdn=asked.msisdn, market=asked.market)
        return json_response(CustomerAccounts(found))

    async def customer_tokens(self, request: web.Request) -> web.Response:
        client = self.client(request)
        asked = await read_json(request, CustomerTokensRequest)
        client.check(asked.market)
        found = await self._service.customers.tokens(
            msisdn=asked.msisdn, market=asked.market, reference=asked.reference
        )
        return json_response(CustomerTokens(found))

    async def event(self, request: web.Request) -> web.Response:
        await self._check_signed(request)
        await self._service.events.take(await read_json(request, BillingEvent))
        return empty_response(HTTPStatus.NO_CONTENT)

    async def callback(self, request: web.Request) -> web.Response:
        await self._check_signed(request)
        reply = await read_json(request, CommandReply)
        await self._service.command_replied(request.match_info["order_id"], reply)
        return empty_response(HTTPStatus.NO_CONTENT)

    async def _check_signed(self, request: web.Request) -> None:
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        webhook_id, timestamp, signature = (request.headers.get(name, "") for name in names)
        self._service.check_callback((webhook_id, timestamp, signature), await body_of(request))

    def client(self, request: web.Request) -> Client:
        """Whose the request's key is. Raises Unauthorized."""
        client = self._keys.client_of(request.headers.get("API-KEY"), request.remote)
        if client is None:
            raise Unauthorized(
                "API-KEY is missing or not valid", fields=[("API-KEY", "is missing or not valid")]
            )
        return client


class _External:
    """The routes for external clients."""

    def __init__(self, service: Solarium):
        self._external = service.external

    async def token(self, request: web.Request) -> web.Response:
        self._external.rate_limit.take(f"address:{counted_as(request.remote)}")
        try:
            credentials = await read_json(request, Credentials)
        except BadRequest as error:
            raise Unauthorized("client_id and client_secret are required") from error
        return self._answer(await self._external.authenticate(credentials))

    async def simulation(self, request: web.Request) -> web.Response:
        client = await self._client(request)
        answer = await self._external.simulate(client, await read_json(request, SimulationRequest))
        return self._answer(answer, STATUS_CODES[answer.status])

    async def execution(self, request: web.Request) -> web.Response:
        client = await self._client(request)
        answer = await self._external.execute(client, await read_json(request, ExecutionRequest))
        return self._answer(answer, STATUS_CODES.get(answer.status, HTTPStatus.OK))

    async def _client(self, request: web.Request) -> Client:
        """The caller, within its rate limit; strangers are limited by address (resolutions 9)."""
        kind, _, access_token = request.headers.get("Authorization", "").partition(" ")
        try:
            if kind.lower() != "bearer" or not access_token.strip():
                raise Unauthorized("Authorization header with Bearer token is required")
            client = await self._external.client_of(access_token.strip())
        except Unauthorized:
            self._external.rate_limit.take(f"address:{counted_as(request.remote)}")
            raise
        self._external.rate_limit.take(f"client:{client.name}")
        return client

    def _answer(self, value: object, status: int = HTTPStatus.OK) -> web.Response:
        response = json_response(value, status=status)
        response.headers["RateLimit-Policy"] = self._external.rate_limit.policy
        response.headers["Cache-Control"] = "no-store"
        return response

    def render_token(self, error: BackendError) -> web.Response:
        """Errors of /api/auth/token (checklist 37-39)."""
        return self._render(error, "invalid_client")

    def render_payment(self, error: BackendError) -> web.Response:
        """Errors of /api/payment/... (checklist 39, 42, 43)."""
        return self._render(error, "invalid_token")

    def _render(self, error: BackendError, unauthorized: str) -> web.Response:
        if isinstance(error, MethodNotAllowed):
            text = f"The requested resource does not support http method '{error.method}'."
            return self._answer(DotNetError(text), error.status)
        code = _EXTERNAL_CODES.get(error.status, error.code)
        text = "; ".join(f"{name}: {why}" if name else why for name, why in error.fields) or error.detail
        code = unauthorized if isinstance(error, Unauthorized) else code
        return self._answer(ExternalError(code, text), error.status)


_EXTERNAL_CODES = {400: "invalid_request", 500: "server_error", 503: "temporarily_unavailable"}  # RFC 6749


def _render(error: BackendError) -> web.Response:
    fields = error.fields or (("", error.detail),)
    body = Errors([FieldError(name, why) for name, why in fields])
    return json_response(body, status=error.status)


def _render_empty(error: BackendError) -> web.Response:
    return empty_response(error.status)
