"""The Jenga sandbox over HTTP: who may call, what a request must look like, the codes of the contract."""

from typing import Annotated, Literal

import msgspec
from aiohttp import web

from backend.kit.errors import BackendError
from backend.kit.web import application, json_response, read_json
from simulator.providers import is_loopback
from simulator.providers.equity.sandbox import EquitySandbox
from simulator.providers.script import Answer, fate_of

Short = Annotated[str, msgspec.Meta(max_length=300, pattern=r"^[^\x00]*\Z")]
Amount = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,2})?\Z")]
Mobile = Annotated[str, msgspec.Meta(pattern=r"^254[0-9]{9}\Z")]
ACKNOWLEDGED = "Transaction has been successfully acknowledged, await final transaction status on callback"


class _Login(msgspec.Struct, rename="camel"):
    merchant_code: Short
    consumer_secret: Short


class _Merchant(msgspec.Struct, rename="camel"):
    account_number: Short
    country_code: Literal["KE"]
    name: Short


class _Payment(msgspec.Struct, rename="camel"):
    ref: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]{6,12}\Z")]
    amount: Amount
    currency: Literal["KES"]
    telco: Literal["Equitel", "Safaricom", "Airtel"]
    mobile_number: Mobile
    date: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}\Z")]
    call_back_url: Short
    push_type: Literal["STK", "USSD"]


class _Push(msgspec.Struct):
    merchant: _Merchant
    payment: _Payment


class _Till(msgspec.Struct, rename="camel"):
    mobile_number: Mobile
    amount: Amount
    bill_number: Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern=r"^[^\x00]*\Z")]


class JengaError(BackendError):
    """An answer `{"status":false,"code","message"}`."""

    def __init__(self, status: int, number: int, message: str, *, retry_after_s: int | None = None):
        super().__init__(message, retry_after_s=retry_after_s)
        self.status = status
        self.number = number


def make_app(sandbox: EquitySandbox) -> web.Application:
    """The provider's HTTP interface."""
    routes = _Routes(sandbox)
    return application(
        [
            web.post("/authentication/api/v3/authenticate/merchant", routes.token),
            web.post("/v3-apis/payment-api/v3.0/stkussdpush/initiate", routes.push),
            web.post("/simulate/eazzypay", routes.till),
        ],
        render=_render,
        service="sandbox-equity",
    )


def _render(error: BackendError) -> web.Response:
    number = error.number if isinstance(error, JengaError) else error.status
    body = {"status": False, "code": number, "message": error.detail}
    return json_response(body, status=error.status)


class _Routes:
    def __init__(self, sandbox: EquitySandbox):
        self._sandbox = sandbox

    async def token(self, request: web.Request) -> web.Response:
        body = await read_json(request, _Login)
        api_key = request.headers.get("Api-Key", "")
        if not self._sandbox.is_merchant(api_key, body.merchant_code, body.consumer_secret):
            raise JengaError(401, 401, "Invalid merchant credentials")
        token, issued, expires = await self._sandbox.token()
        return json_response(
            {
                "accessToken": token,
                "refreshToken": self._sandbox.transaction_id(),
                "expiresIn": expires,
                "issuedAt": issued,
                "tokenType": "Bearer",
            }
        )

    async def push(self, request: web.Request) -> web.Response:
        await self._authorize(request)
        body = await read_json(request, _Push)
        payment = body.payment
        self._check(request, body)
        payer = payment.mobile_number
        answer = fate_of(payer).answer
        if answer is Answer.BUSY:
            raise JengaError(503, 503, "Service unavailable")
        if answer is Answer.OFTEN and await self._sandbox.prompts.every_other(payer):
            raise JengaError(429, 429, "Too many requests", retry_after_s=1)
        taken = await self._sandbox.push(
            ref=payment.ref,
            payer=payer,
            amount=payment.amount,
            telco=payment.telco,
            callback_url=payment.call_back_url,
        )
        if not taken:
            raise JengaError(400, 400101, "Duplicate transaction reference")
        if answer is Answer.LOST:
            return web.Response(status=504, text="<html>Gateway Timeout</html>", content_type="text/html")
        return json_response(
            {
                "status": True,
                "code": -1,
                "message": ACKNOWLEDGED,
                "reference": payment.ref,
                "transactionId": self._sandbox.transaction_id(),
            }
        )

    async def till(self, request: web.Request) -> web.Response:
        await self._authorize(request)
        body = await read_json(request, _Till)
        if not self._sandbox.config.ipn_url:
            raise JengaError(409, 409, "no IPN address is registered")
        await self._sandbox.customer_pays(
            payer=body.mobile_number, amount=body.amount, reference=body.bill_number
        )
        return json_response({"status": True, "code": 0, "message": "paid"})

    def _check(self, request: web.Request, body: _Push) -> None:
        payment, merchant = body.payment, body.merchant
        signature = request.headers.get("Signature", "")
        if not signature:
            raise JengaError(400, 900100, "Missing signature")
        text = (
            f"{merchant.account_number}{payment.ref}{payment.mobile_number}"
            f"{payment.telco}{payment.amount}{payment.currency}"
        )
        if not self._sandbox.signs(text, signature):
            raise JengaError(400, 900101, "Invalid signature")
        if merchant.account_number != self._sandbox.config.account_number:
            raise JengaError(400, 400, "Unknown account number")
        if float(payment.amount) <= 0:
            raise JengaError(400, 400, "Invalid amount")
        if not is_loopback(payment.call_back_url):
            raise JengaError(400, 400, "Invalid callBackUrl")

    async def _authorize(self, request: web.Request) -> None:
        if not await self._sandbox.prompts.is_bearer(request.headers.get("Authorization", "")):
            raise JengaError(401, 401, "Invalid or expired access token")
