"""The MTN sandbox over HTTP: who may call, what a request must look like, the errors of the contract."""

import base64
import binascii
import re
import uuid
from decimal import Decimal
from typing import Annotated

import msgspec
from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, NotFound
from backend.kit.web import application, empty_response, json_response, read_json
from simulator.providers import is_loopback
from simulator.providers.mtn.sandbox import (
    CURRENCIES,
    REFUSALS,
    TOKEN_LIFE_S,
    WHOLE_UNITS,
    MtnError,
    MtnSandbox,
    status_body,
)
from simulator.providers.mtn.store import Collection

# Ids in paths: UUIDs.
ID = "[0-9a-fA-F-]{36}"

FORBIDDEN = "<html><head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1></body></html>"

Short = Annotated[str, msgspec.Meta(max_length=160, pattern=r"^[^\x00]*\Z")]


class _NewUser(msgspec.Struct, rename="camel"):
    provider_callback_host: Short = ""


class _Payer(msgspec.Struct, rename="camel"):
    party_id_type: str
    party_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6,15}\Z")]


class _RequestToPay(msgspec.Struct, rename="camel"):
    amount: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,2})?\Z")]
    currency: Short
    external_id: Short
    payer: _Payer
    payer_message: Short = ""
    payee_note: Short = ""


def make_app(sandbox: MtnSandbox) -> web.Application:
    """The provider's HTTP interface."""
    routes = _Routes(sandbox)
    return application(
        [
            web.post("/v1_0/apiuser", routes.create_user),
            web.get(f"/v1_0/apiuser/{{api_user:{ID}}}", routes.user),
            web.post(f"/v1_0/apiuser/{{api_user:{ID}}}/apikey", routes.create_api_key),
            web.post("/collection/token/", routes.token),
            web.post("/collection/v1_0/requesttopay", routes.request_to_pay),
            web.get(f"/collection/v1_0/requesttopay/{{reference_id:{ID}}}", routes.status),
            web.get("/collection/v1_0/account/balance", routes.balance),
            web.get("/collection/v1_0/accountholder/msisdn/{msisdn:[0-9]+}/active", routes.active),
        ],
        render=_render,
        service="sandbox-mtn",
    )


def _render(error: BackendError) -> web.Response:
    if isinstance(error, _Firewall):
        return web.Response(status=error.status, text=FORBIDDEN, content_type="text/html")
    if isinstance(error, NotFound):
        error = MtnError(404, "RESOURCE_NOT_FOUND", "Requested resource was not found.")
    if isinstance(error, _Gateway):
        body: dict[str, object] = {"statusCode": error.status, "message": error.detail}
        return json_response(body, status=error.status)
    return json_response({"code": error.code.upper(), "message": error.detail}, status=error.status)


class _Firewall(BackendError):
    """A page of the firewall in front of the gateway."""

    status = 403


class _Gateway(BackendError):
    """401 of the API gateway in front of the provider."""

    status = 401


