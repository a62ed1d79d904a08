"""The Daraja sandbox, spoken to by daraja-v3 and mpesakit; what it sends, read by mpesakit's schemas."""

import asyncio
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from mpesa import MpesaClient
from mpesa.exceptions import AuthenticationError
from mpesa.exceptions import MpesaError as DarajaV3Error
from mpesakit.auth import TokenManager
from mpesakit.c2b.c2b import C2B
from mpesakit.c2b.schemas import (
    C2BConfirmationResponse,
    C2BRegisterUrlRequest,
    C2BValidationRequest,
    C2BValidationResponse,
)
from mpesakit.errors import MpesaApiException
from mpesakit.http_client import MpesaHttpClient
from mpesakit.mpesa_express import (
    StkPush,
    StkPushQueryRequest,
    StkPushSimulateCallback,
    StkPushSimulateRequest,
)

from backend.kit.database import open_database
from backend.kit.http import AiohttpClient
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.momo.providers.daraja_c2b import DarajaC2b, DarajaC2bConfig
from simulator.providers.daraja.routes import make_app
from simulator.providers.daraja.sandbox import DarajaSandbox, DarajaSandboxConfig

SHORT_CODE, MSISDN = "174379", "254708374149"


@pytest.fixture
async def partner():
    """Our side of the callbacks; `calls` has (path, body)."""
    calls = asyncio.Queue()

    async def keep(request):
        await calls.put((request.path, await request.json()))
        return web.json_response({"ResultCode": "0", "ResultDesc": "Accepted", "ThirdPartyTransID": "ours-1"})

    app = web.Application()
    app.router.add_post("/{tail:.*}", keep)
    async with TestServer(app) as server:
        server.calls = calls
        yield server


@pytest.fixture
async def sandbox_url(tmp_path):
    database, http = open_database(f"sqlite:///{tmp_path}", "daraja"), AiohttpClient()
    sandbox = DarajaSandbox(
        database=database,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        http=http,
        config=DarajaSandboxConfig("key", "secret", "passkey", approve_after_s=0.05),
    )
    await sandbox.start()
    async with TestServer(make_app(sandbox)) as server:
        yield str(server.make_url("/")).rstrip("/")
    await sandbox.stop()
    await http.close()
    await database.close()


def daraja_v3(url, **changes):
    app = {"consumer_secret": "secret", "passkey": "passkey", **changes}
    return MpesaClient("key", shortcode=SHORT_CODE, base_url=url, **app)


def mpesakit(url, **changes):
    http = MpesaHttpClient()
    http.base_url = url
    return http, TokenManager(
        consumer_key="key", http_client=http, **{"consumer_secret": "secret", **changes}
    )


async def test_daraja_v3_pushes_and_queries(sandbox_url, partner):
    theirs = daraja_v3(sandbox_url)
    callback_url = str(partner.make_url("/paid"))
    pushed = await asyncio.to_thread(
        theirs.stk_push, "0708374149", 500, "254543", "Solar payment", callback_url
    )
    assert pushed.checkout_request_id.startswith("ws_CO_")
    assert pushed.raw["ResponseCode"] == "0"
    with pytest.raises(DarajaV3Error) as pending:
        await asyncio.to_thread(theirs.stk_query, pushed.checkout_request_id)
    assert pending.value.code == "500.001.1001"
    path, body = await partner.calls.get()
    told = MpesaClient.parse_stk_callback(body)
    assert (path, told["paid"], told["amount"], told["phone"]) == ("/paid", True, 500.0, MSISDN)
    assert told["checkout_request_id"] == pushed.checkout_request_id
    assert len(told["mpesa_receipt"]) == 10
    assert (await asyncio.to_thread(theirs.stk_query, pushed.checkout_request_id)).is_paid


async def test_daraja_v3_is_refused(sandbox_url, partner):
    with pytest.raises(AuthenticationError) as refused:
        await asyncio.to_thread(daraja_v3(sandbox_url, consumer_secret="no").stk_query, "ws_CO_1")
    assert refused.value.code == "400"
    callback_url = str(partner.make_url("/paid"))
    with pytest.raises(DarajaV3Error) as refused:
        await asyncio.to_thread(
            daraja_v3(sandbox_url, passkey="no").stk_push, MSISDN, 5, "x", "y", callback_url
        )
    assert (refused.value.code, "Wrong credentials" in str(refused.value)) == ("500.001.1001", True)
    with pytest.raises(DarajaV3Error) as refused:
        await asyncio.to_thread(daraja_v3(sandbox_url).stk_push, MSISDN, 5, "x", "y", "https://example.com/x")
    assert "Bad Request - Invalid CallBackURL" in str(refused.value)


