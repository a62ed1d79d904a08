"""A good request for every route: the services' are the examples of their documents, the sandboxes' are here.

Bad ones are made of them (bad.py), each wrong in one thing.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from backend.kit import rsa
from backend.kit.openapi import FORM, JSON
from tests.backend.conftest import START_MS
from tests.wire.every import CLIENT, SEED, SERVICES, Application, reference_id, secret

Body = Any  # JSON's values, a form's fields, or a text as it is
DESCRIPTION = ("/", "/openapi.json", "/docs")  # of a sandbox, of a service: they take nothing


@dataclass(frozen=True)
class Good:
    """One request. `path` as the router has it, with `values` for its parameters; `kind`: the content type.

    fields: what besides the example's the body may have. sign: the headers that go with a body.
    """

    method: str
    path: str
    values: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    body: Body = None
    fields: tuple[str, ...] = ()
    sign: Callable[[bytes], Mapping[str, str]] = lambda _: {}

    @property
    def target(self) -> str:
        """Path and query, encoded."""
        return self.at(self.values, urlencode(self.query))

    def at(self, values: Mapping[str, str], query: str) -> str:
        """The same with other values and another query."""
        path = self.path
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        return f"{path}?{query}" if query else path

    def encoded(self, body: Body) -> bytes:
        """A body on the wire."""
        if isinstance(body, bytes) or body is None:
            return body or b""
        if self.kind == FORM:
            return urlencode(body).encode()
        return body.encode() if isinstance(body, str) else json.dumps(body).encode()


async def goods(application: Application) -> list[Good]:
    """The good requests of an application."""
    if application.name in SERVICES:
        return await _of_document(application)
    return [good async for good in _SANDBOXES[application.name.partition("/")[2]](application)]


def routes(app: web.Application) -> set[tuple[str, str]]:
    """(method, path) of a router; HEAD goes where GET goes."""
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


# Services


async def _of_document(application: Application) -> list[Good]:
    async with TestClient(TestServer(application.app)) as http:
        document = await (await http.get("/openapi.json")).json()
        headers = await _credentials(application, http)
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            names = [name for need in operation["security"] for name in need]
            login = {key: value for name in names for key, value in headers[name].items()}
            bodies = operation.get("requestBody", {"content": {}})["content"]
            found += [
                _told((method, path), operation, login, media, document)
                for media in bodies.items() or [("", {})]
            ]
    return found


def _told(
    route: tuple[str, str], operation: Any, login: Mapping[str, str], media: tuple[str, Any], document: Any
) -> Good:
    """The example of an operation with one of its content types."""
    (method, path), (kind, content) = route, media
    known = _HOOKS.get(path.rpartition("/")[0] if path.endswith("{secret}") else path, _Hook())
    values: dict[str, dict[str, str]] = {"path": {}, "query": {}}
    for each in operation.get("parameters", ()):
        values[each["in"]][each["name"]] = known.values.get(each["name"], each.get("example"))
    body = content.get("example", known.body)
    if kind and body is None:
        body = "x"
    if isinstance(body, Mapping) and "$CLIENT_SECRET" in body.values():
        body = {**body, "client_secret": CLIENT[1]}
    schema = content.get("schema", {})
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    named = document["components"]["schemas"][name] if name else schema
    webhook = any("webhook-signature" in need for need in operation["security"])
    return Good(
        method.upper(),
        path,
        values=values["path"],
        query={name: value for name, value in values["query"].items() if value is not None},
        headers={**login, **known.headers},
        kind=kind,
        body=body,
        fields=tuple(named.get("properties", ())),
        sign=_webhook if webhook else lambda _: {},
    )


@dataclass(frozen=True)
class _Hook:
    """What a hook's example leaves out: its credential, and a body that the provider fixes."""

    values: Mapping[str, str] = field(default_factory=dict)
    body: Body = None
    headers: Mapping[str, str] = field(default_factory=dict)


def _basic(name: str, password: object) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


