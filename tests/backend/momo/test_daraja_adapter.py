"""The Daraja adapters, answer by answer (spec/providers.md, section 1)."""

import asyncio
import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.kit.errors import BadRequest, Unavailable
from backend.kit.http import HttpAnswer, TimedOut, Unreachable
from backend.momo.ports import Failed, OneOf, Standing, Succeeded, Taken
from backend.momo.providers.daraja import DarajaConfig, DarajaProvider
from backend.momo.providers.daraja_c2b import DarajaC2b, DarajaC2bConfig
from simulator.clock import ManualClock
from tests.backend.momo.scripted_http import ScriptedHttp, answer_of, debit_of

CONFIG = DarajaConfig("https://provider.example/", "174379", "key", "s3cret", "passw0rd")
NOW_MS = 1_764_583_805_000  # 13:10:05 in East Africa
DEBIT = debit_of()
PUSHED = debit_of(handle="ws_CO_1")


def http_of(*answers, token=None):
    token = token or answer_of(200, access_token="t", expires_in="3599")
    return ScriptedHttp(*answers, token=token, token_path="grant_type=client_credentials")


def provider_of(http):
    return DarajaProvider(CONFIG, http=http, clock=ManualClock(NOW_MS))


def error(status, code, text="x", headers=None):
    return answer_of(status, headers, requestId="1", errorCode=code, errorMessage=text)


async def test_a_push_is_the_contracts():
    http = http_of(answer_of(200, ResponseCode="0", CheckoutRequestID="ws_CO_1", MerchantRequestID="1-1"))
    assert await provider_of(http).request(DEBIT) == Taken("ws_CO_1")
    ((method, url, headers, body),) = http.seen
    assert (method, url) == ("POST", "https://provider.example/mpesa/stkpush/v1/processrequest")
    assert headers["Authorization"] == "Bearer t"
    assert json.loads(body) == {
        "BusinessShortCode": "174379",
        "Password": base64.b64encode(b"174379passw0rd20251201131005").decode(),
        "Timestamp": "20251201131005",
        "TransactionType": "CustomerPayBillOnline",
        "Amount": 500,
        "PartyA": "254708374149",
        "PartyB": "174379",
        "PhoneNumber": "254708374149",
        "CallBackURL": DEBIT.callback_url,
        "AccountReference": "254543",
        "TransactionDesc": "Solar payment",
    }
    ((method, url, headers, _),) = http.token_requests
    assert (method, url.partition("?")[0]) == ("GET", "https://provider.example/oauth/v1/generate")
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"key:s3cret").decode()


BAD_TOKEN = error(404, "404.001.03", "Invalid Access Token")


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([answer_of(200, ResponseCode=0, CheckoutRequestID="ws_CO_2")], Taken("ws_CO_2")),
        ([BAD_TOKEN, answer_of(200, ResponseCode="0", CheckoutRequestID="ws_CO_2")], Taken("ws_CO_2")),
        ([BAD_TOKEN, BAD_TOKEN], Unreachable),
        ([answer_of(200, ResponseCode="1", ResponseDescription="No")], Failed("No")),
        ([answer_of(200, ResponseCode="0")], Standing.PENDING),
        ([HttpAnswer(200, {}, b"<html>")], TimedOut),
        ([error(400, "400.002.02", "Bad Request - Invalid Amount")], Failed("Bad Request - Invalid Amount")),
        ([error(500, "500.001.1001", "Wrong credentials")], Failed("Wrong credentials")),
        ([error(500, "500.003.02", "System is busy")], Unreachable),
        ([error(500, "500.003.03", "Quota Violation")], Unreachable),
        ([error(429, "", headers={"retry-after": "7"})], Unreachable),
        ([HttpAnswer(503, {}, b"")], Unreachable),
        ([error(500, "500.003.1001", "internal")], TimedOut),
        ([HttpAnswer(502, {}, b"\xff")], TimedOut),
        ([TimedOut("no answer")], TimedOut),
    ],
)
async def test_answers_to_a_push(answers, outcome):
    call = provider_of(http_of(*answers)).request(DEBIT)
    if not isinstance(outcome, type):
        assert await call == outcome
        return
    with pytest.raises(outcome) as raised:
        await call
    if getattr(answers[-1], "status", 0) == 429:
        assert raised.value.retry_after_s == 7


