"""The MTN sandbox, spoken to by the momo-openapi package, and its contract's errors row by row."""

import asyncio
import base64
import json
import uuid

import pytest
from aiohttp.test_utils import TestClient, TestServer
from momo_openapi import Collection, MomoConfig
from momo_openapi.errors import AuthenticationError, MomoAPIError

from backend.kit.database import open_database
from backend.kit.http import AiohttpClient
from backend.kit.runtime import SystemClock, SystemEntropy
from simulator.providers.mtn.routes import make_app
from simulator.providers.mtn.sandbox import MtnSandbox, MtnSandboxConfig
from simulator.providers.mtn.store import ApiUser

USER = ApiUser("user-ug", "mtnuganda", "127.0.0.1", "key-ug")
REF = "5f1f7a5e-6f0b-4d53-9a86-0d9c9f0c6a10"


class CallbackRecorder:
    """Stands in for the partner: keeps what it is sent."""

    def __init__(self):
        self.requests: asyncio.Queue[tuple[str, str, bytes]] = asyncio.Queue()

    async def request(self, method, url, *, headers=None, body=b"", timeout_s=10.0):
        await self.requests.put((method, url, body))


def sandbox_of(url, http, approve_after_s=0.02):
    return MtnSandbox(
        database=open_database(url, "mtn"),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        http=http,
        config=MtnSandboxConfig("sub", [USER], approve_after_s),
    )


@pytest.fixture
def partner():
    return CallbackRecorder()


@pytest.fixture
async def sandbox(database_url, partner):
    sandbox = sandbox_of(database_url, partner)
    await sandbox.start()
    yield sandbox
    await sandbox.stop()
    await sandbox._database.close()


@pytest.fixture
async def client(sandbox):
    async with TestClient(TestServer(make_app(sandbox))) as client:
        yield client


def momo_openapi(client, **changes):
    settings = {
        "subscription_key": "sub",
        "user_id": "user-ug",
        "credential_token": "key-ug",
        "target_environment": "mtnuganda",
        "base_url": str(client.make_url("/")),
        "currency": "UGX",
    }
    return Collection(MomoConfig(**{**settings, **changes}))


async def test_momo_openapi_collects_and_reads_the_status(client):
    theirs = momo_openapi(client)
    ref = await asyncio.to_thread(theirs.request_to_pay, "5000", "256772123456", "inv-1")
    with pytest.raises(MomoAPIError) as duplicate:
        await asyncio.to_thread(theirs.request_to_pay, "5000", "256772123456", "inv-1", reference_id=ref)
    assert (duplicate.value.status_code, duplicate.value.code) == (409, "RESOURCE_ALREADY_EXIST")
    for _ in range(200):
        status = await asyncio.to_thread(theirs.get_transaction_status, ref)
        if status["status"] != "PENDING":
            break
    assert status["status"] == "SUCCESSFUL"
    assert status["financialTransactionId"].isdigit()
    assert (status["amount"], status["currency"], status["externalId"]) == ("5000", "UGX", "inv-1")
    assert await asyncio.to_thread(theirs.get_balance) == {"availableBalance": "5000", "currency": "UGX"}
    with pytest.raises(MomoAPIError) as unknown:
        await asyncio.to_thread(theirs.get_transaction_status, str(uuid.uuid4()))
    assert (unknown.value.status_code, unknown.value.code) == (404, "RESOURCE_NOT_FOUND")


async def test_momo_openapi_is_refused_with_wrong_credentials(client):
    with pytest.raises(AuthenticationError) as error:
        await asyncio.to_thread(momo_openapi(client, credential_token="no").get_access_token)
    assert error.value.code == "invalid_client"
    with pytest.raises(AuthenticationError):
        await asyncio.to_thread(momo_openapi(client, subscription_key="no").get_access_token)
    with pytest.raises(MomoAPIError) as error:
        await asyncio.to_thread(momo_openapi(client, target_environment="mtnrwanda").get_access_token)
    assert error.value.status_code == 400


async def test_a_provisioned_user_collects_euros(client):
    headers = {"Ocp-Apim-Subscription-Key": "sub", "X-Reference-Id": REF}
    body = {"providerCallbackHost": "127.0.0.1"}
    assert (await client.post("/v1_0/apiuser", headers=headers, json=body)).status == 201
    assert (await client.post("/v1_0/apiuser", headers=headers, json=body)).status == 409
    seen = await client.get(f"/v1_0/apiuser/{REF}", headers=headers)
    assert await seen.json() == {"providerCallbackHost": "127.0.0.1", "targetEnvironment": "sandbox"}
    answer = await client.post(f"/v1_0/apiuser/{REF}/apikey", headers=headers)
    assert answer.status == 201
    key = (await answer.json())["apiKey"]
    theirs = momo_openapi(
        client, user_id=REF, credential_token=key, target_environment="sandbox", currency="EUR"
    )
    assert await asyncio.to_thread(theirs.request_to_pay, "1.50", "46733123999", "inv-2")


async def bearer(client):
    basic = base64.b64encode(b"user-ug:key-ug").decode()
    headers = {
        "Authorization": f"Basic {basic}",
        "Ocp-Apim-Subscription-Key": "sub",
        "X-Target-Environment": "mtnuganda",
    }
    answer = await client.post("/collection/token/", headers=headers)
    token = (await answer.json())["access_token"]
    return {**headers, "Authorization": f"Bearer {token}", "X-Reference-Id": REF}


