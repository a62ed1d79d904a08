"""A good request for every route: the services' are the examples of their documents.

Bad ones are made of them (bad.py), each wrong in one thing.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from aiohttp.test_utils import TestClient, TestServer

from tests.backend.conftest import START_MS
from tests.wire.every import CLIENT, SEED, SERVICES, Application, secret
from tests.wire.good import Body, Good, basic
from tests.wire.sandbox_goods import SANDBOXES


async def goods(application: Application) -> list[Good]:
    """The good requests of an application."""
    if application.name in SERVICES:
        return await _of_document(application)
    return [good async for good in SANDBOXES[application.name.partition("/")[2]](application)]


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
        {"Authorization": basic("equity", secret("equity_ipn_password"))},
    ),
}


async def _credentials(application: Application, http: TestClient) -> Mapping[str, Mapping[str, str]]:
    """By the names of security schemes."""
    key = str(application.credentials["api_key"])
    login = basic(quote(SEED.serial, safe=""), SEED.password)
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
