"""The Airtel adapter, answer by answer (spec/providers.md, section 3a)."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.kit import rsa
from backend.kit.errors import Unavailable
from backend.kit.http import HttpAnswer, TimedOut, Unreachable
from backend.momo.ports import Failed, Standing, Succeeded
from backend.momo.providers.airtel import AirtelConfig, AirtelProvider
from simulator.clock import ManualClock, SeededEntropy
from tests.backend.momo.scripted_http import ScriptedHttp, answer_of, debit_of

CONFIG = AirtelConfig("https://provider.example", "UG", "UGX", "256", "id", "s3cret", "a" * 32)
DEBIT = debit_of(currency="UGX", msisdn="256752604392", amount_subunit=1000_00)
KEY = answer_of(200, data={"key_id": 1, "key": rsa.public_der(rsa.new_key())})


def http_of(*answers, token=None, expires_in="180"):
    token = token or answer_of(200, access_token="t", expires_in=expires_in)
    return ScriptedHttp(*answers, token=token, token_path="/auth/oauth2/token")


def provider_of(http, clock=None):
    return AirtelProvider(CONFIG, http=http, clock=clock or ManualClock(0), entropy=SeededEntropy(1))


def said(response_code="", result_code="", *, success=True, http=200, message="m", headers=None, **data):
    status = {"response_code": response_code, "result_code": result_code, "success": success}
    return answer_of(http, headers, status={**status, "code": "200", "message": message}, data=data)


TAKEN = said("DP00800001006", "ESB000010")


async def test_a_payment_is_the_contracts():
    http = http_of(KEY, TAKEN, TAKEN)
    provider = provider_of(http)
    assert await provider.request(DEBIT) is Standing.PENDING
    (method, url, headers, body) = http.seen[1]
    assert (method, url) == ("POST", "https://provider.example/merchant/v2/payments/")
    assert (headers["X-Country"], headers["X-Currency"]) == ("UG", "UGX")
    assert headers["Authorization"] == "Bearer t"
    assert len(headers["x-key"]) == 344
    place = {"country": "UG", "currency": "UGX"}
    assert json.loads(body) == {
        "reference": "254543",
        "subscriber": {**place, "msisdn": "752604392"},
        "transaction": {**place, "amount": 1000, "id": DEBIT.provider_ref},
    }
    await provider.request(DEBIT)
    assert len(http.seen) == 3, "the key is kept"
    assert json.loads(http.token_requests[0][3])["grant_type"] == "client_credentials"


async def test_a_token_lives_three_minutes_and_is_not_used_in_its_last_one():
    clock = ManualClock(0)
    http = http_of(*[said(transaction={"status": "TIP"})] * 3)
    provider = provider_of(http, clock)
    for wait_s, fetched in ((119, 1), (2, 1), (0, 2)):
        await provider.status(DEBIT, [])
        assert len(http.token_requests) == fetched
        clock.advance(wait_s)


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([TAKEN], Standing.PENDING),
        ([said("DP00800001001")], Standing.PENDING),
        ([said("DP00800001008", "ESB000041", success=False)], Standing.PENDING),  # taken by an earlier try
        ([said("DP00800001007", success=False)], Failed("DP00800001007 m")),
        ([said("DP00800001010", "ESB000033", success=False)], Failed("ESB000033 m")),
        ([said("ROUTER003", http=400, success=False)], Failed("ROUTER003 m")),
        ([said("ROUTER408", success=False)], TimedOut),
        ([said("DP00800001000", success=False)], TimedOut),
        ([said("ROUTER429", http=429, success=False, headers={"retry-after": "5"})], Unavailable),
        ([HttpAnswer(502, {}, b"<html>")], Unavailable),
        ([HttpAnswer(200, {}, b"<html>")], Unavailable),
        ([HttpAnswer(401, {}, b""), TAKEN], Standing.PENDING),
        ([HttpAnswer(401, {}, b""), HttpAnswer(401, {}, b"")], Unavailable),
        ([said("DP00800001026", http=403, success=False), KEY, TAKEN], Standing.PENDING),  # another key
        ([TimedOut("no answer")], TimedOut),
    ],
)
async def test_answers_to_a_payment(answers, outcome):
    http = http_of(KEY, *answers)
    call = provider_of(http).request(DEBIT)
    if isinstance(outcome, type):
        with pytest.raises(outcome) as raised:
            await call
        if getattr(answers[0], "status", 0) == 429:
            assert raised.value.retry_after_s == 5
    else:
        assert await call == outcome
    assert http.answers == []


@pytest.mark.parametrize("key", [answer_of(500), answer_of(200, data={"key": "no"}), answer_of(200)])
async def test_without_a_key_nothing_was_asked_for(key):
    with pytest.raises(Unreachable):
        await provider_of(http_of(key)).request(DEBIT)


def seen(status, code="DP00800001001", **members):
    return said(code, transaction={"id": "x", "status": status, **members})


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (seen("TS", airtel_money_id="MP1"), Succeeded("MP1", 1000_00, "UGX")),
        (seen("TS", airtel_money_id=7), Succeeded("7", 1000_00, "UGX")),
        (seen("TS"), Unavailable),
        (seen("TF", message="Refused"), Failed("Refused")),
        (seen("TE"), Failed("TE")),
        (seen("TIP"), Standing.PENDING),
        (seen("TIP", message=None, airtel_money_id=None), Standing.PENDING),
        (seen("TF", message=None), Failed("TF")),
        (said(None, "ESB000045", success=False, message=None), Standing.NOT_FOUND),
        (seen("TA"), Standing.PENDING),
        (seen("??"), Standing.PENDING),
        (said("DP00800001025", "ESB000045", success=False), Standing.NOT_FOUND),
        (said("DP00800001000", success=False), Standing.PENDING),
        (said("ROUTER117", success=False), Standing.PENDING),
        (said("SOMETHING", success=False), Unavailable),
        (HttpAnswer(503, {}, b""), Unavailable),
        (HttpAnswer(200, {}, b"[]"), Unavailable),
    ],
)
async def test_answers_to_an_enquiry(answer, outcome):
    http = http_of(answer)
    call = provider_of(http).status(DEBIT, [b"anything"])
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            await call
    else:
        assert await call == outcome
    assert http.seen[0][1] == f"https://provider.example/standard/v1/payments/{DEBIT.provider_ref}"


@given(st.binary(max_size=200))
def test_no_body_raises_anything_else(body):
    try:
        asyncio.run(provider_of(http_of(HttpAnswer(200, {}, body))).status(DEBIT, []))
    except Unavailable:
        return


@given(st.binary(max_size=200))
def test_no_callback_is_named_without_a_hash(body):
    provider = provider_of(http_of())
    assert provider.named("a" * 32, body) is None
    assert provider.named("a" * 32, b'{"transaction":' + body + b',"hash":"x"}') is None


def test_secrets_are_in_no_repr():
    assert "s3cret" not in repr(CONFIG)
    assert "aaaa" not in repr(CONFIG)
