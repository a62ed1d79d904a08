"""The Equity adapters, answer by answer (spec/providers.md, section 3b)."""

import asyncio
import base64
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.kit import rsa
from backend.kit.errors import BadRequest, Unavailable
from backend.kit.http import HttpAnswer, TimedOut
from backend.momo.ports import Failed, Standing, Succeeded, Taken
from backend.momo.providers.equity import EquityConfig, EquityProvider, ref_of
from backend.momo.providers.equity_ipn import EquityIpn, EquityIpnConfig
from simulator.clock import ManualClock
from tests.backend.momo.scripted_http import ScriptedHttp, answer_of, debit_of

KEY = rsa.new_key()
CONFIG = EquityConfig("https://provider.example", "M1", "1450160649886", "payg", "apik3y", "s3cret", KEY)
DEBIT = debit_of(msisdn="254763000111")
REF = ref_of(DEBIT.provider_ref)


def http_of(*answers, token=None):
    token = token or answer_of(200, accessToken="t", expiresIn="2025-12-01T10:25:00Z")
    return ScriptedHttp(*answers, token=token, token_path="/authenticate/merchant")


def provider_of(http, clock=None):
    return EquityProvider(CONFIG, http=http, clock=clock or ManualClock(DEBIT.created_at_ms))


ACKNOWLEDGED = answer_of(200, status=True, code=-1, message="ok", reference=REF, transactionId="J1")


async def test_a_push_is_the_contracts():
    http = http_of(ACKNOWLEDGED)
    assert await provider_of(http).request(DEBIT) == Taken(REF)
    ((method, url, headers, body),) = http.seen
    assert method == "POST"
    assert url == "https://provider.example/v3-apis/payment-api/v3.0/stkussdpush/initiate"
    signed = f"1450160649886{REF}254763000111Equitel500.00KES"
    assert rsa.verifies(rsa.load_public(rsa.public_pem(KEY)), signed, headers["Signature"])
    assert json.loads(body) == {
        "merchant": {"accountNumber": "1450160649886", "countryCode": "KE", "name": "payg"},
        "payment": {
            "ref": REF,
            "amount": "500.00",
            "currency": "KES",
            "telco": "Equitel",
            "mobileNumber": "254763000111",
            "date": "2025-12-01",
            "callBackUrl": DEBIT.callback_url,
            "pushType": "STK",
        },
    }
    ((_, _, headers, body),) = http.token_requests
    assert headers["Api-Key"] == "apik3y"
    assert json.loads(body) == {"merchantCode": "M1", "consumerSecret": "s3cret"}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (answer_of(200, status=True, code=-1), Taken(REF)),
        (answer_of(400, status=False, code=400101, message="Duplicate"), Taken(REF)),
        (answer_of(200, status=False, code=1, message="no"), Failed("1 no")),
        (
            answer_of(400, status=False, code="900101", message="bad signature"),
            Failed("900101 bad signature"),
        ),
        (answer_of(503, status=False, code=503), Unavailable),
        (answer_of(429, {"retry-after": "4"}, status=False), Unavailable),
        (HttpAnswer(200, {}, b"<html>"), Unavailable),
        (TimedOut("no answer"), TimedOut),
    ],
)
async def test_answers_to_a_push(answer, outcome):
    call = provider_of(http_of(answer)).request(DEBIT)
    if isinstance(outcome, type):
        with pytest.raises(outcome) as raised:
            await call
        if getattr(answer, "status", 0) == 429:
            assert raised.value.retry_after_s == 4
    else:
        assert await call == outcome


def told(code, ref=REF, **members):
    body = {"status": code == 3, "code": code, "message": "m", "transactionReference": ref, **members}
    return json.dumps(body).encode()


PAID = told(3, telcoReference="QK1", debitedAmount=500.0, currency="KES")


@pytest.mark.parametrize(
    ("heard", "outcome"),
    [
        ([], Standing.PENDING),
        ([b"\xff", b"[]", told(0), told(2), told(4)], Standing.PENDING),
        ([PAID], Succeeded("QK1", 500_00, "KES")),
        ([told(2), PAID, PAID], Succeeded("QK1", 500_00, "KES")),
        ([told(1), PAID], Succeeded("QK1", 500_00, "KES")),  # a late success still credits
        ([told("3", debitedAmount="500.00")], Succeeded(REF, 500_00, "KES")),
        ([told(3)], Unavailable),
        ([told(1)], Failed("1 m")),
        ([told(5)], Failed("5 m")),
        ([told(6)], Failed("6 m")),
        ([told(7)], Failed("7 m")),
        # what there is nothing to say about may be null
        ([told(1, message=None, telcoReference=None, debitedAmount=None, currency=None)], Failed("1")),
        ([told(3, debitedAmount=500, currency=None)], Succeeded(REF, 500_00, "KES")),
        ([told(3, ref="OTHER", telcoReference="X", debitedAmount=5)], Standing.PENDING),
    ],
)
async def test_what_was_heard_decides(heard, outcome):
    http = http_of()
    call = provider_of(http).status(DEBIT, heard)
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            await call
    else:
        assert await call == outcome
    assert http.seen == [], "there is no query"


