"""The Halopesa adapter, answer by answer (spec/providers.md, section 3c)."""

import asyncio
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.kit import rsa
from backend.kit.errors import Unavailable
from backend.kit.http import HttpAnswer, TimedOut, Unreachable
from backend.momo.ports import Failed, Standing, Succeeded, Taken
from backend.momo.providers.halopesa import HalopesaConfig, HalopesaProvider
from simulator.clock import ManualClock
from tests.backend.momo.scripted_http import ScriptedHttp, answer_of, debit_of

CONFIG = HalopesaConfig("https://provider.example", "https://auth.example", "payg", "id", "s3cret", "apik3y")
DEBIT = debit_of(currency="TZS", msisdn="255621234567", amount_subunit=10_000_00)
PRIVATE = rsa.new_key()
KEY = answer_of(200, success=True, publicKey=rsa.public_pem(PRIVATE))
OTHER_KEY = answer_of(200, success=True, publicKey=rsa.public_pem(rsa.new_key()))


def http_of(*answers, token=None):
    data = {"accessToken": "t", "expire": "2025-12-02T10:10:00Z"}
    token = token or answer_of(200, data=data, success=True)
    return ScriptedHttp(*answers, token=token, token_path="/AppRegistration/GenerateToken")


def provider_of(http):
    return HalopesaProvider(CONFIG, http=http, clock=ManualClock(DEBIT.created_at_ms))


async def test_a_checkout_is_the_contracts():
    http = http_of(answer_of(200, success=True, transactionId="A1", message="ok"))
    assert await provider_of(http).request(DEBIT) == Taken("A1")
    ((method, url, headers, body),) = http.seen
    assert (method, url) == ("POST", "https://provider.example/azampay/mno/checkout")
    assert (headers["Authorization"], headers["X-API-Key"]) == ("Bearer t", "apik3y")
    sent = json.loads(body)
    checksum = sent.pop("checksum")
    assert sent == {
        "accountNumber": "255621234567",
        "amount": "10000",
        "currency": "TZS",
        "externalId": DEBIT.provider_ref,
        "provider": "Halopesa",
        "callbackUrl": DEBIT.callback_url,
    }
    compact = json.dumps(sent, separators=(",", ":"), sort_keys=True).encode()
    assert checksum == hmac.new(b"apik3y", compact, hashlib.sha256).hexdigest()
    assert http.token_requests[0][1] == "https://auth.example/AppRegistration/GenerateToken"


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([answer_of(200, success=True)], Standing.PENDING),
        ([answer_of(200, success=False, message="No")], Failed("No")),
        (
            [answer_of(400, success=False, message="checksum does not match")],
            Failed("checksum does not match"),
        ),
        ([answer_of(401), answer_of(200, success=True, transactionId="A")], Taken("A")),
        ([answer_of(401), answer_of(401)], Unreachable),
        ([answer_of(429, {"retry-after": "3"})], Unreachable),
        ([answer_of(503)], Unreachable),
        ([HttpAnswer(504, {}, b"<html>")], TimedOut),
        ([HttpAnswer(200, {}, b"<html>")], TimedOut),
        ([TimedOut("no answer")], TimedOut),
    ],
)
async def test_answers_to_a_checkout(answers, outcome):
    call = provider_of(http_of(*answers)).request(DEBIT)
    if isinstance(outcome, type):
        with pytest.raises(outcome) as raised:
            await call
        if getattr(answers[-1], "status", 0) == 429:
            assert raised.value.retry_after_s == 3
    else:
        assert await call == outcome


@pytest.mark.parametrize(
    "token", [answer_of(423, success=False), HttpAnswer(200, {}, b"{}"), HttpAnswer(500, {}, b"")]
)
async def test_without_a_token_nothing_was_asked_for(token):
    with pytest.raises(Unreachable):
        await provider_of(http_of(token=token)).request(DEBIT)


def told(status, ref=DEBIT.provider_ref, **members):
    body = {
        "utilityref": ref,
        "externalreference": "HP1",
        "reference": "A1",
        "transactionstatus": status,
        "operator": "Halopesa",
        "amount": "10000",
        "message": "m",
        **members,
    }
    signed = "".join(
        str(body[name] or "") for name in ("utilityref", "externalreference", "transactionstatus", "operator")
    )
    return json.dumps({"signature": rsa.sign(rsa.private_key(PRIVATE), signed), **body}).encode()


PAID = told("success")


@pytest.mark.parametrize(
    ("heard", "answers", "outcome"),
    [
        ([], [], Standing.PENDING),
        ([b"\xff", b"{}", told("success", ref="other")], [], Standing.PENDING),
        ([PAID], [KEY], Succeeded("HP1", 10_000_00, "TZS")),
        ([told("failure"), PAID, PAID], [KEY], Succeeded("HP1", 10_000_00, "TZS")),
        ([told("success", externalreference="")], [KEY], Succeeded("A1", 10_000_00, "TZS")),
        ([told("success", amount=None, message=None)], [KEY], Succeeded("HP1", 10_000_00, "TZS")),
        ([told("success", externalreference=None)], [KEY], Succeeded("A1", 10_000_00, "TZS")),
        ([told("success", reference=None, operator=None)], [KEY], Succeeded("HP1", 10_000_00, "TZS")),
        ([told("success", signature=None)], [KEY, KEY], Standing.PENDING),
        ([told("success", amount="")], [KEY], Succeeded("HP1", 10_000_00, "TZS")),
        ([told("success", amount=9000)], [KEY], Succeeded("HP1", 9_000_00, "TZS")),
        ([told("failure")], [KEY], Failed("m")),
        ([told("pending")], [KEY], Standing.PENDING),
        ([told("success", signature="AAAA")], [KEY, KEY], Standing.PENDING),  # forged
        ([told("success", signature="no base64!")], [KEY, KEY], Standing.PENDING),
        ([PAID], [OTHER_KEY, KEY], Succeeded("HP1", 10_000_00, "TZS")),  # their key was changed
        ([PAID], [answer_of(500)], Unavailable),
        ([PAID], [answer_of(200, publicKey="no")], Unavailable),
    ],
)
async def test_what_was_heard_decides(heard, answers, outcome):
    http = http_of(*answers)
    call = provider_of(http).status(DEBIT, heard)
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            await call
    else:
        assert await call == outcome
    assert http.answers == []


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_no_callback_raises_anything_else(heard):
    assert asyncio.run(provider_of(http_of()).status(DEBIT, heard)) is Standing.PENDING


def test_secrets_are_in_no_repr():
    assert "s3cret" not in repr(CONFIG)
    assert "apik3y" not in repr(CONFIG)
