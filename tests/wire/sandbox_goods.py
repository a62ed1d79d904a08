"""A good request for every route of the sandboxes, which have no documents."""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from backend.kit import rsa
from backend.kit.openapi import FORM, JSON
from tests.wire.every import SEED, Application, reference_id
from tests.wire.good import Good, basic

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
    login = {"Authorization": basic(str(mine["consumer_key"]), mine["consumer_secret"])}
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
    login = {**gate, "Authorization": basic(str(mine["api_user"]), mine["api_key"])}
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


SANDBOXES: Mapping[str, Callable[[Application], Any]] = {
    "daraja": _daraja,
    "mtn": _mtn,
    "airtel": _airtel,
    "equity": _equity,
    "halopesa": _halopesa,
    "africastalking": _africastalking,
    "infobip": _infobip,
    "pindo": _pindo,
}
