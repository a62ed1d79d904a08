"""The Airtel sandbox over HTTP: who may call, what a request must look like, the codes of the contract."""

import re
from typing import Annotated

import msgspec
from aiohttp import web

from backend.kit.errors import BackendError
from backend.kit.web import application, body_of, json_response, read_json
from simulator.providers.airtel.sandbox import TOKEN_LIFE_S, AirtelSandbox, standing
from simulator.providers.script import Answer, fate_of

Short = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*\Z")]
NATIONAL = re.compile("[1-9][0-9]{7,8}")  # without the country's prefix
PREFIX = "256"  # in front of it, what scripts and receipts go by
MAX_AMOUNT = 10_000_000


class _Credentials(msgspec.Struct):
    client_id: Short = ""
    client_secret: Short = ""
    grant_type: Short = ""


class _Subscriber(msgspec.Struct):
    msisdn: Short | int
    country: Short = ""
    currency: Short = ""


class _Transaction(msgspec.Struct):
    amount: int | float | Short
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+\Z")]
    country: Short = ""
    currency: Short = ""


class _Payment(msgspec.Struct):
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\x00]*\Z")]
    subscriber: _Subscriber
    transaction: _Transaction


class _Paid(msgspec.Struct):
    airtel_money_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\x00]*\Z")]


class _Refund(msgspec.Struct):
    transaction: _Paid


class AirtelError(BackendError):
    """A business failure: HTTP 200 with `success: false` unless `status` says else."""

    def __init__(
        self,
        response_code: str,
        message: str,
        *,
        result_code: str = "",
        status: int = 200,
        retry_after_s: int | None = None,
    ):
        super().__init__(message, retry_after_s=retry_after_s)
        self.status = status
        self.response_code = response_code
        self.result_code = result_code or response_code


class _Unauthorized(BackendError):
    """401 of the gateway."""

    status = 401


def make_app(sandbox: AirtelSandbox) -> web.Application:
    """The provider's HTTP interface."""
    routes = _Routes(sandbox)
    return application(
        [
            web.post("/auth/oauth2/token", routes.token),
            web.get("/v1/rsa/encryption-keys", routes.keys),
            web.post("/merchant/v{version:[12]}/payments/", routes.pay),
            web.post("/standard/v1/payments/refund", routes.refund),
            web.get("/standard/v1/payments/{id:[A-Za-z0-9._-]+}", routes.enquiry),
        ],
        render=_render,
        service="sandbox-airtel",
    )


def _render(error: BackendError) -> web.Response:
    if isinstance(error, _Unauthorized):
        body: dict[str, object] = {"error": "unauthorized", "error_description": error.detail}
        return json_response(body, status=401)
    if not isinstance(error, AirtelError):
        missing = 400 <= error.status < 500
        error = AirtelError("ROUTER003" if missing else "ROUTER502", error.detail, status=error.status)
    body = {"status": _status(error.response_code, error.result_code, error.detail, success=False)}
    return json_response(body, status=error.status)


def _status(response_code: str, result_code: str, message: str, *, success: bool) -> dict[str, object]:
    return {
        "response_code": response_code,
        "code": "200",
        "success": success,
        "result_code": result_code,
        "message": message,
    }