async def test_a_reference_that_would_be_cut_is_not_pushed():
    """Its notice and its line in the list would name the cut one: perhaps another customer's account."""
    http = http_of()
    failed = await provider_of(http).request(replace(DEBIT, reference="254543000000-7"))
    assert isinstance(failed, Failed)
    assert failed.reason.startswith("REFERENCE_TOO_LONG")
    assert http.seen == []


@pytest.mark.parametrize("status", [400, 500])
async def test_without_a_token_nothing_was_asked_for(status):
    """Some bad credentials are answered 400 with an empty body."""
    with pytest.raises(Unreachable):
        await provider_of(http_of(token=HttpAnswer(status, {}, b""))).request(DEBIT)


def result(code, text="", handle="ws_CO_1", **items):
    values = {"ResultCode": code, "ResultDesc": text, "CheckoutRequestID": handle}
    if items:
        metadata = [{"Name": "Balance"}, *({"Name": name, "Value": value} for name, value in items.items())]
        values["CallbackMetadata"] = {"Item": metadata}
    return json.dumps({"Body": {"stkCallback": values}}).encode()


def query(code, text=""):
    return answer_of(200, ResponseCode="0", ResultCode=code, ResultDesc=text, CheckoutRequestID="ws_CO_1")


def pulled(*paid):
    rows = [
        {"transactionId": receipt, "msisdn": msisdn, "billreference": "254543", "amount": amount}
        for receipt, msisdn, amount in paid
    ]
    return answer_of(200, ResponseCode="1000", Response=[rows])


def one_of(*receipts, otherwise):
    return OneOf(tuple(Succeeded(receipt, 500_00, "KES") for receipt in receipts), otherwise)


PAID = result(0, "ok", Amount=500.00, MpesaReceiptNumber="NLJ7RT61SV", PhoneNumber=254708374149)
MINE = ("RECEIPT001", 254708374149, "500.00")


@pytest.mark.parametrize(
    ("debit", "heard", "answers", "outcome"),
    [
        (PUSHED, [], [error(500, "500.001.1001", "The transaction is being processed")], Standing.PENDING),
        (PUSHED, [], [query("4999", "still")], Standing.PENDING),
        (PUSHED, [], [query("1037", None)], Failed("1037")),
        (PUSHED, [], [query("1032", "Request cancelled by user")], Failed("1032 Request cancelled by user")),
        (PUSHED, [], [query("SFC_IC0003", "No operator")], Failed("SFC_IC0003 No operator")),
        (PUSHED, [PAID], [query("0")], Succeeded("NLJ7RT61SV", 500_00, "KES")),
        (PUSHED, [b"\xff", result(1, "no"), PAID, PAID], [query(0)], Succeeded("NLJ7RT61SV", 500_00, "KES")),
        (PUSHED, [PAID], [error(500, "500.001.1001")], Standing.PENDING),  # nobody believes a callback alone
        (PUSHED, [PAID], [query("1")], Failed("1")),
        (
            PUSHED,
            [result(0, handle="other", Amount=1, MpesaReceiptNumber="X")],
            [query("0"), pulled()],
            Standing.PENDING,
        ),
        (PUSHED, [result(0, Amount=500)], [query("0")], Unavailable),
        (PUSHED, [], [query("0"), pulled(MINE)], one_of("RECEIPT001", otherwise=Standing.PENDING)),
        (
            PUSHED,
            [],
            [query("0"), pulled(MINE, ("R2", 254708374149, "501.00"), ("R4", None, None))],
            one_of("RECEIPT001", otherwise=Standing.PENDING),
        ),
        (
            PUSHED,
            [],
            [query("0"), pulled(("R3", "25470****149", "500"))],
            one_of("R3", otherwise=Standing.PENDING),
        ),
        (
            PUSHED,
            [],
            [query("0"), pulled(MINE, ("R2", 254708374149, "500"))],
            one_of("RECEIPT001", "R2", otherwise=Standing.PENDING),
        ),
        (PUSHED, [], [query("0"), error(500, "500.001.1001", "not registered")], Unavailable),
        (PUSHED, [], [error(404, "404.001.01")], Standing.NOT_FOUND),
        (PUSHED, [], [HttpAnswer(502, {}, b"")], Unavailable),
        (DEBIT, [], [pulled()], Standing.NOT_FOUND),
        (DEBIT, [], [pulled(MINE)], one_of("RECEIPT001", otherwise=Standing.NOT_FOUND)),
        (DEBIT, [PAID], [query("0")], Succeeded("NLJ7RT61SV", 500_00, "KES")),
    ],
)
async def test_a_status(debit, heard, answers, outcome):
    http = http_of(*answers)
    call = provider_of(http).status(debit, heard)
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            await call
    else:
        assert await call == outcome
    assert http.answers == []


