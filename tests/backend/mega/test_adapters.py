"""The adapters of Infobip, Pindo and AfricasTalking read every answer (spec/providers.md, section 4)."""

import json

import pytest

from backend.kit.errors import Unavailable
from backend.kit.http import HttpAnswer, TimedOut
from backend.mega.ports import Accepted, Dlr, Refused, ShortMessage
from backend.mega.providers.africastalking import AfricasTalkingConfig, AfricasTalkingProvider
from backend.mega.providers.infobip import InfobipConfig, InfobipProvider
from backend.mega.providers.pindo import DEFAULT_SENDER, PindoConfig, PindoProvider
from backend.mega.states import Status

MESSAGE = ShortMessage("our-id", "254722123456", "Hello", "PAYG")
ANONYMOUS = ShortMessage("our-id", "250788123456", "Hello", None)


class HttpFake:
    """Answers everything with `answer`; `calls` has (method, url, headers, body)."""

    def __init__(self, answer):
        self.answer = answer
        self.calls = []

    async def request(self, method, url, *, headers=None, body=b"", timeout_s=10.0):
        self.calls.append((method, url, headers, body))
        return self.answer


def infobip(answer):
    http = HttpFake(answer)
    return http, InfobipProvider(InfobipConfig("http://ib/", "key", "http://mega/hook"), http=http)


def pindo(answer):
    http = HttpFake(answer)
    return http, PindoProvider(PindoConfig("http://pindo", "token"), http=http)


def taken(group_id, status_id, name="X", **more):
    body = {
        "messages": [{"messageId": "our-id", "status": {"groupId": group_id, "id": status_id, "name": name}}]
    }
    return HttpAnswer(200, {}, json.dumps({**body, **more}).encode())


async def check(call, outcome):
    if not isinstance(outcome, type):
        assert await call == outcome
        return
    with pytest.raises(Unavailable) as error:
        await call
    assert type(error.value) is outcome


async def test_infobip_is_sent_the_documented_request():
    http, provider = infobip(taken(1, 26, "PENDING_ACCEPTED"))
    assert await provider.send(MESSAGE) == Accepted("our-id", "PENDING_ACCEPTED")
    ((method, url, headers, body),) = http.calls
    assert (method, url) == ("POST", "http://ib/sms/3/messages")
    assert headers["Authorization"] == "App key"
    assert json.loads(body) == {
        "messages": [
            {
                "sender": "PAYG",
                "destinations": [{"to": "254722123456", "messageId": "our-id"}],
                "content": {"text": "Hello"},
                "webhooks": {
                    "delivery": {"url": "http://mega/hook", "intermediateReport": True},
                    "contentType": "application/json",
                    "callbackData": "our-id",
                },
            }
        ]
    }


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (taken(0, 0), Accepted("our-id", "X")),
        (taken(1, 7), Accepted("our-id", "X")),
        (taken(3, 5), Accepted("our-id", "X")),
        (taken(5, 23, "REJECTED_DUPLICATE_MESSAGE_ID"), Accepted("our-id", "REJECTED_DUPLICATE_MESSAGE_ID")),
        (taken(5, 14, "REJECTED_DESTINATION"), Refused("REJECTED_DESTINATION")),
        (taken(5, 19, "REJECTED_ROUTE"), Refused("REJECTED_ROUTE", elsewhere=True)),
        (taken(2, 9, "UNDELIVERABLE"), Refused("UNDELIVERABLE", elsewhere=True)),
        (taken(5, 12, "REJECTED_NOT_ENOUGH_CREDITS"), Unavailable),
        (taken(5, 21), Unavailable),
        (HttpAnswer(200, {}, b'{"messages":[]}'), TimedOut),
        (HttpAnswer(200, {}, b"<html>"), TimedOut),
        (HttpAnswer(200, {}, b"[" * 9000), TimedOut),
        (HttpAnswer(400, {}, b'{"errorCode":"E400"}'), Refused("HTTP 400", elsewhere=True)),
        (HttpAnswer(401, {}, b""), Unavailable),
        (HttpAnswer(429, {"retry-after": "7"}, b""), Unavailable),
        (HttpAnswer(503, {}, b""), Unavailable),
        (HttpAnswer(500, {}, b""), TimedOut),
        (HttpAnswer(504, {}, b""), TimedOut),
    ],
)
async def test_infobip_reads_every_answer(answer, outcome):
    _, provider = infobip(answer)
    await check(provider.send(MESSAGE), outcome)