@given(st.uuids(), st.uuids())
def test_refs_are_twelve_letters_and_follow_from_the_reference(one, other):
    refs = [ref_of(str(each)) for each in (one, other)]
    assert all(len(ref) == 12 and ref.isalnum() and ref.isascii() for ref in refs)
    assert (refs[0] == refs[1]) == (one.int % 36**12 == other.int % 36**12)


def test_many_refs_differ():
    refs = {ref_of(str(uuid.UUID(int=number * 2**64 + 4, version=4))) for number in range(2000)}
    assert len(refs) == 2000


@pytest.mark.parametrize(
    ("expires", "fetched_after_s"),
    [("2025-12-01T10:25:00Z", 840), ("soon", 840), ("2999-01-01T00:00:00Z", 840)],
)
async def test_a_token_lives_fifteen_minutes_at_most(expires, fetched_after_s):
    clock = ManualClock(DEBIT.created_at_ms)
    http = http_of(*[ACKNOWLEDGED] * 3, token=answer_of(200, accessToken="t", expiresIn=expires))
    provider = provider_of(http, clock)
    await provider.request(DEBIT)
    clock.advance(fetched_after_s - 1)
    await provider.request(DEBIT)
    assert len(http.token_requests) == 1
    clock.advance(2)
    await provider.request(DEBIT)
    assert len(http.token_requests) == 2


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_no_callback_raises_anything_else(heard):
    assert asyncio.run(provider_of(http_of()).status(DEBIT, heard)) is Standing.PENDING


IPN = EquityIpn(EquityIpnConfig("ke_equity_eazzypay", "247247", "equity", "p4ss"))
NOTICE = {"reference": "R1", "amount": 150, "currency": "KES", "billNumber": "254543", "status": "SUCCESS"}


def ipn(customer=None, **changes):
    body = {"callbackType": "IPN", "transaction": {**NOTICE, **changes}}
    return json.dumps({**body, **({"customer": customer} if customer is not None else {})}).encode()


@pytest.mark.parametrize(
    ("body", "reads"),
    [
        (ipn({"mobileNumber": "0763000111"}), {"sender": "254763000111", "amount_subunit": 150_00}),
        (ipn({"mobileNumber": "+254763000111"}), {"sender": "254763000111"}),
        (ipn({"mobileNumber": ""}), {"sender": "254*********"}),
        (ipn(), {"sender": "254*********", "reference": "254543", "business_account": "247247"}),
        (ipn(amount="150.50"), {"amount_subunit": 150_50}),
        (ipn(billNumber=""), {"reference": "-"}),
        (ipn({"mobileNumber": None}), {"sender": "254*********", "amount_subunit": 150_00}),
        (json.dumps({"customer": None, "transaction": NOTICE}).encode(), {"sender": "254*********"}),
        (ipn(billNumber=None), {"reference": "-"}),
    ],
)
def test_a_notification(body, reads):
    incoming = IPN.read(body)
    assert {name: getattr(incoming, name) for name in reads} == reads
    assert incoming.provider_tx == "R1"


def test_a_failed_payment_is_no_payment():
    assert IPN.read(ipn(status="FAILED")) is None


@pytest.mark.parametrize(
    "body", [ipn(amount=0), ipn(amount="NaN"), ipn(reference=""), ipn(currency="kes"), b"{}", b"\xff"]
)
def test_a_notification_that_is_none(body):
    with pytest.raises(BadRequest):
        IPN.read(body)


def test_the_login():
    header = "Basic " + base64.b64encode(b"equity:p4ss").decode()
    assert IPN.authorizes(secret="", authorization=header)
    for wrong in ("", "Basic", header.lower(), header + "x", "Basic \udcff"):
        assert not IPN.authorizes(secret="", authorization=wrong)


def test_secrets_are_in_no_repr():
    for secret in ("s3cret", "apik3y", "PRIVATE"):
        assert secret not in repr(CONFIG)
    assert "p4ss" not in repr(EquityIpnConfig("k", "b", "u", "p4ss"))
