"""The Daraja sandbox over HTTP: who may call, what a request must look like, the errors of the contract."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from aiohttp import web

from backend.kit.errors import BackendError, MethodNotAllowed, NotFound
from backend.kit.web import application, json_response, read_json
from simulator.providers import is_loopback
from simulator.providers.daraja.sandbox import EAT, RESULTS, TOKEN_LIFE_S, DarajaSandbox, Urls
from simulator.providers.prompts import PENDING, Prompt
from simulator.providers.script import Answer, Outcome, fate_of

Body = Mapping[str, object]

CODE, MSISDN, URL = "[0-9]{5,6}", "254[17][0-9]{8}", r"https?://[^\s\x00]{1,500}"
KIND = "CustomerPayBillOnline|CustomerBuyGoodsOnline"
DATE = r"\d{4}-\d{2}-\d{2} \d{1,2}:\d{2}:\d{2}"
SIGNED = (("BusinessShortCode", CODE), ("Password", "[A-Za-z0-9+/=]{1,400}"), ("Timestamp", "[0-9]{14}"))
PUSH = (
    *SIGNED,
    ("TransactionType", KIND),
    ("Amount", "[1-9][0-9]{0,7}"),
    ("PartyA", MSISDN),
    ("PartyB", "[0-9]{5,7}"),  # a till may have seven
    ("PhoneNumber", MSISDN),
    ("CallBackURL", URL),
    ("AccountReference", r"[^\x00]{1,12}"),
)
QUERY = (*SIGNED, ("CheckoutRequestID", r"[^\x00]{1,100}"))
REGISTER = (
    ("ShortCode", CODE),
    ("ResponseType", "Completed|Cancelled"),
    ("ConfirmationURL", URL),
    ("ValidationURL", URL),
)
SIMULATE = (("ShortCode", CODE), ("CommandID", KIND), ("Amount", "[1-9][0-9]{0,7}"), ("Msisdn", MSISDN))
REGISTER_PULL = (
    ("ShortCode", CODE),
    ("RequestType", "Pull"),
    ("NominatedNumber", r"\+?254[17][0-9]{8}|0[17][0-9]{8}"),
    ("CallBackURL", URL),
)
PULL = (("ShortCode", CODE), ("StartDate", DATE), ("EndDate", DATE), ("OffSetValue", "[0-9]{1,6}"))
FORBIDDEN = ("m-pesa", "mpesa", "safaricom", "exe", "exec", "cmd", "sql", "query")  # in a registered URL
SUCCESS = "Success. Request accepted for processing"


class DarajaError(BackendError):
    """An answer `{"requestId","errorCode","errorMessage"}`; its HTTP status is not always the code's."""

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None):
        super().__init__(message, retry_after_s=retry_after_s)
        self.status = status
        self.code = code


def make_app(sandbox: DarajaSandbox) -> web.Application:
    """The provider's HTTP interface."""
    routes = _Routes(sandbox)
    return application(
        [
            web.get("/oauth/v1/generate", routes.token),
            web.post("/mpesa/stkpush/v1/processrequest", routes.push),
            web.post("/mpesa/stkpushquery/v1/query", routes.query),
            web.post("/mpesa/c2b/v{version:[12]}/registerurl", routes.register),
            web.post("/mpesa/c2b/v{version:[12]}/simulate", routes.simulate),
            web.post("/pulltransactions/v1/register", routes.register_pull),
            web.post("/pulltransactions/v1/query", routes.pull),
        ],
        render=routes.render,
        service="sandbox-daraja",
    )


