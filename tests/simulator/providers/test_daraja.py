"""The Daraja sandbox, error by error (spec/providers.md, section 1); clients: tests/conformance."""

import asyncio
import base64

import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.errors import Unavailable
from backend.kit.http import HttpAnswer
from backend.kit.runtime import SystemClock, SystemEntropy
from simulator.clock import ManualClock
from simulator.providers.daraja.routes import make_app
from simulator.providers.daraja.sandbox import DarajaSandbox, DarajaSandboxConfig, Urls

TIMESTAMP = "20251201131005"
HOOK = "http://127.0.0.1:9/paid"
SIGNED = {
    "BusinessShortCode": "174379",
    "Password": base64.b64encode(f"174379passkey{TIMESTAMP}".encode()).decode(),
    "Timestamp": TIMESTAMP,
}
PUSH = {
    **SIGNED,
    "TransactionType": "CustomerPayBillOnline",
    "Amount": 500,
    "PartyA": "254708374149",
    "PartyB": "174379",
    "PhoneNumber": "254708374149",
    "CallBackURL": HOOK,
    "AccountReference": "254543",
    "TransactionDesc": "x",
}
URLS = Urls("http://127.0.0.1:9/v", "http://127.0.0.1:9/c")


async def started(parts, **changes):
    config = DarajaSandboxConfig("key", "secret", "passkey", **{"approve_after_s": 0.02, **changes})
    sandbox = DarajaSandbox(config=config, **parts)
    await sandbox.start()
    return sandbox


@pytest.fixture
async def sandbox(parts):
    sandbox = await started(parts, urls=URLS, pull=True)
    yield sandbox
    await sandbox.stop()


@pytest.fixture
async def client(sandbox):
    async with TestClient(TestServer(make_app(sandbox))) as client:
        basic = base64.b64encode(b"key:secret").decode()
        url = "/oauth/v1/generate?grant_type=client_credentials"
        answer = await client.get(url, headers={"Authorization": f"Basic {basic}"})
        token = await answer.json()
        assert token["expires_in"] == "3599"
        client.headers = {"Authorization": f"Bearer {token['access_token']}"}
        yield client


async def post(client, path, body):
    answer = await client.post(path, json=body, headers=client.headers)
    return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("query", "credentials", "code"),
    [
        ("?grant_type=client_credentials", "key:no", "400.008.01"),
        ("?grant_type=client_credentials", "", "400.008.01"),
        ("?grant_type=password", "key:secret", "400.008.02"),
        ("", "key:secret", "400.008.02"),
    ],
)
async def test_no_token(client, query, credentials, code):
    basic = base64.b64encode(credentials.encode()).decode()
    answer = await client.get(f"/oauth/v1/generate{query}", headers={"Authorization": f"Basic {basic}"})
    body = await answer.json()
    assert (answer.status, body["errorCode"], sorted(body)) == (
        400,
        code,
        ["errorCode", "errorMessage", "requestId"],
    )


async def test_a_token_expires(tmp_path, parts):
    clock = ManualClock(0)
    sandbox = await started({**parts, "clock": clock})
    authorization = f"Bearer {await sandbox.prompts.issue(3599)}"
    clock.advance(3598)
    assert await sandbox.prompts.is_bearer(authorization)
    clock.advance(2)
    assert not await sandbox.prompts.is_bearer(authorization)
    await sandbox.stop()


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"BusinessShortCode": "1"}, (400, "400.002.02", "Bad Request - Invalid BusinessShortCode")),
        ({"BusinessShortCode": "174380"}, (500, "500.001.1001", "Merchant does not exist")),
        ({"Password": "AAAA"}, (500, "500.001.1001", "Wrong credentials")),
        ({"Timestamp": "now"}, (400, "400.002.02", "Bad Request - Invalid Timestamp")),
        ({"TransactionType": "x"}, (400, "400.002.02", "Bad Request - Invalid TransactionType")),
        ({"Amount": 0}, (400, "400.002.02", "Bad Request - Invalid Amount")),
        ({"Amount": "10.50"}, (400, "400.002.02", "Bad Request - Invalid Amount")),
        ({"Amount": True}, (400, "400.002.02", "Bad Request - Invalid Amount")),
        ({"Amount": 10**400}, (400, "400.002.02", "Bad Request - Invalid")),
        ({"PhoneNumber": "0708374149"}, (400, "400.002.02", "Bad Request - Invalid PhoneNumber")),
        ({"CallBackURL": "https://example.com/x"}, (400, "400.002.02", "Bad Request - Invalid CallBackURL")),
        ({"AccountReference": "x" * 13}, (400, "400.002.02", "Bad Request - Invalid AccountReference")),
        ({"TransactionDesc": "x" * 14}, (400, "400.002.02", "Bad Request - Invalid TransactionDesc")),
        ({"PhoneNumber": "254700000020"}, (500, "500.003.02", "System is busy")),
        ({"PhoneNumber": "254700000022"}, (429, "500.003.02", "Spike Arrest")),
    ],
)
async def test_a_refused_push(client, sandbox, change, refused):
    status, code, says = refused
    seen, body = await post(client, "/mpesa/stkpush/v1/processrequest", {**PUSH, **change})
    assert (seen, body["errorCode"]) == (status, code)
    assert says in body["errorMessage"]
    assert await sandbox.prompts.count() == 0


