"""The AzamPay sandbox over HTTP: who may call, what a request must look like, the errors of its clients."""

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec
from aiohttp import web

from backend.kit.errors import BackendError, BadRequest, Unauthorized
from backend.kit.web import application, json_response, read_json
from simulator.providers import is_loopback
from simulator.providers.halopesa.sandbox import OPERATOR, TOKEN_LIFE_S, HalopesaSandbox
from simulator.providers.script import Answer, fate_of

Short = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*\Z")]
NUMBER = re.compile(r"(?:\+?255|0)([67][0-9]{8})")
TAKEN = "Your request has been received and is being processed."
FIELDS = (("amount", r"[1-9][0-9]{0,8}"), ("currency", "TZS"), ("externalId", r"[^\x00]{1,128}"))


class _App(msgspec.Struct, rename="camel"):
    app_name: Short = ""
    client_id: Short = ""
    client_secret: Short = ""


class AzamError(BackendError):
    """An answer `{"success":false,"message"}` with any status."""

    def __init__(self, status: int, message: str, *, retry_after_s: int | None = None):
        super().__init__(message, retry_after_s=retry_after_s)
        self.status = status


def make_app(sandbox: HalopesaSandbox) -> web.Application:
    """The provider's HTTP interface."""
    routes = _Routes(sandbox)
    return application(
        [
            web.post("/AppRegistration/GenerateToken", routes.token),
            web.post("/azampay/mno/checkout", routes.checkout),
            web.get("/azampay/v1/public-key", routes.public_key),
        ],
        render=_render,
        service="sandbox-halopesa",
    )


def _render(error: BackendError) -> web.Response:
    body = {"success": False, "message": error.detail, "statusCode": error.status}
    return json_response(body, status=error.status)


class _Routes:
    def __init__(self, sandbox: HalopesaSandbox):
        self._sandbox = sandbox

    async def token(self, request: web.Request) -> web.Response:
        body = await read_json(request, _App)
        if not self._sandbox.is_app(body.app_name, body.client_id, body.client_secret):
            raise AzamError(423, "Provided detail is not valid or secret key has been expired")
        token = await self._sandbox.prompts.issue(TOKEN_LIFE_S)
        data = {"accessToken": token, "expire": self._sandbox.expires()}
        text = "Token generated successfully"
        return json_response({"data": data, "message": text, "success": True, "statusCode": 200})

    async def checkout(self, request: web.Request) -> web.Response:
        await self._authorize(request)
        if not self._sandbox.is_api_key(request.headers.get("X-API-Key", "")):
            raise Unauthorized("Invalid X-API-Key")
        body = await read_json(request, dict[str, object])
        payer = self._checked(body)
        answer = fate_of(payer).answer
        if answer is Answer.BUSY:
            raise AzamError(503, "Service unavailable")
        if answer is Answer.OFTEN and await self._sandbox.prompts.every_other(payer):
            raise AzamError(429, "Too many requests", retry_after_s=1)
        transaction_id = await self._sandbox.checkout(
            payer=payer,
            amount=str(body["amount"]),
            reference=str(body["externalId"]),
            callback_url=str(body.get("callbackUrl", "")),
        )
        if answer is Answer.LOST:
            return web.Response(status=504, text="<html>Gateway Timeout</html>", content_type="text/html")
        return json_response({"success": True, "transactionId": transaction_id, "message": TAKEN})

    async def public_key(self, request: web.Request) -> web.Response:
        await self._authorize(request)
        if request.query.get("format", "Pem") != "Pem":
            raise BadRequest("only the format Pem is served here")
        return json_response({"success": True, "format": "Pem", "publicKey": self._sandbox.public_key()})

    async def _authorize(self, request: web.Request) -> None:
        if not await self._sandbox.prompts.is_bearer(request.headers.get("Authorization", "")):
            raise Unauthorized("Invalid or expired token")

    def _checked(self, body: Mapping[str, object]) -> str:
        """The customer's number with the country's prefix."""
        for name, pattern in FIELDS:
            value = body.get(name)
            if not isinstance(value, str) or not re.fullmatch(pattern, value):
                raise BadRequest(f"{name} is missing or not valid")
        if body.get("provider") != OPERATOR:
            raise BadRequest(f"provider: this sandbox is {OPERATOR}'s")
        number = NUMBER.fullmatch(str(body.get("accountNumber", "")))
        if number is None:
            raise BadRequest("accountNumber is missing or not valid")
        callback_url = body.get("callbackUrl", "")
        if not isinstance(callback_url, str) or (callback_url and not is_loopback(callback_url)):
            raise BadRequest("callbackUrl is not valid")
        if not self._sandbox.is_checksum(body, str(body.get("checksum", ""))):
            raise BadRequest("checksum does not match")
        return f"255{number[1]}"