class _Routes:
    def __init__(self, sandbox: DarajaSandbox):
        self._sandbox = sandbox

    def render(self, error: BackendError) -> web.Response:
        if isinstance(error, NotFound):
            error = DarajaError(404, "404.001.01", "Resource not found")
        elif isinstance(error, MethodNotAllowed):
            error = DarajaError(405, "405.001", "Method Not Allowed")
        elif not isinstance(error, DarajaError):
            client = error.status < 500
            code = "400.002.02" if client else "500.003.1001"
            text = "Bad Request - Invalid Request Payload" if client else "Internal Server Error"
            error = DarajaError(400 if client else 500, code, text)
        body = {
            "requestId": self._sandbox.request_id(),
            "errorCode": error.code,
            "errorMessage": error.detail,
        }
        return json_response(body, status=error.status)

    async def token(self, request: web.Request) -> web.Response:
        if request.query.get("grant_type") != "client_credentials":
            raise DarajaError(400, "400.008.02", "Invalid grant type passed")
        if not self._sandbox.is_app(_basic(request)):
            raise DarajaError(400, "400.008.01", "Invalid Authentication passed")
        token = await self._sandbox.prompts.issue(TOKEN_LIFE_S)
        return json_response({"access_token": token, "expires_in": str(TOKEN_LIFE_S)})

    async def push(self, request: web.Request) -> web.Response:
        body = await self._body(request, PUSH)
        self._sign(body)
        if len(_text(body, "TransactionDesc")) > 13:
            raise _invalid("TransactionDesc")
        if not is_loopback(_text(body, "CallBackURL")):
            raise _invalid("CallBackURL")
        payer = _text(body, "PhoneNumber")
        await self._refuse(payer)
        merchant_id, checkout_id = await self._sandbox.push(
            payer=payer,
            amount=_text(body, "Amount"),
            reference=_text(body, "AccountReference"),
            callback_url=_text(body, "CallBackURL"),
        )
        if fate_of(payer).answer is Answer.LOST:
            return web.Response(status=504, text="<html>Gateway Timeout</html>", content_type="text/html")
        return json_response(
            {
                "MerchantRequestID": merchant_id,
                "CheckoutRequestID": checkout_id,
                "ResponseCode": "0",
                "ResponseDescription": SUCCESS,
                "CustomerMessage": SUCCESS,
            }
        )

    async def query(self, request: web.Request) -> web.Response:
        body = await self._body(request, QUERY)
        self._sign(body)
        prompt = await self._sandbox.prompts.prompt(_text(body, "CheckoutRequestID"))
        if prompt is None:
            raise DarajaError(404, "404.001.01", "Resource not found")
        if prompt.status == PENDING:
            raise DarajaError(500, "500.001.1001", "The transaction is being processed")
        code, text = RESULTS[Outcome(prompt.outcome)]
        return json_response(
            {
                "ResponseCode": "0",
                "ResponseDescription": "The service request has been accepted successsfully",
                "MerchantRequestID": prompt.detail("merchant_id"),
                "CheckoutRequestID": prompt.id,
                "ResultCode": str(code),
                "ResultDesc": text,
            }
        )

    async def register(self, request: web.Request) -> web.Response:
        body = await self._body(request, REGISTER)
        self._check_code(_text(body, "ShortCode"))
        for name in ("ConfirmationURL", "ValidationURL"):
            url = _text(body, name)
            if not is_loopback(url) or any(word in url.lower() for word in FORBIDDEN):
                raise _invalid(name)
        urls = Urls(
            validation=_text(body, "ValidationURL"),
            confirmation=_text(body, "ConfirmationURL"),
            default=_text(body, "ResponseType"),
            version=int(request.match_info["version"]),
        )
        await self._sandbox.register(urls)
        return self._conversation("success")

    async def simulate(self, request: web.Request) -> web.Response:
        body = await self._body(request, SIMULATE)
        self._check_code(_text(body, "ShortCode"))
        reference = _text(body, "BillRefNumber")
        if len(reference) > 20 or "\x00" in reference:
            raise _invalid("BillRefNumber")
        await self._sandbox.customer_pays(
            payer=_text(body, "Msisdn"), amount=_text(body, "Amount"), reference=reference
        )
        return self._conversation("Accept the service request successfully.")

    async def register_pull(self, request: web.Request) -> web.Response:
        body = await self._body(request, REGISTER_PULL)
        self._check_code(_text(body, "ShortCode"))
        await self._sandbox.register_pull()
        return json_response(
            {
                "ResponseRefID": self._sandbox.originator_id(),
                "ResponseStatus": "1000",
                "ResponseDescription": "ShortCode Registered Successfully",
            }
        )

    async def pull(self, request: web.Request) -> web.Response:
        body = await self._body(request, PULL)
        self._check_code(_text(body, "ShortCode"))
        paid = await self._sandbox.pull(
            _eat_ms(body, "StartDate"), _eat_ms(body, "EndDate"), int(_text(body, "OffSetValue"))
        )
        if paid is None:
            raise DarajaError(500, "500.001.1001", "ShortCode is not registered for pull transactions")
        return json_response(
            {
                "ResponseRefID": self._sandbox.originator_id(),
                "ResponseCode": "1000",
                "ResponseMessage": "Success",
                "Response": [[_pulled(prompt) for prompt in paid]],
            }
        )

    async def _body(self, request: web.Request, fields: Sequence[tuple[str, str]]) -> Body:
        """The body of a call with a valid token, its fields checked in order."""
        if not await self._sandbox.prompts.is_bearer(request.headers.get("Authorization", "")):
            raise DarajaError(404, "404.001.03", "Invalid Access Token")
        body = await read_json(request, dict[str, object])
        for name, pattern in fields:
            if not re.fullmatch(pattern, _text(body, name)):
                raise _invalid(name)
        return body

    def _sign(self, body: Body) -> None:
        self._check_code(_text(body, "BusinessShortCode"))
        if not self._sandbox.is_password(_text(body, "Password"), _text(body, "Timestamp")):
            raise DarajaError(500, "500.001.1001", "Wrong credentials")

    def _check_code(self, short_code: str) -> None:
        if short_code != self._sandbox.config.short_code:
            raise DarajaError(500, "500.001.1001", "Merchant does not exist")

    async def _refuse(self, payer: str) -> None:
        """Refuse a push that the customer's script, or a prompt that he has already, does not allow."""
        answer = fate_of(payer).answer
        if answer is Answer.BUSY:
            raise DarajaError(500, "500.003.02", "System is busy")
        if answer is Answer.OFTEN and await self._sandbox.prompts.every_other(payer):
            text = "Error Occurred: Spike Arrest Violation"
            raise DarajaError(429, "500.003.02", text, retry_after_s=1)
        if await self._sandbox.is_locked(payer):
            text = "Unable to lock subscriber, a transaction is already in process for the current subscriber"
            raise DarajaError(500, "500.001.1001", text)

    def _conversation(self, text: str) -> web.Response:
        return json_response(
            {
                "OriginatorCoversationID": self._sandbox.originator_id(),  # the wire's spelling
                "ResponseCode": "0",
                "ResponseDescription": text,
            }
        )


def _pulled(prompt: Prompt) -> dict[str, object]:
    return {
        "transactionId": prompt.receipt,
        "trxDate": datetime.fromtimestamp(prompt.settled_at_ms / 1000, EAT).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "msisdn": int(prompt.payer),
        "sender": "MPESA",
        "transactiontype": "c2b-pay-bill-debit",
        "billreference": prompt.reference,
        "amount": f"{float(prompt.amount):.2f}",
        "organizationname": "payg",
    }


def _eat_ms(body: Body, name: str) -> int:
    try:
        moment = datetime.strptime(_text(body, name), "%Y-%m-%d %H:%M:%S").replace(tzinfo=EAT)
    except ValueError:
        raise _invalid(name) from None
    return int(moment.timestamp() * 1000)


def _invalid(name: str) -> DarajaError:
    return DarajaError(400, "400.002.02", f"Bad Request - Invalid {name}")


def _text(body: Body, name: str) -> str:
    """A field as text: the provider takes digits as numbers and as strings."""
    value = body.get(name, "")
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _basic(request: web.Request) -> str:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        return base64.b64decode(encoded, validate=True).decode() if scheme == "Basic" else ""
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
