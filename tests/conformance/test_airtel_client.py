"""The Airtel sandbox, spoken to by airtelmoney-py, which signs with its own cryptography."""

import asyncio
import json
import uuid

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from airtelmoney import AirtelMoney
from airtelmoney.exceptions import AirtelAPIError, AirtelAuthError
from airtelmoney.resources.collection import CollectionAPI

from backend.kit.database import open_database
from backend.kit.http import AiohttpClient
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.momo.providers.airtel import AirtelConfig, AirtelProvider
from simulator.providers.airtel.routes import make_app
from simulator.providers.airtel.sandbox import AirtelSandbox, AirtelSandboxConfig

MSISDN = "752604392"  # national


@pytest.fixture
async def sandbox_url(tmp_path, callbacks):
    database, http = open_database(f"sqlite:///{tmp_path}", "airtel"), AiohttpClient()
    sandbox = AirtelSandbox(
        database=database,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        http=http,
        config=AirtelSandboxConfig("id", "secret", callbacks.url, approve_after_s=0.05),
    )
    await sandbox.start()
    async with TestServer(make_app(sandbox)) as server:
        yield str(server.make_url("/")).rstrip("/")
    await sandbox.stop()
    await http.close()
    await database.close()


@pytest.fixture
def theirs(sandbox_url):
    client = AirtelMoney("id", "secret", base_url=sandbox_url)
    yield client
    client.session.close()


def pay(client, transaction_id, **changes):
    payment = {"reference": "254543", "msisdn": MSISDN, "amount": 1000, **changes}
    return client.collection.payment(transaction_id=transaction_id, **payment)


async def test_a_signed_payment_its_enquiry_and_its_callback(theirs, callbacks):
    ref = str(uuid.uuid4())
    answer = await asyncio.to_thread(pay, theirs, ref)
    assert answer["data"]["transaction"] == {"id": ref, "status": "Success."}
    assert (answer["status"]["response_code"], answer["status"]["success"]) == ("DP00800001006", True)
    again = await asyncio.to_thread(pay, theirs, ref)
    assert (again["status"]["success"], again["status"]["result_code"]) == (False, "ESB000041")

    body = await callbacks.get()
    told = json.loads(body)
    assert CollectionAPI.verify_callback_hash(told, "secret")
    assert not CollectionAPI.verify_callback_hash(told, "other")
    seen = await asyncio.to_thread(theirs.collection.enquiry, ref)
    transaction = seen["data"]["transaction"]
    assert (transaction["status"], seen["status"]["response_code"]) == ("TS", "DP00800001001")
    assert transaction["airtel_money_id"] == told["transaction"]["airtel_money_id"]
    assert told["transaction"]["message"].startswith("Paid UGX 1,000 ")

    config = AirtelConfig("http://x", "UG", "UGX", "256", "id", "secret", "0" * 32)
    ours = AirtelProvider(config, http=None, clock=SystemClock(), entropy=SystemEntropy())
    assert ours.named("0" * 32, body) == ref
    assert ours.named("1" * 32, body) is None
    assert ours.named("0" * 32, body.replace(b"Paid", b"paid")) is None


async def test_a_payment_is_refunded_once(theirs, callbacks):
    await asyncio.to_thread(pay, theirs, "r1")
    receipt = json.loads(await callbacks.get())["transaction"]["airtel_money_id"]
    answer = await asyncio.to_thread(theirs.collection.refund, receipt)
    assert answer["data"]["transaction"] == {"airtel_money_id": receipt, "status": "SUCCESS"}
    assert answer["status"]["success"]
    for refused, code in ((receipt, "DP00800001008"), ("MP25.nobody", "ESB000045")):
        again = await asyncio.to_thread(theirs.collection.refund, refused)
        assert (again["status"]["success"], again["status"]["result_code"]) == (False, code)


async def test_v1_takes_a_payment_without_a_signature(theirs, sandbox_url):
    token = await asyncio.to_thread(theirs.get_access_token)
    headers = {"Authorization": f"Bearer {token}", "X-Country": "UG", "X-Currency": "UGX"}
    body = {
        "reference": "254543",
        "subscriber": {"country": "UG", "currency": "UGX", "msisdn": MSISDN},
        "transaction": {"amount": 1000, "country": "UG", "currency": "UGX", "id": "unsigned"},
    }
    async with ClientSession() as http:
        for version, success in (("1", True), ("2", False)):
            url = f"{sandbox_url}/merchant/v{version}/payments/"
            async with http.post(url, json=body, headers=headers) as answer:
                assert (await answer.json())["status"]["success"] is success


async def test_what_is_refused(theirs, sandbox_url):
    stranger = AirtelMoney("id", "no", base_url=sandbox_url)
    with pytest.raises(AirtelAuthError):
        await asyncio.to_thread(stranger.get_access_token)
    stranger.session.close()
    with pytest.raises(AirtelAPIError) as refused:
        await asyncio.to_thread(pay, theirs, "t1", sign=False)
    assert refused.value.response_code == "DP00800001026"
    unknown = await asyncio.to_thread(theirs.collection.enquiry, "nobody")
    assert unknown["status"]["result_code"] == "ESB000045"
    for changes, code in (
        ({"msisdn": "0752604392"}, "ESB000033"),
        ({"amount": 0}, "DP00800001004"),
        ({"currency": "KES"}, "ROUTER112"),
    ):
        answer = await asyncio.to_thread(pay, theirs, "t2", **changes)
        assert (answer["status"]["success"], answer["status"]["result_code"]) == (False, code)


async def test_a_token_that_is_refused_is_fetched_again(theirs):
    theirs._token, theirs._token_expiry = "stale", 2**60
    answer = await asyncio.to_thread(pay, theirs, "t3")
    assert answer["status"]["success"]