class _Routes:
    def __init__(self, sandbox: AirtelSandbox):
        self._sandbox = sandbox

    async def token(self, request: web.Request) -> web.Response:
        body = await read_json(request, _Credentials)
        if body.grant_type != "client_credentials":
            raise _Unauthorized("Unsupported grant type")
        if not self._sandbox.is_client(body.client_id, body.client_secret):
            raise _Unauthorized("Invalid client authentication")
        token = await self._sandbox.prompts.issue(TOKEN_LIFE_S)
        return json_response({"token_type": "bearer", "access_token": token, "expires_in": str(TOKEN_LIFE_S)})

    async def keys(self, request: web.Request) -> web.Response:
        await self._authorize(request)
        data = {"key_id": 1, "key": self._sandbox.public_key(), "valid_upto": "2099-12-31T00:00:00Z"}
        text = "Encryption key has been fetched successfully."
        return json_response({"data": data, "status": _status("DP02010001001", "", text, success=True)})

    async def pay(self, request: web.Request) -> web.Response:
        await self._authorize(request)
        raw = await body_of(request)
        signature, key = (request.headers.get(name, "") for name in ("x-signature", "x-key"))
        is_signed = request.match_info["version"] != "1"
        if is_signed and not self._sandbox.signs(raw, signature=signature, key=key):
            raise AirtelError("DP00800001026", "X-signature and payload did not match.", status=403)
        body = await read_json(request, _Payment)
        national = self._checked(body)
        payer = PREFIX + national
        await self._refuse(payer)
        amount = str(body.transaction.amount)
        taken = await self._sandbox.pay(
            transaction_id=body.transaction.id, payer=payer, amount=amount, reference=body.reference
        )
        if not taken:
            raise AirtelError("DP00800001008", "Transaction with this id exists.", result_code="ESB000041")
        if fate_of(payer).answer is Answer.LOST:
            return web.Response(status=504, text="<html>Gateway Timeout</html>", content_type="text/html")
        data = {"transaction": {"id": body.transaction.id, "status": "Success."}}
        return json_response(
            {"data": data, "status": _status("DP00800001006", "ESB000010", "Success.", success=True)}
        )

    async def enquiry(self, request: web.Request) -> web.Response:
        await self._authorize(request)
        prompt = await self._sandbox.prompts.prompt(request.match_info["id"])
        if prompt is None:
            raise AirtelError("DP00800001025", "The transaction was not found.", result_code="ESB000045")
        status, code, message = standing(prompt)
        receipt = {"airtel_money_id": prompt.receipt} if prompt.receipt else {}
        transaction = {**receipt, "id": prompt.id, "message": message, "status": status}
        answered = _status(code, "ESB000010", message, success=status in ("TS", "TIP"))
        return json_response({"data": {"transaction": transaction}, "status": answered})

    async def refund(self, request: web.Request) -> web.Response:
        await self._authorize(request)
        body = await read_json(request, _Refund)
        receipt = body.transaction.airtel_money_id
        is_new = await self._sandbox.refund(receipt)
        if is_new is None:
            raise AirtelError("DP00800001025", "The transaction was not found.", result_code="ESB000045")
        if not is_new:
            raise AirtelError("DP00800001008", "The transaction is refunded already.")
        data = {"transaction": {"airtel_money_id": receipt, "status": "SUCCESS"}}
        said = _status("DP00800001001", "ESB000010", "SUCCESS", success=True)
        return json_response({"data": data, "status": said})

    async def _authorize(self, request: web.Request) -> None:
        if not await self._sandbox.prompts.is_bearer(request.headers.get("Authorization", "")):
            raise _Unauthorized("The access token is invalid or has expired")
        config = self._sandbox.config
        if request.headers.get("X-Country") != config.country:
            raise AirtelError("ROUTER003", "X-Country is missing or not yours", status=400)
        if request.headers.get("X-Currency") != config.currency:
            raise AirtelError("ROUTER119", "X-Currency is missing or not yours", status=400)

    def _checked(self, body: _Payment) -> str:
        """The subscriber's national number."""
        config = self._sandbox.config
        for part in (body.subscriber, body.transaction):
            if part.country not in ("", config.country) or part.currency not in ("", config.currency):
                raise AirtelError("ROUTER112", "Invalid currency or country")
        national = str(body.subscriber.msisdn)
        if not NATIONAL.fullmatch(national):
            raise AirtelError("DP00800001010", "Invalid msisdn", result_code="ESB000033")
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,2})?", str(body.transaction.amount)):
            raise AirtelError("DP00800001004", "Invalid Amount")
        if not 0 < float(body.transaction.amount) <= MAX_AMOUNT:
            raise AirtelError("DP00800001004", "Invalid Amount")
        return national

    async def _refuse(self, payer: str) -> None:
        answer = fate_of(payer).answer
        if answer is Answer.BUSY:
            raise AirtelError("ROUTER408", "The request timed out", status=200)
        if answer is Answer.OFTEN and await self._sandbox.prompts.every_other(payer):
            raise AirtelError("ROUTER429", "Too many requests", status=429, retry_after_s=1)