class _Routes:
    def __init__(self, sandbox: MtnSandbox):
        self._sandbox = sandbox

    async def create_user(self, request: web.Request) -> web.Response:
        self._gateway(request)
        body = await read_json(request, _NewUser)
        if not await self._sandbox.create_user(_reference(request), body.provider_callback_host):
            raise _duplicate()
        return empty_response(201)

    async def user(self, request: web.Request) -> web.Response:
        self._gateway(request)
        user = await self._sandbox.user(request.match_info["api_user"])
        return json_response(
            {"providerCallbackHost": user.callback_host, "targetEnvironment": user.target_environment}
        )

    async def create_api_key(self, request: web.Request) -> web.Response:
        self._gateway(request)
        api_key = await self._sandbox.create_api_key(request.match_info["api_user"])
        return json_response({"apiKey": api_key}, status=201)

    async def token(self, request: web.Request) -> web.Response:
        self._gateway(request)
        environment = request.headers.get("X-Target-Environment", "")
        try:
            token = await self._sandbox.token(_basic(request), environment)
        except MtnError:
            message = "Invalid or missing X-Target-Environment header"
            return json_response({"error": message}, status=400)
        if token is None:
            return json_response({"error": "invalid_client"}, status=401)
        answer = {"access_token": token, "token_type": "access_token", "expires_in": TOKEN_LIFE_S}
        return json_response(answer)

    async def request_to_pay(self, request: web.Request) -> web.Response:
        environment, callback_host = await self._authorize(request)
        reference_id = _reference(request)
        body = await read_json(request, _RequestToPay)
        callback_url = request.headers.get("X-Callback-Url", "")
        _check(body, environment, callback_url, callback_host)
        collection = Collection(
            reference_id=reference_id,
            target_environment=environment,
            amount=body.amount,
            currency=body.currency,
            external_id=body.external_id,
            payer=body.payer.party_id,
            payer_message=body.payer_message,
            payee_note=body.payee_note,
            callback_url=callback_url,
        )
        if not await self._sandbox.request_to_pay(collection):
            raise _duplicate()
        return empty_response(202)

    async def status(self, request: web.Request) -> web.Response:
        environment, _ = await self._authorize(request)
        collection = await self._sandbox.collection(request.match_info["reference_id"], environment)
        return json_response(status_body(collection))

    async def balance(self, request: web.Request) -> web.Response:
        environment, _ = await self._authorize(request)
        balance = await self._sandbox.balance(environment)
        return json_response({"availableBalance": balance, "currency": CURRENCIES.get(environment, "")})

    async def active(self, request: web.Request) -> web.Response:
        await self._authorize(request)
        return json_response({"result": request.match_info["msisdn"] != "46733123455"})

    def _gateway(self, request: web.Request) -> None:
        if "python-requests" in request.headers.get("User-Agent", ""):
            raise _Firewall("the firewall lets no script library in")
        if not self._sandbox.check_subscription(request.headers.get("Ocp-Apim-Subscription-Key", "")):
            raise _Gateway("Access denied due to invalid subscription key. Provide a valid key.")

    async def _authorize(self, request: web.Request) -> tuple[str, str]:
        """Environment and callback host of the caller."""
        self._gateway(request)
        scheme, _, access_token = request.headers.get("Authorization", "").partition(" ")
        found = await self._sandbox.bearer(access_token) if scheme == "Bearer" else None
        if found is None:
            raise _Gateway("Unauthorized")
        if request.headers.get("X-Target-Environment") != found[0]:
            message = "Access to target environment is forbidden."
            raise MtnError(500, "NOT_ALLOWED_TARGET_ENVIRONMENT", message)
        return found


def _check(body: _RequestToPay, environment: str, callback_url: str, callback_host: str) -> None:
    if body.payer.party_id_type != "MSISDN" or Decimal(body.amount) <= 0:
        raise BadRequest("payer or amount is not valid")
    if body.currency != CURRENCIES.get(environment):
        raise MtnError(500, "INVALID_CURRENCY", "Currency not supported.")
    if body.currency in WHOLE_UNITS and "." in body.amount:
        raise BadRequest(f"{body.currency} has no decimals")
    host = re.match(r"https?://([^/:]+|\[[^\]]+\])(:\d+)?(/|$)", callback_url)
    if callback_url and not (host and host[1] == callback_host and is_loopback(callback_url)):
        message = "Callback URL with different host name than configured for API user"
        raise MtnError(500, "INVALID_CALLBACK_URL_HOST", message)
    if body.payer.party_id in REFUSALS:
        raise MtnError(*REFUSALS[body.payer.party_id])


def _reference(request: web.Request) -> str:
    text = request.headers.get("X-Reference-Id", "")
    try:
        if (reference := uuid.UUID(text)).version == 4:
            return str(reference)
    except ValueError:
        pass
    raise BadRequest("X-Reference-Id is no version 4 UUID")


def _basic(request: web.Request) -> str:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        login = base64.b64decode(encoded, validate=True).decode() if scheme == "Basic" else ""
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return "" if "\x00" in login else login


def _duplicate() -> MtnError:
    return MtnError(409, "RESOURCE_ALREADY_EXIST", "Duplicated reference id. Creation of resource failed.")