async def test_daraja_v3_registers_urls(sandbox_url, partner):
    urls = str(partner.make_url("/hooks/ke/v")), str(partner.make_url("/hooks/ke/c"))
    answer = await asyncio.to_thread(daraja_v3(sandbox_url).c2b_register_urls, *urls)
    assert (answer["ResponseCode"], "OriginatorCoversationID" in answer) == ("0", True)
    with pytest.raises(DarajaV3Error) as refused:
        await asyncio.to_thread(
            daraja_v3(sandbox_url).c2b_register_urls, urls[0], str(partner.make_url("/MPESA"))
        )
    assert "Invalid ConfirmationURL" in str(refused.value)


async def test_mpesakit_pushes_and_reads_the_callback(sandbox_url, partner):
    http, tokens = mpesakit(sandbox_url)
    theirs = StkPush(http_client=http, token_manager=tokens)
    request = StkPushSimulateRequest(
        BusinessShortCode=int(SHORT_CODE),
        Passkey="passkey",
        TransactionType="CustomerPayBillOnline",
        Amount=700,
        PartyA=MSISDN,
        PartyB=SHORT_CODE,
        PhoneNumber=MSISDN,
        CallBackURL=str(partner.make_url("/paid")),
        AccountReference="254543",
        TransactionDesc="Solar payment",
    )
    pushed = await asyncio.to_thread(theirs.push, request)
    assert pushed.is_successful()
    _, body = await partner.calls.get()
    told = StkPushSimulateCallback(**body)
    assert (told.is_successful, told.amount, told.phone_number) == (True, 700.0, MSISDN)
    query = StkPushQueryRequest(
        BusinessShortCode=int(SHORT_CODE), Passkey="passkey", CheckoutRequestID=pushed.CheckoutRequestID
    )
    seen = await asyncio.to_thread(theirs.query, query)
    assert (seen.is_successful(), seen.ResultCode) == (True, "0")
    with pytest.raises(MpesaApiException) as refused:
        await asyncio.to_thread(mpesakit(sandbox_url, consumer_secret="no")[1].get_token)
    assert refused.value.error.error_message == "Invalid Authentication passed"


async def test_mpesakit_reads_the_paybill_calls_and_our_answers(sandbox_url, partner):
    http, tokens = mpesakit(sandbox_url)
    registration = C2BRegisterUrlRequest(
        ShortCode=int(SHORT_CODE),
        ResponseType="Cancelled",
        ValidationURL=str(partner.make_url("/hooks/ke/c2b/v/" + "0" * 32)),
        ConfirmationURL=str(partner.make_url("/hooks/ke/c2b/c/" + "0" * 32)),
    )
    registered = await asyncio.to_thread(
        C2B(http_client=http, token_manager=tokens).register_url, registration
    )
    assert registered.is_successful()
    headers = {"Authorization": f"Bearer {tokens.get_token()}"}
    payment = {
        "ShortCode": SHORT_CODE,
        "CommandID": "CustomerPayBillOnline",
        "Amount": "10",
        "Msisdn": MSISDN,
        "BillRefNumber": "254543",
    }
    await asyncio.to_thread(http.post, "/mpesa/c2b/v2/simulate", payment, headers)
    calls = [await partner.calls.get() for _ in range(2)]
    assert [path.split("/")[4] for path, _ in calls] == ["v", "c"]
    validation, confirmation = (C2BValidationRequest(**body) for _, body in calls)
    assert (validation.TransID, validation.TransAmount) == (confirmation.TransID, 10.0)
    assert (validation.ThirdPartyTransID, confirmation.ThirdPartyTransID) == ("", "ours-1")
    assert confirmation.MSISDN == MSISDN, "v1 does not mask"

    ours = DarajaC2b(DarajaC2bConfig("ke_safaricom_mpesa", "0" * 32))
    incoming = ours.read(json.dumps(calls[1][1]).encode())
    assert (incoming.amount_subunit, incoming.reference, incoming.business_account) == (
        10_00,
        "254543",
        SHORT_CODE,
    )
    for status in ("ok", "reference_not_found", "amount_too_low", "amount_too_high", "unavailable"):
        C2BValidationResponse(**ours.verdict(status))
    C2BConfirmationResponse(**ours.notice_answer)
