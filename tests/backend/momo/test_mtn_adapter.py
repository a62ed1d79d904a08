"""The MTN adapter, answer by answer (spec/providers.md, section 2)."""

import asyncio
import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.kit.errors import Unavailable, Unprocessable
from backend.kit.http import HttpAnswer, TimedOut, Unreachable
from backend.momo.ports import Debit, Failed, Standing, Succeeded
from backend.momo.providers.mtn import USER_AGENT, MtnConfig, MtnProvider
from simulator.clock import ManualClock

CONFIG = MtnConfig("https://momo.example/", "mtnuganda", "UGX", "user", "key", "sub")
DEBIT = Debit(
    payment_id="p1",
    provider_ref="5f1f7a5e-6f0b-4d53-9a86-0d9c9f0c6a10",
    handle=None,
    created_at_ms=0,
    base_url="https://momo.example",
    reference="254543 <b>",
    amount_subunit=5000_00,
    currency="UGX",
    msisdn="256772123456",
    callback_url="https://us.example/hooks/mtn/secret",
)


class Http:
    """Gives tokens, and the scripted answers to everything else; `seen` lists the requests."""

    def __init__(
        self, *answers, token=b'{"access_token":"t%d","token_type":"access_token","expires_in":3600}'
    ):
        self.answers, self.token, self.seen, self.tokens = list(answers), token, [], 0

    async def request(self, method, url, *, headers=None, body=b"", timeout_s=10.0):
        if url.endswith("/collection/token/"):
            self.tokens += 1
            await asyncio.sleep(0)
            self.token_headers = headers
            return HttpAnswer(200, {}, self.token.replace(b"%d", b"%d" % self.tokens))
        self.seen.append((method, url, headers, body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def provider_of(http, clock=None):
    return MtnProvider(CONFIG, http=http, clock=clock or ManualClock(0))


async def test_a_request_is_the_contracts():
    http = Http(HttpAnswer(202, {}, b""))
    assert await provider_of(http).request(DEBIT) is Standing.PENDING
    (method, url, headers, body), *_ = http.seen
    assert (method, url) == ("POST", "https://momo.example/collection/v1_0/requesttopay")
    assert headers == {
        "Authorization": "Bearer t1",
        "X-Reference-Id": DEBIT.provider_ref,
        "X-Target-Environment": "mtnuganda",
        "X-Callback-Url": DEBIT.callback_url,
        "Ocp-Apim-Subscription-Key": "sub",
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json",
    }
    assert json.loads(body) == {
        "amount": "5000",
        "currency": "UGX",
        "externalId": "p1",
        "payer": {"partyIdType": "MSISDN", "partyId": "256772123456"},
        "payerMessage": "Payment for 254543  b ",
        "payeeNote": "Payment for 254543  b ",
    }
    assert http.token_headers["Authorization"] == "Basic " + base64.b64encode(b"user:key").decode()
    assert http.token_headers["X-Target-Environment"] == "mtnuganda"


def error(status, code="", headers=None):
    return HttpAnswer(status, headers or {}, json.dumps({"code": code, "message": "x"}).encode())


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (error(409, "RESOURCE_ALREADY_EXIST"), Standing.PENDING),
        (error(400, "BAD_REQUEST"), Failed("BAD_REQUEST")),
        (HttpAnswer(403, {}, b"<html>no</html>"), Failed("HTTP_403")),
        (error(500, "NOT_ALLOWED"), Failed("NOT_ALLOWED")),
        (error(500, "INVALID_CURRENCY"), Failed("INVALID_CURRENCY")),
        (error(500, "INTERNAL_PROCESSING_ERROR"), Unavailable),
        (error(503, "SERVICE_UNAVAILABLE"), Unavailable),
        (HttpAnswer(502, {}, b"\xff"), Unavailable),
        (error(429, headers={"retry-after": "9"}), Unavailable),
        (TimedOut("no answer"), TimedOut),
    ],
)
async def test_answers_to_a_request(answer, outcome):
    call = provider_of(Http(answer)).request(DEBIT)
    if not isinstance(outcome, type):
        assert await call == outcome
        return
    with pytest.raises(outcome) as raised:
        await call
    if isinstance(answer, HttpAnswer) and answer.status == 429:
        assert raised.value.retry_after_s == 9


def status(**members):
    return HttpAnswer(200, {}, json.dumps({"amount": "5000", "currency": "UGX", **members}).encode())


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (status(status="PENDING"), Standing.PENDING),
        (status(status="SOMETHING_NEW"), Standing.PENDING),
        (
            status(status="SUCCESSFUL", financialTransactionId="23503452"),
            Succeeded("23503452", 5000_00, "UGX"),
        ),
        (
            status(status="SUCCESSFUL", financialTransactionId=7, amount=5000.0),
            Succeeded("7", 5000_00, "UGX"),
        ),
        (status(status="SUCCESSFUL"), Unavailable),
        (status(status="SUCCESSFUL", financialTransactionId="7", amount="NaN"), Unavailable),
        (status(status="SUCCESSFUL", financialTransactionId="7", amount="Infinity"), Unavailable),
        (status(status="FAILED", reason="APPROVAL_REJECTED"), Failed("APPROVAL_REJECTED")),
        (
            status(status="FAILED", reason={"code": "PAYER_NOT_FOUND", "message": "x"}),
            Failed("PAYER_NOT_FOUND"),
        ),
        (status(status="FAILED"), Failed("FAILED")),
        (status(status="FAILED", amount=None, currency=None), Failed("FAILED")),
        (status(status="FAILED", reason={"code": None, "message": None}), Failed("FAILED")),
        (status(status="SUCCESSFUL", financialTransactionId="7", amount=None), Unavailable),
        (error(404, "RESOURCE_NOT_FOUND"), Standing.NOT_FOUND),
        (error(500, "INTERNAL_PROCESSING_ERROR"), Unavailable),
        (HttpAnswer(200, {}, b"<html>"), Unavailable),
        (HttpAnswer(200, {}, b"[]"), Unavailable),
    ],
)
async def test_answers_to_a_status(answer, outcome):
    call = provider_of(Http(answer)).status(DEBIT, [])
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            await call
    else:
        assert await call == outcome