_MEGA = _Hook({"secret": secret("mega_dlr_secret")})
_C2B = _Hook(
    {"market": "ke", "name": "c2b", "secret": secret("daraja_c2b_secret")},
    {
        "TransactionType": "Pay Bill",
        "TransID": "SL1",
        "TransTime": "20251201101000",
        "TransAmount": "100.00",
        "BusinessShortCode": "174379",
        "BillRefNumber": SEED.account_reference,
        "MSISDN": "25470****149",
        "FirstName": "John",
    },
)
_HOOKS = {
    **{f"/hooks/africastalking/{name}": _MEGA for name in ("dlr", "inbound", "optout")},
    **{f"/hooks/infobip/{name}": _MEGA for name in ("dlr", "inbound")},
    "/hooks/pindo/dlr": _MEGA,
    **{
        f"/hooks/africastalking/{name}": _Hook({"secret": secret("mese_ussd_secret")})
        for name in ("ussd", "ussd/end")
    },
    "/hooks/{provider}": _Hook(
        {"provider": "airtel", "secret": secret("airtel_hook_secret")},
        {"transaction": {"id": "order-1", "status_code": "TS", "airtel_money_id": "MP1"}, "hash": "AA=="},
    ),
    "/hooks/{market}/{name}/v": _C2B,
    "/hooks/{market}/{name}/c": _C2B,
    "/hooks/{market}/{name}": _Hook(
        {"market": "ke", "name": "ipn"},
        {
            "transaction": {
                "reference": "EQ1",
                "amount": 100.0,
                "status": "SUCCESS",
                "currency": "KES",
                "billNumber": SEED.account_reference,
            },
            "customer": {"mobileNumber": "254711000001"},
        },
        {"Authorization": _basic("equity", secret("equity_ipn_password"))},
    ),
}


async def _credentials(application: Application, http: TestClient) -> Mapping[str, Mapping[str, str]]:
    """By the names of security schemes."""
    key = str(application.credentials["api_key"])
    login = _basic(quote(SEED.serial, safe=""), SEED.password)
    headers = {"API-KEY": {"API-KEY": key}, "X-API-Key": {"X-API-Key": key}, "webhook-signature": {}}
    headers |= {"basic": {"Authorization": login}, "bearer": {}}
    if application.name == "solarium":
        answer = await http.post("/api/auth/token", json={"client_id": CLIENT[0], "client_secret": CLIENT[1]})
        token = (await answer.json())["access_token"]
        headers["bearer"] = {"Authorization": f"Bearer {token}"}
    return headers