def logged(message_id, group_id, status_id, name):
    status = {"groupId": group_id, "groupName": "X", "id": status_id, "name": name}
    return {"results": [{"messageId": message_id, "destination": "254722123456", "status": status}]}


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, logged("our-id", 3, 5, "D"), Dlr("our-id", Status.DELIVERED, "D")),
        (200, logged("our-id", 3, 2, "O"), Dlr("our-id", Status.SENT, "O")),
        (200, logged("our-id", 4, 15, "E"), Dlr("our-id", Status.FAILED, "E", "E")),
        (200, logged("another", 3, 5, "D"), None),
        (200, {"results": []}, None),
        (200, {"results": 5}, Unavailable),
        (429, {}, Unavailable),
        (500, {}, Unavailable),
        (401, {}, Unavailable),
    ],
)
async def test_infobip_is_asked_by_our_id(status, body, outcome):
    http, provider = infobip(HttpAnswer(status, {}, json.dumps(body).encode()))
    await check(provider.find(MESSAGE), outcome)
    assert http.calls[0][:2] == ("GET", "http://ib/sms/3/logs?messageId=our-id")


async def test_pindo_is_sent_the_documented_request():
    http, provider = pindo(HttpAnswer(201, {}, b'{"sms_id":"out_sms_1","status":"sent"}'))
    assert await provider.send(ANONYMOUS) == Accepted("out_sms_1", "sent")
    ((method, url, headers, body),) = http.calls
    assert (method, url, headers["Authorization"]) == ("POST", "http://pindo/v1/sms/", "Bearer token")
    assert json.loads(body) == {"to": "+250788123456", "text": "Hello", "sender": DEFAULT_SENDER}


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (201, b'{"sms_id":1058918,"status":"sent"}', Accepted("1058918", "sent")),
        (201, b"{}", TimedOut),
        (201, b"sent", TimedOut),
        (400, b'{"message":"Invalid phone number"}', Refused("Invalid phone number", elsewhere=True)),
        (404, b"<html>", Refused("HTTP 404", elsewhere=True)),
        (401, b"", Unavailable),
        (402, b"", Unavailable),
        (429, b"", Unavailable),
        (503, b"", Unavailable),
        (500, b"", TimedOut),
        (504, b"", TimedOut),
    ],
)
async def test_pindo_reads_every_answer(status, body, outcome):
    _, provider = pindo(HttpAnswer(status, {}, body))
    await check(provider.send(ANONYMOUS), outcome)


def recipient(code, status="x"):
    body = (
        f'{{"SMSMessageData":{{"Recipients":[{{"statusCode":{code},"status":"{status}","messageId":"m"}}]}}}}'
    )
    return HttpAnswer(201, {}, body.encode())


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (recipient(100), Accepted("m", "x")),
        (recipient(101), Accepted("m", "x")),
        (recipient(102), Accepted("m", "x")),
        (recipient(401, "RiskHold"), Refused("RiskHold", elsewhere=True)),
        (recipient(407, "CouldNotRoute"), Refused("CouldNotRoute", elsewhere=True)),
        (recipient(403, "InvalidPhoneNumber"), Refused("InvalidPhoneNumber")),
        (recipient(406, "UserInBlacklist"), Refused("UserInBlacklist")),
        (recipient(502, "RejectedByGateway"), Refused("RejectedByGateway", elsewhere=True)),
        (recipient(405), Unavailable),
        (recipient(500), Unavailable),
        (recipient(501), Unavailable),
        (
            HttpAnswer(201, {}, b'{"SMSMessageData":{"Message":"InvalidSenderId"}}'),
            Refused("InvalidSenderId", elsewhere=True),
        ),
        (HttpAnswer(201, {}, b"not json"), TimedOut),
        (HttpAnswer(201, {}, b"[]"), TimedOut),
        (HttpAnswer(400, {}, b""), Refused("HTTP 400", elsewhere=True)),
        (HttpAnswer(401, {}, b"The supplied authentication is invalid"), Unavailable),
        (HttpAnswer(429, {"retry-after": "7"}, b""), Unavailable),
        (HttpAnswer(503, {"retry-after": "soon"}, b""), Unavailable),
        (HttpAnswer(500, {}, b""), TimedOut),
        (HttpAnswer(502, {}, b"<html>"), TimedOut),
    ],
)
async def test_africastalking_reads_every_answer(answer, outcome):
    class Http:
        async def request(self, method, url, *, headers, body, timeout_s):
            assert (method, url) == ("POST", "http://at/version1/messaging")
            assert headers["apiKey"] == "key"
            assert body == b"username=payg&to=%2B256772123456&message=x&bulkSMSMode=1&from=PAYG"
            return answer

    provider = AfricasTalkingProvider(AfricasTalkingConfig("http://at/", "payg", "key"), http=Http())
    call = provider.send(ShortMessage("our-id", "256772123456", "x", "PAYG"))
    if not isinstance(outcome, type):
        assert await call == outcome
        return
    with pytest.raises(Unavailable) as error:
        await call
    assert type(error.value) is outcome
    if answer.status == 429:
        assert error.value.retry_after_s == 7