async def test_the_list_is_pulled_around_the_payments_time():
    http = http_of(pulled())
    await provider_of(http).status(DEBIT, [])
    assert json.loads(http.seen[0][3]) == {
        "ShortCode": "174379",
        "StartDate": "2025-12-01 13:09:00",
        "EndDate": "2025-12-01 13:20:00",
        "OffSetValue": "0",
    }


@given(st.binary(max_size=200), st.lists(st.binary(max_size=200), max_size=3))
def test_no_body_raises_anything_else(body, heard):
    call = provider_of(http_of(HttpAnswer(200, {}, body), HttpAnswer(200, {}, body))).status(PUSHED, heard)
    try:
        asyncio.run(call)
    except Unavailable:
        return


def test_secrets_are_in_no_repr():
    assert "s3cret" not in repr(CONFIG)
    assert "passw0rd" not in repr(CONFIG)


C2B = DarajaC2b(DarajaC2bConfig("ke_safaricom_mpesa", "0" * 32))
NOTICE = {
    "TransID": "RKTQDM7W6S",
    "TransAmount": "10.00",
    "BusinessShortCode": "600638",
    "BillRefNumber": " invoice008 ",
    "MSISDN": "25470****149",
}


@pytest.mark.parametrize(
    ("change", "reads"),
    [
        ({}, {"amount_subunit": 10_00, "reference": "invoice008", "sender": "25470****149"}),
        ({"TransAmount": 10, "BusinessShortCode": 600638}, {"business_account": "600638"}),
        ({"TransAmount": "10.50"}, {"amount_subunit": 10_50}),
        ({"BillRefNumber": ""}, {"reference": "-"}),
        ({"BillRefNumber": None}, {"reference": "-"}),
        ({"MSISDN": 254708374149}, {"sender": "254708374149"}),
        ({"MSISDN": "ab3f" * 16}, {"sender": "254*********"}),
        ({"MSISDN": None}, {"sender": "254*********"}),
    ],
)
def test_a_paybill_notice(change, reads):
    incoming = C2B.read(json.dumps({**NOTICE, **change}).encode())
    assert (incoming.provider_tx, incoming.provider_key) == ("RKTQDM7W6S", "ke_safaricom_mpesa")
    assert {name: getattr(incoming, name) for name in reads} == reads


@pytest.mark.parametrize(
    "change",
    [
        {"TransAmount": "NaN"},
        {"TransAmount": "-1"},
        {"TransAmount": "1e99"},
        {"TransAmount": "0.001"},
        {"TransID": ""},
        {"TransID": None},
    ],
)
def test_a_notice_that_is_none(change):
    with pytest.raises(BadRequest):
        C2B.read(json.dumps({**NOTICE, **change}).encode())


@given(st.binary(max_size=300))
def test_no_notice_raises_anything_else(body):
    try:
        C2B.read(body)
    except BadRequest:
        return


def test_the_verdicts_and_the_path():
    codes = {
        "ok": "0",
        "reference_not_found": "C2B00012",
        "amount_too_low": "C2B00013",
        "unavailable": "C2B00016",
    }
    assert {status: C2B.verdict(status)["ResultCode"] for status in codes} == codes
    assert C2B.authorizes(secret="0" * 32, authorization="")
    assert not C2B.authorizes(secret="1" * 32, authorization="")
    forbidden = ("m-pesa", "mpesa", "safaricom", "exe", "exec", "cmd", "sql", "query")
    for hook in (DarajaC2b.hook, DarajaProvider.hook):
        assert not any(word in f"/hooks/{hook}/v/0123456789abcdef" for word in forbidden)
