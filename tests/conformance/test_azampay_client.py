"""The AzamPay sandbox, spoken to by azampay-python-sdk: checkout, public key, signed callback."""

import asyncio
import json

import pytest
from aiohttp.test_utils import TestServer
from azampay import AzamPay, AzamPayError, WebhookValidator
from azampay import _base_client as sdk_urls

from backend.kit.database import open_database
from backend.kit.http import AiohttpClient
from backend.kit.runtime import SystemClock, SystemEntropy
from simulator.providers.halopesa.routes import make_app
from simulator.providers.halopesa.sandbox import HalopesaSandbox, HalopesaSandboxConfig

APP = {"app_name": "payg", "client_id": "id", "client_secret": "secret", "x_api_key": "api"}


@pytest.fixture
async def theirs(tmp_path, monkeypatch):
    database, http = open_database(f"sqlite:///{tmp_path}", "halopesa"), AiohttpClient()
    sandbox = HalopesaSandbox(
        database=database,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        http=http,
        config=HalopesaSandboxConfig("payg", "id", "secret", "api", approve_after_s=0.02),
    )
    await sandbox.start()
    async with TestServer(make_app(sandbox)) as server:
        url = str(server.make_url("/")).rstrip("/")
        monkeypatch.setattr(sdk_urls, "_SANDBOX_AUTH", url)
        monkeypatch.setattr(sdk_urls, "_SANDBOX_BASE", url)

        def client(**changes):
            return AzamPay(**{**APP, **changes}, sandbox=True, max_retries=1)

        yield client
    await sandbox.stop()
    await http.close()
    await database.close()


def checkout(client, url, **changes):
    order = {
        "amount": "10000",
        "account_number": "0621234567",
        "external_id": "order-1",
        "provider": "Halopesa",
    }
    return client.checkout.mobile_checkout(**{**order, **changes}, callback_url=url)


@pytest.mark.parametrize(("number", "status"), [("0621234567", "success"), ("0620000002", "failure")])
async def test_a_checkout_and_its_signed_callback(theirs, callbacks, number, status):
    with theirs() as client:
        answer = await asyncio.to_thread(checkout, client, callbacks.url, account_number=number)
        key = await asyncio.to_thread(client.checkout.get_public_key)
    assert (answer["success"], len(answer["transactionId"])) == (True, 32)
    told = json.loads(await callbacks.get())
    assert (told["utilityref"], told["transactionstatus"], told["operator"]) == (
        "order-1",
        status,
        "Halopesa",
    )
    assert (told["reference"], told["amount"]) == (answer["transactionId"], "10000")
    fields = (told["utilityref"], told["externalreference"], told["transactionstatus"], told["operator"])
    verify = WebhookValidator.verify_callback_signature
    assert verify(*fields, told["signature"], key["publicKey"])
    assert not verify("order-2", *fields[1:], told["signature"], key["publicKey"])


@pytest.mark.parametrize(
    ("app", "order", "status"),
    [
        ({"client_secret": "no"}, {}, 423),
        ({"x_api_key": "no"}, {}, 401),
        ({"x_api_key": None}, {}, 401),
        ({}, {"amount": "0"}, 400),
        ({}, {"amount": "10.5"}, 400),
        ({}, {"currency": "KES"}, 400),
        ({}, {"provider": "Tigo"}, 400),
        ({}, {"account_number": "254708374149"}, 400),
        ({}, {"account_number": "0620000020"}, 503),
        ({}, {"account_number": "0620000022"}, 429),
    ],
)
async def test_what_is_refused(theirs, callbacks, app, order, status):
    with theirs(**app) as client, pytest.raises(AzamPayError) as refused:
        await asyncio.to_thread(checkout, client, callbacks.url, **order)
    assert refused.value.status_code == status
    assert refused.value.response["success"] is False


async def test_a_callback_url_elsewhere_is_refused(theirs):
    with theirs() as client, pytest.raises(AzamPayError):
        await asyncio.to_thread(checkout, client, "https://example.com/hook")