async def test_strangers_and_other_paths(client):
    path = "/mpesa/stkpush/v1/processrequest"
    answer = await client.post(path, json=PUSH, headers={"Authorization": "Bearer no"})
    assert (answer.status, (await answer.json())["errorCode"]) == (404, "404.001.03")
    answer = await client.get(path)
    assert (answer.status, (await answer.json())["errorCode"]) == (405, "405.001")
    answer = await client.get("/nowhere")
    assert (answer.status, (await answer.json())["errorCode"]) == (404, "404.001.01")
    answer = await client.post(path, data=b"{", headers=client.headers)
    assert (answer.status, (await answer.json())["errorCode"]) == (400, "400.002.02")


async def paid_of(sandbox, *ids):
    """Wait until those prompts are settled."""
    for each in ids:
        while (await sandbox.prompts.prompt(each)).status == "pending":
            await asyncio.sleep(0.01)


async def test_one_push_at_a_time_and_not_the_same_amount_again(client, sandbox, partner_fake):
    path = "/mpesa/stkpush/v1/processrequest"
    _, first = await post(client, path, PUSH)
    status, body = await post(client, path, PUSH)
    assert (status, body["errorMessage"][:25]) == (500, "Unable to lock subscriber")
    url, _, told = await partner_fake.calls.get()
    assert (url, told["Body"]["stkCallback"]["ResultCode"]) == (HOOK, 0)
    _, again = await post(client, path, PUSH)
    await paid_of(sandbox, first["CheckoutRequestID"], again["CheckoutRequestID"])
    _, seen = await post(
        client,
        "/mpesa/stkpushquery/v1/query",
        {**SIGNED, "CheckoutRequestID": again["CheckoutRequestID"]},
    )
    assert (seen["ResultCode"], seen["ResultDesc"]) == ("17", "Rule limited.")
    _, other = await post(client, path, {**PUSH, "Amount": 501})
    await paid_of(sandbox, other["CheckoutRequestID"])
    assert (await sandbox.prompts.prompt(other["CheckoutRequestID"])).receipt


async def test_a_failed_push_is_told_without_metadata(client, partner_fake):
    await post(client, "/mpesa/stkpush/v1/processrequest", {**PUSH, "PhoneNumber": "254700000002"})
    _, _, body = await partner_fake.calls.get()
    told = body["Body"]["stkCallback"]
    assert sorted(told) == ["CheckoutRequestID", "MerchantRequestID", "ResultCode", "ResultDesc"]
    assert told["ResultCode"] == 1032


async def test_a_push_is_confirmed_at_the_paybill_too_and_listed(client, partner_fake):
    await post(client, "/mpesa/stkpush/v1/processrequest", PUSH)
    calls = dict([(await partner_fake.calls.get())[::2] for _ in range(2)])
    items = {
        item["Name"]: item.get("Value")
        for item in calls[HOOK]["Body"]["stkCallback"]["CallbackMetadata"]["Item"]
    }
    notice = calls[URLS.confirmation]
    assert (notice["TransID"], notice["MSISDN"]) == (items["MpesaReceiptNumber"], "25470****149")
    assert "Balance" in items
    assert items["Balance"] is None
    window = {"ShortCode": "174379", "StartDate": "2020-08-04 8:36:00", "EndDate": "2099-08-04 10:10:00"}
    _, listed = await post(client, "/pulltransactions/v1/query", {**window, "OffSetValue": "0"})
    assert [row["transactionId"] for row in listed["Response"][0]] == [notice["TransID"]]
    _, after = await post(client, "/pulltransactions/v1/query", {**window, "OffSetValue": "1"})
    assert after["Response"] == [[]]