@given(st.binary(max_size=200))
def test_no_status_body_raises_anything_else(body):
    call = provider_of(Http(HttpAnswer(200, {}, body))).status(DEBIT, [])
    try:
        asyncio.run(call)
    except Unavailable:
        return


async def test_a_token_is_kept_until_shortly_before_it_expires():
    clock = ManualClock(0)
    http = Http(*[HttpAnswer(202, {}, b"")] * 9)
    provider = provider_of(http, clock)
    await asyncio.gather(*(provider.request(DEBIT) for _ in range(5)))
    assert http.tokens == 1
    clock.advance(3539)
    await provider.request(DEBIT)
    assert http.tokens == 1
    clock.advance(2)
    await provider.request(DEBIT)
    assert http.tokens == 2


async def test_a_401_fetches_one_new_token_and_no_more():
    http = Http(HttpAnswer(401, {}, b""), HttpAnswer(202, {}, b""))
    assert await provider_of(http).request(DEBIT) is Standing.PENDING
    assert [headers["Authorization"] for _, _, headers, _ in http.seen] == ["Bearer t1", "Bearer t2"]
    http = Http(HttpAnswer(401, {}, b""), HttpAnswer(401, {}, b""))
    with pytest.raises(Unavailable):
        await provider_of(http).request(DEBIT)
    assert http.tokens == 2


@pytest.mark.parametrize("token", [b"{}", b"<html>", b'{"access_token":"t","expires_in":"soon"}'])
async def test_a_token_answer_that_is_none(token):
    with pytest.raises(Unavailable):
        await provider_of(Http(token=token)).request(DEBIT)


async def test_a_token_life_may_be_a_string():
    http = Http(HttpAnswer(202, {}, b""), token=b'{"access_token":"t","expires_in":"3600"}')
    assert await provider_of(http).request(DEBIT) is Standing.PENDING


@pytest.mark.parametrize(
    ("stored", "configured", "asked"),
    [
        ("https://old.example", "https://new.example", "https://old.example"),
        ("http://127.0.0.1:4001/sandbox", "http://127.0.0.1:5001/sandbox", "http://127.0.0.1:5001/sandbox"),
        ("https://old.example", "http://127.0.0.1:5001", "https://old.example"),
    ],
)
async def test_a_payment_is_asked_about_where_it_was_made(stored, configured, asked):
    """A platform stays what it was; a sandbox that moved to another port of this machine is the same one."""
    http = Http(status(status="PENDING"))
    config = MtnConfig(configured, "mtnuganda", "UGX", "user", "key", "sub")
    await MtnProvider(config, http=http, clock=ManualClock(0)).status(replace(DEBIT, base_url=stored), [])
    assert http.seen[0][1] == f"{asked}/collection/v1_0/requesttopay/{DEBIT.provider_ref}"


def test_what_mtn_cannot_move():
    provider = provider_of(Http())
    provider.check(amount_subunit=100, currency="UGX")
    for amount_subunit, currency in ((150, "UGX"), (100, "RWF")):
        with pytest.raises(Unprocessable):
            provider.check(amount_subunit=amount_subunit, currency=currency)


def test_secrets_are_in_no_repr():
    assert "key" not in repr(CONFIG).replace("api_key", "")
    assert "sub" not in repr(CONFIG)


class SlowHttp:
    """A platform where every answer takes `seconds`, up to the asker's patience."""

    def __init__(self, loop, seconds, answers):
        self.loop, self.seconds, self.answers, self.tokens = loop, seconds, answers, 0

    async def request(self, method, url, *, headers=None, body=b"", timeout_s=10.0):
        is_token = url.endswith("/collection/token/")
        self.tokens += is_token
        await asyncio.sleep(min(timeout_s, self.seconds))
        if self.seconds >= timeout_s:
            raise TimedOut("no answer")
        return HttpAnswer(200, {}, b'{"access_token":"t"}') if is_token else self.answers


def test_callers_share_a_token_fetch_and_its_failure(virtually):
    async def story(loop):
        http = SlowHttp(loop, 100.0, None)
        provider = provider_of(http)
        calls = (provider.request(DEBIT) for _ in range(32))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Unreachable}, "none was sent"
        assert (http.tokens, loop.time()) == (1, 3.0)

    virtually(story)


def test_a_call_ends_well_within_a_lease(virtually):
    async def story(loop):
        provider = provider_of(SlowHttp(loop, 2.9, error(401)))
        with pytest.raises(TimedOut):
            await provider.status(DEBIT, [])
        assert loop.time() <= 11

    virtually(story)