BODY = {
    "amount": "5000",
    "currency": "UGX",
    "externalId": "x",
    "payer": {"partyIdType": "MSISDN", "partyId": "256772123456"},
}


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        (({"Ocp-Apim-Subscription-Key": "no"}, {}), 401, "subscription key"),
        (({"Authorization": "Bearer no"}, {}), 401, "Unauthorized"),
        (({"Authorization": "Bearer \udcff"}, {}), 401, "Unauthorized"),
        (({"User-Agent": "python-requests/2.32"}, {}), 403, "<h1>403 Forbidden</h1>"),
        (({"X-Target-Environment": "sandbox"}, {}), 500, "NOT_ALLOWED_TARGET_ENVIRONMENT"),
        (({"X-Reference-Id": "no"}, {}), 400, "X-Reference-Id"),
        (({"X-Reference-Id": "5f1f7a5e-6f0b-1d53-9a86-0d9c9f0c6a10"}, {}), 400, "X-Reference-Id"),
        (({"X-Callback-Url": "http://example.com/x"}, {}), 500, "INVALID_CALLBACK_URL_HOST"),
        (({"X-Callback-Url": "http://127.0.0.1@example.com/x"}, {}), 500, "INVALID_CALLBACK_URL_HOST"),
        (({}, {"currency": "EUR"}), 500, "INVALID_CURRENCY"),
        (({}, {"amount": "50.00"}), 400, "decimals"),
        (({}, {"amount": "0"}), 400, "amount"),
        (({}, {"amount": 5000}), 400, "schema"),
        (({}, {"amount": "-5"}), 400, "schema"),
        (({}, {"payerMessage": "x" * 161}), 400, "schema"),
        (({}, {"payer": {"partyIdType": "EMAIL", "partyId": "256772123456"}}), 400, "payer"),
        (({}, {"payer": {"partyIdType": "MSISDN", "partyId": "46733123462"}}), 503, "SERVICE_UNAVAILABLE"),
        (({}, {"payer": {"partyIdType": "MSISDN", "partyId": "46733123457"}}), 500, "NOT_ALLOWED"),
    ],
)
async def test_a_bad_request_is_refused_and_changes_nothing(client, sandbox, change, status, says):
    headers, body = change
    sent = {**(await bearer(client)), **headers}
    answer = await client.post("/collection/v1_0/requesttopay", headers=sent, json={**BODY, **body})
    assert answer.status == status
    assert says in await answer.text()
    assert await sandbox.collections() == 0


async def test_what_nobody_has_is_404(client):
    for path in ("/collection/v1_0/requesttopay/5f1f7a5e-6f0b-4d53-9a86-0d9c9f0c6a10", "/collection/v1_0/x"):
        answer = await client.get(path, headers=await bearer(client))
        assert (answer.status, await answer.json()) == (
            404,
            {"code": "RESOURCE_NOT_FOUND", "message": "Requested resource was not found."},
        )


async def test_no_body_fits_the_contract_better_than_an_empty_202(client):
    headers = await bearer(client)
    answer = await client.post("/collection/v1_0/requesttopay", headers=headers, json=BODY)
    assert (answer.status, await answer.read()) == (202, b"")


@pytest.mark.parametrize(
    ("payer", "status", "reason"),
    [
        ("256772123456", "SUCCESSFUL", None),
        ("46733123450", "FAILED", {"code": "INTERNAL_PROCESSING_ERROR"}),
        ("46733123451", "FAILED", "APPROVAL_REJECTED"),
        ("46733123452", "FAILED", "EXPIRED"),
        ("46733123455", "FAILED", {"code": "PAYER_NOT_FOUND"}),
    ],
)
async def test_one_callback_tells_what_the_status_tells(client, partner, payer, status, reason):
    headers = {**(await bearer(client)), "X-Callback-Url": "http://127.0.0.1:9/hook"}
    body = {**BODY, "payer": {"partyIdType": "MSISDN", "partyId": payer}}
    await client.post("/collection/v1_0/requesttopay", headers=headers, json=body)
    method, url, sent = await partner.requests.get()
    assert (method, url) == ("PUT", "http://127.0.0.1:9/hook")
    seen = await client.get(f"/collection/v1_0/requesttopay/{REF}", headers=headers)
    told = json.loads(sent)
    assert told == await seen.json()
    assert told["status"] == status
    if isinstance(reason, dict):
        assert told["reason"]["code"] == reason["code"]
    else:
        assert told.get("reason") == reason


async def test_an_undecided_payment_is_decided_after_a_restart(database_url, partner):
    first = sandbox_of(database_url, partner, approve_after_s=0.1)
    await first.start()
    async with TestClient(TestServer(make_app(first))) as client:
        headers = {**(await bearer(client)), "X-Callback-Url": "http://127.0.0.1:9/hook"}
        await client.post("/collection/v1_0/requesttopay", headers=headers, json=BODY)
    await first.stop()
    await first._database.close()
    assert partner.requests.empty()
    second = sandbox_of(database_url, partner)
    await second.start()
    _, _, sent = await partner.requests.get()
    assert json.loads(sent)["status"] == "SUCCESSFUL"
    await second.stop()
    await second._database.close()


async def test_an_unreachable_partner_harms_nobody(database_url):
    http = AiohttpClient()
    sandbox = sandbox_of(database_url, http)
    await sandbox.start()
    async with TestClient(TestServer(make_app(sandbox))) as client:
        headers = {**(await bearer(client)), "X-Callback-Url": "http://127.0.0.1:9/hook"}
        await client.post("/collection/v1_0/requesttopay", headers=headers, json=BODY)
        while sandbox._dispatcher.counters["done"] < 2:
            await asyncio.sleep(0.01)
        seen = await client.get(f"/collection/v1_0/requesttopay/{REF}", headers=headers)
        assert (await seen.json())["status"] == "SUCCESSFUL"
    await sandbox.stop()
    await http.close()
    await sandbox._database.close()