SIMULATE = {
    "ShortCode": "174379",
    "CommandID": "CustomerPayBillOnline",
    "Amount": "10",
    "Msisdn": "254708374149",
    "BillRefNumber": "254543",
}


@pytest.mark.parametrize(
    "case",
    [
        (HttpAnswer(200, {}, b'{"ResultCode":"0","ResultDesc":"Accepted"}'), "Cancelled", True),
        (HttpAnswer(200, {}, b'{"ResultCode":"C2B00012","ResultDesc":"Rejected"}'), "Completed", False),
        (HttpAnswer(500, {}, b"{}"), "Cancelled", False),
        (HttpAnswer(500, {}, b"{}"), "Completed", True),
        (Unavailable("away"), "Cancelled", False),
        (Unavailable("away"), "Completed", True),
    ],
)
async def test_a_validation_decides_or_the_default(client, sandbox, partner_fake, case):
    answer, default, confirmed = case
    partner_fake.answer = answer
    await sandbox.register(Urls(URLS.validation, URLS.confirmation, default))
    status, body = await post(client, "/mpesa/c2b/v2/simulate", SIMULATE)
    assert (status, body["ResponseCode"]) == (200, "0")
    url, _, notice = await partner_fake.calls.get()
    assert (url, notice["TransAmount"], notice["BillRefNumber"]) == (URLS.validation, "10", "254543")
    while sandbox.prompts._dispatcher.counters["done"] < 1 + confirmed:
        await asyncio.sleep(0.01)
    assert await sandbox.prompts.count() == confirmed
    assert partner_fake.calls.qsize() == confirmed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ResponseType": "Maybe"}, "Invalid ResponseType"),
        ({"ValidationURL": "http://127.0.0.1:9/Mpesa/v"}, "Invalid ValidationURL"),
        ({"ConfirmationURL": "http://127.0.0.1:9/sql"}, "Invalid ConfirmationURL"),
        ({"ConfirmationURL": "https://example.com/c"}, "Invalid ConfirmationURL"),
        ({"ShortCode": "600001"}, "Merchant does not exist"),
    ],
)
async def test_a_registration_that_is_refused(client, change, says):
    body = {
        "ShortCode": "174379",
        "ResponseType": "Completed",
        "ConfirmationURL": URLS.confirmation,
        "ValidationURL": URLS.validation,
    }
    _, refused = await post(client, "/mpesa/c2b/v1/registerurl", {**body, **change})
    assert says in refused["errorMessage"]


async def test_the_list_must_be_registered(parts):
    sandbox = await started(parts)
    assert await sandbox.pull(0, 2**60, 0) is None
    await sandbox.register_pull()
    assert await sandbox.pull(0, 2**60, 0) == []
    await sandbox.stop()


async def test_the_list_is_registered_with_the_contracts_fields(client, sandbox):
    path = "/pulltransactions/v1/register"
    body = {"ShortCode": "174379", "RequestType": "Pull", "CallBackURL": HOOK}
    status, refused = await post(client, path, body)
    assert (status, refused["errorMessage"]) == (400, "Bad Request - Invalid NominatedNumber")
    status, _ = await post(client, path, body | {"NominatedNumber": "254708374149"})
    assert status == 200


async def test_a_kill_loses_nothing(parts, partner_fake):
    first = await started(parts, approve_after_s=0.1)
    await first.push(payer="254708374149", amount="5", reference="1", callback_url=HOOK)
    await first.stop()
    assert partner_fake.calls.empty()
    second = await started({**parts, "clock": SystemClock(), "entropy": SystemEntropy()})
    url, _, told = await partner_fake.calls.get()
    assert (url, told["Body"]["stkCallback"]["ResultCode"]) == (HOOK, 0)
    await second.stop()