def _webhook(body: bytes) -> Mapping[str, str]:
    at = str(START_MS // 1000)
    signed = hmac.digest(bytes.fromhex(secret("webhook_secret")), f"id.{at}.".encode() + body, hashlib.sha256)
    signature = f"v1,{base64.b64encode(signed).decode()}"
    return {"webhook-id": "id", "webhook-timestamp": at, "webhook-signature": signature}


# Sandboxes

Goods = Any  # an async iterator of Good
CALLED = "http://127.0.0.1:9/called"


async def _bearer(application: Application, path: str, **request: Any) -> dict[str, str]:
    """The header with an access token of a sandbox."""
    async with (
        TestClient(TestServer(application.app)) as http,
        http.request(request.pop("method", "POST"), path, **request) as answer,
    ):
        told = await answer.json()
    token = told.get("access_token") or told.get("accessToken") or told["data"]["accessToken"]
    return {"Authorization": f"Bearer {token}"}


async def _daraja(application: Application) -> Goods:
    mine = application.credentials
    login = {"Authorization": _basic(str(mine["consumer_key"]), mine["consumer_secret"])}
    query = {"grant_type": "client_credentials"}
    bearer = await _bearer(application, "/oauth/v1/generate", method="GET", headers=login, params=query)
    code, stamp = str(mine["short_code"]), "20251201101000"
    password = base64.b64encode(f"{code}{mine['passkey']}{stamp}".encode()).decode()
    signed = {"BusinessShortCode": code, "Password": password, "Timestamp": stamp}
    paid = {
        "ShortCode": code,
        "Amount": "100",
        "Msisdn": "254711000001",
        "BillRefNumber": SEED.account_reference,
    }
    urls = {"ConfirmationURL": f"{CALLED}/c", "ValidationURL": f"{CALLED}/v"}
    span = {"StartDate": "2025-12-01 00:00:00", "EndDate": "2025-12-02 00:00:00", "OffSetValue": "0"}
    pushed = {"Amount": "100", "PartyA": "254711000001", "PartyB": code, "PhoneNumber": "254711000001"}
    yield Good("GET", "/oauth/v1/generate", query=query, headers=login)
    for path, body in (
        (
            "/mpesa/stkpush/v1/processrequest",
            {
                **signed,
                "TransactionType": "CustomerPayBillOnline",
                **pushed,
                "CallBackURL": CALLED,
                "AccountReference": SEED.account_reference,
                "TransactionDesc": "light",
            },
        ),
        ("/mpesa/stkpushquery/v1/query", {**signed, "CheckoutRequestID": "ws_CO_1"}),
        (
            "/mpesa/c2b/v{version}/registerurl",
            {"ShortCode": code, "ResponseType": "Completed", **urls},
        ),
        ("/mpesa/c2b/v{version}/simulate", {"CommandID": "CustomerPayBillOnline", **paid}),
        (
            "/pulltransactions/v1/register",
            {"ShortCode": code, "RequestType": "Pull", "CallBackURL": CALLED},
        ),
        ("/pulltransactions/v1/query", {"ShortCode": code, **span}),
    ):
        values = {"version": "2"} if "{version}" in path else {}
        yield Good("POST", path, values=values, headers=bearer, kind=JSON, body=body)


async def _mtn(application: Application) -> Goods:
    mine = application.credentials
    gate = {"Ocp-Apim-Subscription-Key": str(mine["subscription_key"])}
    gate |= {"X-Target-Environment": str(mine["target_environment"])}
    login = {**gate, "Authorization": _basic(str(mine["api_user"]), mine["api_key"])}
    bearer = {**gate, **await _bearer(application, "/collection/token/", headers=login)}
    user = {"api_user": str(mine["api_user"])}
    identified = {"X-Reference-Id": reference_id("request")}
    body = {
        "amount": "4500",
        "currency": "UGX",
        "externalId": "order-1",
        "payer": {"partyIdType": "MSISDN", "partyId": SEED.msisdn},
        "payerMessage": "light",
        "payeeNote": SEED.account_reference,
    }
    new = {"providerCallbackHost": "127.0.0.1"}
    yield Good("POST", "/v1_0/apiuser", headers={**gate, **identified}, kind=JSON, body=new)
    yield Good("GET", "/v1_0/apiuser/{api_user}", values=user, headers=gate)
    yield Good(
        "POST",
        "/v1_0/apiuser/{api_user}/apikey",
        values={"api_user": identified["X-Reference-Id"]},
        headers=gate,
    )
    yield Good("POST", "/collection/token/", headers=login)
    yield Good(
        "POST",
        "/collection/v1_0/requesttopay",
        headers={**bearer, **identified, "X-Callback-Url": CALLED},
        kind=JSON,
        body=body,
    )
    path = "/collection/v1_0/requesttopay/{reference_id}"
    yield Good("GET", path, values={"reference_id": identified["X-Reference-Id"]}, headers=bearer)
    yield Good("GET", "/collection/v1_0/account/balance", headers=bearer)
    path = "/collection/v1_0/accountholder/msisdn/{msisdn}/active"
    yield Good("GET", path, values={"msisdn": SEED.msisdn}, headers=bearer)


async def _airtel(application: Application) -> Goods:
    mine = application.credentials
    login = {
        "client_id": mine["client_id"],
        "client_secret": mine["client_secret"],
        "grant_type": "client_credentials",
    }
    headers = await _bearer(application, "/auth/oauth2/token", json=login)
    headers |= {"X-Country": "UG", "X-Currency": "UGX"}
    country = {"country": "UG", "currency": "UGX"}
    body = {
        "reference": SEED.account_reference,
        "subscriber": {**country, "msisdn": "752100000"},
        "transaction": {**country, "amount": 4500, "id": "order-1"},
    }
    yield Good("POST", "/auth/oauth2/token", kind=JSON, body=login)
    yield Good("GET", "/v1/rsa/encryption-keys", headers=headers)
    path = "/merchant/v{version}/payments/"
    yield Good("POST", path, values={"version": "1"}, headers=headers, kind=JSON, body=body)
    refund = {"transaction": {"airtel_money_id": "MP251201.1030.A00001"}}
    yield Good("POST", "/standard/v1/payments/refund", headers=headers, kind=JSON, body=refund)
    yield Good("GET", "/standard/v1/payments/{id}", values={"id": "order-1"}, headers=headers)


async def _equity(application: Application) -> Goods:
    mine = application.credentials
    login = {"merchantCode": mine["merchant_code"], "consumerSecret": mine["consumer_secret"]}
    api_key = {"Api-Key": str(mine["api_key"])}
    path = "/authentication/api/v3/authenticate/merchant"
    bearer = await _bearer(application, path, json=login, headers=api_key)
    private = rsa.private_key(str(mine["private_key"]))
    body = {
        "merchant": {"accountNumber": mine["account_number"], "countryCode": "KE", "name": "payg"},
        "payment": {
            "ref": "ORDER00001",
            "amount": "100.00",
            "currency": "KES",
            "telco": "Safaricom",
            "mobileNumber": "254711000001",
            "date": "2025-12-01",
            "callBackUrl": CALLED,
            "pushType": "STK",
        },
    }

    def sign(sent: bytes) -> Mapping[str, str]:
        try:
            asked = json.loads(sent)
            names = ("ref", "mobileNumber", "telco", "amount", "currency")
            text = asked["merchant"]["accountNumber"] + "".join(asked["payment"][name] for name in names)
            return {"Signature": rsa.sign(private, text)}
        except (ValueError, TypeError, KeyError, RecursionError):  # what has no such text can't be signed
            return {"Signature": "AAAA"}

    yield Good("POST", path, headers=api_key, kind=JSON, body=login)
    path = "/v3-apis/payment-api/v3.0/stkussdpush/initiate"
    yield Good("POST", path, headers=bearer, kind=JSON, body=body, sign=sign)
    paid = {"mobileNumber": "254711000001", "amount": "100", "billNumber": SEED.account_reference}
    yield Good("POST", "/simulate/eazzypay", headers=bearer, kind=JSON, body=paid)


async def _halopesa(application: Application) -> Goods:
    mine = application.credentials
    login = {
        "appName": mine["app_name"],
        "clientId": mine["client_id"],
        "clientSecret": mine["client_secret"],
    }
    bearer = await _bearer(application, "/AppRegistration/GenerateToken", json=login)
    keyed = {**bearer, "X-API-Key": str(mine["api_key"])}
    body = {
        "accountNumber": "255621000001",
        "amount": "1000",
        "currency": "TZS",
        "externalId": "order-1",
        "provider": "Halopesa",
        "callbackUrl": CALLED,
        "checksum": "",
    }
    rest = {name: value for name, value in body.items() if name != "checksum"}
    sorted_ = json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()
    body["checksum"] = hmac.digest(str(mine["api_key"]).encode(), sorted_, "sha256").hex()
    yield Good("POST", "/AppRegistration/GenerateToken", kind=JSON, body=login)
    yield Good("POST", "/azampay/mno/checkout", headers=keyed, kind=JSON, body=body)
    yield Good("GET", "/azampay/v1/public-key", query={"format": "Pem"}, headers=bearer)


async def _africastalking(application: Application) -> Goods:
    mine = application.credentials
    keyed, user = {"apiKey": str(mine["api_key"])}, {"username": str(mine["username"])}
    number = "+254711000001"
    sent = {**user, "to": number, "message": "light"}
    query = {**user, "lastReceivedId": "0"}
    yield Good("POST", "/version1/messaging", headers=keyed, kind=FORM, body=sent)
    yield Good("GET", "/version1/messaging", headers=keyed, query=query)
    said = {**user, "from": number, "to": "28400", "text": "BAL"}
    yield Good("POST", "/simulate/inbound", headers=keyed, kind=FORM, body=said)
    out = {**user, "phoneNumber": number, "senderId": "payg"}
    yield Good("POST", "/simulate/optout", headers=keyed, kind=FORM, body=out)


async def _infobip(application: Application) -> Goods:
    headers = {"Authorization": f"App {application.credentials['api_key']}"}
    to = {"to": "254711000001", "messageId": "message-1"}
    report = {"delivery": {"url": CALLED, "intermediateReport": False}, "callbackData": "note"}
    newer = {"destinations": [to], "content": {"text": "light"}, "sender": "payg", "webhooks": report}
    older = {"destinations": [to], "text": "light", "from": "payg", "notifyUrl": CALLED}
    messages = {"messageId": "message-1"}
    yield Good("POST", "/sms/3/messages", headers=headers, kind=JSON, body={"messages": [newer]})
    yield Good("GET", "/sms/3/reports", headers=headers, query=messages)
    yield Good("GET", "/sms/3/logs", headers=headers, query=messages)
    yield Good("POST", "/sms/2/text/advanced", headers=headers, kind=JSON, body={"messages": [older]})
    yield Good("GET", "/sms/1/inbox/reports", headers=headers)
    said = {"from": "254711000001", "to": "28400", "text": "BAL"}
    yield Good("POST", "/simulate/inbound", headers=headers, kind=JSON, body=said)


async def _pindo(application: Application) -> Goods:
    headers = {"Authorization": f"Bearer {application.credentials['token']}"}
    one = {"to": "+250788300001", "text": "light", "sender": "payg"}
    many = {"recipients": [{"phonenumber": "+250788300001", "name": "A"}], "text": "light", "sender": "payg"}
    yield Good("POST", "/v1/sms/", headers=headers, kind=JSON, body=one)
    yield Good("POST", "/v1/sms/bulk", headers=headers, kind=JSON, body=many)


_SANDBOXES: Mapping[str, Callable[[Application], Any]] = {
    "daraja": _daraja,
    "mtn": _mtn,
    "airtel": _airtel,
    "equity": _equity,
    "halopesa": _halopesa,
    "africastalking": _africastalking,
    "infobip": _infobip,
    "pindo": _pindo,
}
