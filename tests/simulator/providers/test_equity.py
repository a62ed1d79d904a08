"""The Jenga sandbox, error by error (spec/providers.md, section 3b). No client of it exists on PyPI."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.kit import rsa
from simulator.providers.equity.routes import make_app
from simulator.providers.equity.sandbox import EquitySandbox, EquitySandboxConfig

KEY = rsa.new_key()
ACCOUNT = "1450160649886"
PAYMENT = {
    "ref": "REF123456789",
    "amount": "5.00",
    "currency": "KES",
    "telco": "Equitel",
    "mobileNumber": "254763000111",
    "date": "2025-12-01",
    "callBackUrl": "http://127.0.0.1:9/paid",
    "pushType": "STK",
}
PUSH = "/v3-apis/payment-api/v3.0/stkussdpush/initiate"


async def started(parts, **changes):
    config = EquitySandboxConfig(
        api_key="api",
        merchant_code="M1",
        consumer_secret="secret",
        account_number=ACCOUNT,
        public_key=rsa.public_pem(KEY),
        ipn_url="http://127.0.0.1:9/ipn",
        ipn_username="u",
        ipn_password="p",
        approve_after_s=0.02,
    )
    sandbox = EquitySandbox(config=config, **{**parts, **changes})
    await sandbox.start()
    return sandbox


@pytest.fixture
async def sandbox(parts):
    sandbox = await started(parts)
    yield sandbox
    await sandbox.stop()


@pytest.fixture
async def client(sandbox):
    async with TestClient(TestServer(make_app(sandbox))) as client:
        login = {"merchantCode": "M1", "consumerSecret": "secret"}
        path = "/authentication/api/v3/authenticate/merchant"
        answer = await client.post(path, json=login, headers={"Api-Key": "api"})
        token = await answer.json()
        assert sorted(token) == ["accessToken", "expiresIn", "issuedAt", "refreshToken", "tokenType"]
        assert (await client.post(path, json=login)).status == 401
        client.headers = {"Authorization": f"Bearer {token['accessToken']}"}
        yield client


async def push(client, *, signature=None, account=ACCOUNT, **changes):
    payment = {**PAYMENT, **changes}
    text = "".join(
        (account, payment["ref"], payment["mobileNumber"], payment["telco"], payment["amount"], "KES")
    )
    headers = dict(client.headers)
    if signature != "":
        headers["Signature"] = signature or rsa.sign(rsa.private_key(KEY), text)
    body = {"merchant": {"accountNumber": account, "countryCode": "KE", "name": "payg"}, "payment": payment}
    answer = await client.post(PUSH, json=body, headers=headers)
    return answer.status, await answer.json()


async def test_a_push_its_acknowledgement_and_its_callback(client, partner_fake):
    status, body = await push(client)
    assert (status, body["status"], body["code"], body["reference"]) == (200, True, -1, "REF123456789")
    url, _, told = await partner_fake.calls.get()
    assert url == PAYMENT["callBackUrl"]
    assert (told["code"], told["transactionReference"], told["debitedAmount"]) == (3, "REF123456789", 5.0)
    assert told["telcoReference"]
    assert (await push(client))[1]["code"] == 400101


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"signature": ""}, 400, 900100),
        ({"signature": "AAAA"}, 400, 900101),
        ({"account": "1"}, 400, 400),
        ({"amount": "0.00"}, 400, 400),
        ({"amount": "5"}, 200, -1),
        ({"ref": "short"}, 400, 400),
        ({"ref": "x" * 13}, 400, 400),
        ({"telco": "Orange"}, 400, 400),
        ({"mobileNumber": "0763000111"}, 400, 400),
        ({"callBackUrl": "https://example.com/x"}, 400, 400),
        ({"mobileNumber": "254700000020"}, 503, 503),
        ({"mobileNumber": "254700000022"}, 429, 429),
    ],
)
async def test_answers_to_a_push(client, sandbox, change, status, code):
    seen, body = await push(client, **change)
    assert (seen, body["code"], body["status"]) == (status, code, status == 200)
    assert await sandbox.prompts.count() == (status == 200)


async def test_a_stranger(client):
    client.headers = {"Authorization": "Bearer no"}
    assert (await push(client))[0] == 401


async def test_a_customer_pays_the_till(client, partner_fake):
    body = {"mobileNumber": "254763000111", "amount": "150", "billNumber": "254543"}
    answer = await client.post("/simulate/eazzypay", json=body, headers=client.headers)
    assert answer.status == 200
    url, headers, ipn = await partner_fake.calls.get()
    assert (url, headers["Authorization"]) == ("http://127.0.0.1:9/ipn", "Basic dTpw")
    assert (ipn["callbackType"], ipn["transaction"]["status"]) == ("IPN", "SUCCESS")
    assert (ipn["transaction"]["amount"], ipn["transaction"]["billNumber"]) == (150.0, "254543")


async def test_a_kill_loses_nothing(parts, partner_fake):
    first = await started(parts)
    await first.push(
        ref="REF1234567",
        payer="254700000013",
        amount="5",
        telco="Safaricom",
        callback_url="http://127.0.0.1:9/x",
    )
    while (await first.prompts.prompt("REF1234567")).status == "pending":
        pass
    await first.stop()
    assert partner_fake.calls.empty(), "told 10 s later"
    second = await started(parts)
    outbox = second.prompts.store.outbox
    due_at_ms = await parts["database"].read(lambda c: outbox.next_due_ms(c, ["call"]))
    assert due_at_ms > parts["clock"].now_ms() + 5_000
    await second.stop()
