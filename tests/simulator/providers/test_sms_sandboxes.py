"""The sandboxes of Infobip and Pindo, and what all three do by the script of a number."""

import asyncio
import json
from urllib.parse import parse_qs

import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.database import open_database
from backend.kit.runtime import SystemClock, SystemEntropy
from simulator.providers.africastalking.routes import make_app as africastalking_app
from simulator.providers.africastalking.sandbox import AfricasTalkingConfig, AfricasTalkingSandbox
from simulator.providers.infobip.routes import make_app as infobip_app
from simulator.providers.infobip.sandbox import InfobipSandbox, InfobipSandboxConfig
from simulator.providers.pindo.routes import make_app as pindo_app
from simulator.providers.pindo.sandbox import PindoSandbox, PindoSandboxConfig

HOOK = "http://127.0.0.1:9/hook"
APP, BEARER = {"Authorization": "App key"}, {"Authorization": "Bearer token"}


class Recorder:
    """Stands in for the partner: keeps what it is told, as (URL, body)."""

    def __init__(self):
        self.told = asyncio.Queue()

    async def request(self, method, url, *, headers=None, body=b"", timeout_s=10.0):
        await self.told.put((url, body))

    async def json(self):
        return json.loads((await self.told.get())[1])

    async def form(self):
        return {name: value[0] for name, value in parse_qs((await self.told.get())[1].decode()).items()}


@pytest.fixture
def partner():
    return Recorder()


@pytest.fixture
async def parts(database_url, partner):
    database = open_database(database_url, "sandbox")
    yield {"database": database, "clock": SystemClock(), "entropy": SystemEntropy(), "http": partner}
    await database.close()


async def serving(sandbox, app):
    client = TestClient(TestServer(app))
    await sandbox.start()
    await client.start_server()
    return client


@pytest.fixture
async def infobip(parts):
    config = InfobipSandboxConfig("key", inbound_url=HOOK, deliver_after_s=0.0)
    sandbox = InfobipSandbox(**parts, config=config)
    client = await serving(sandbox, infobip_app(sandbox))
    client.sandbox = sandbox
    yield client
    await client.close()
    await sandbox.stop()


@pytest.fixture
async def pindo(parts):
    sandbox = PindoSandbox(**parts, config=PindoSandboxConfig("token", HOOK, 0.0))
    client = await serving(sandbox, pindo_app(sandbox))
    client.sandbox = sandbox
    yield client
    await client.close()
    await sandbox.stop()


@pytest.fixture
async def africastalking(parts):
    config = AfricasTalkingConfig("payg", "key", HOOK, HOOK + "/in", HOOK + "/out", deliver_after_s=0.0)
    sandbox = AfricasTalkingSandbox(**parts, config=config)
    client = await serving(sandbox, africastalking_app(sandbox))
    client.sandbox = sandbox
    yield client
    await client.close()
    await sandbox.stop()


def v3(to, **more):
    return {
        "messages": [{"destinations": [{"to": to, "messageId": "m1"}], "content": {"text": "Hi"}, **more}]
    }


def webhook(url=HOOK, **more):
    return {"webhooks": {"delivery": {"url": url, **more}, "callbackData": "mine"}}


async def infobip_sends(client, to, **more):
    answer = await client.post("/sms/3/messages", json=v3(to, **more), headers=APP)
    return answer.status, await answer.json()


async def logs(client, message_id="m1"):
    answer = await client.get(f"/sms/3/logs?messageId={message_id}", headers=APP)
    return [(one["status"]["groupId"], one["status"]["id"]) for one in (await answer.json())["results"]]


async def test_infobip_takes_reports_and_logs(infobip, partner):
    status, answer = await infobip_sends(infobip, "254722123456", **webhook(), sender="PAYG")
    (message,) = answer["messages"]
    assert status == 200
    assert message["status"] == {
        "groupId": 1,
        "groupName": "PENDING",
        "id": 26,
        "name": "PENDING_ACCEPTED",
        "description": "Message sent to next instance",
    }
    assert (message["messageId"], message["details"]) == ("m1", {"messageCount": 1})
    (report,) = (await partner.json())["results"]
    assert report["error"]["groupName"] == "OK"
    assert (report["messageCount"], report["sender"], report["callbackData"]) == (1, "PAYG", "mine")
    assert report["doneAt"].endswith("+0000")
    assert await logs(infobip) == [(3, 5)]
    assert await infobip.sandbox.mailroom.received("254722123456") == ["Hi"]


async def test_infobip_v2_reports_in_its_own_shape(infobip, partner):
    message = {
        "from": "PAYG",
        "destinations": [{"to": "254722123456", "messageId": "m1"}],
        "text": "Hi",
        "notifyUrl": HOOK,
        "callbackData": "mine",
    }
    answer = await infobip.post("/sms/2/text/advanced", json={"messages": [message]}, headers=APP)
    assert sorted((await answer.json())["messages"][0]) == ["messageId", "status", "to"]
    (report,) = (await partner.json())["results"]
    assert (report["smsCount"], report["error"]["groupName"]) == (1, "Ok")
    assert not {"messageCount", "sender"} & report.keys()


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (v3("254722123456"), {}, 401, "E401"),
        (v3("254722123456"), {"Authorization": "App no"}, 401, "E401"),
        ({"messages": []}, APP, 400, "E400"),
        ({}, APP, 400, "E400"),
        (v3("254722123456", **webhook("http://example.com/")), APP, 400, "E400"),
        (v3("254700000040"), APP, 503, "E503"),
    ],
)
async def test_infobip_errors(infobip, body, headers, status, code):
    answer = await infobip.post("/sms/3/messages", json=body, headers=headers)
    told = await answer.json()
    assert (answer.status, told["errorCode"]) == (status, code)
    assert {"description", "action", "violations", "resources"} <= told.keys()
    old = await infobip.post("/sms/2/text/advanced", json={}, headers={})
    assert (await old.json())["requestError"]["serviceException"]["messageId"] == "UNAUTHORIZED"


@pytest.mark.parametrize(
    ("number", "rejection"),
    [("254700000031", 8), ("254700000032", 14), ("254700000033", 19), ("12", 8)],
)
async def test_infobip_rejects_by_the_script(infobip, number, rejection):
    status, answer = await infobip_sends(infobip, number)
    told = answer["messages"][0]["status"]
    assert (status, told["groupId"], told["id"]) == (200, 5, rejection)
    assert await logs(infobip) == []


@pytest.mark.parametrize(("number", "end"), [("254700000034", (2, 9)), ("254700000035", (4, 15))])
async def test_infobip_reports_failures_by_the_script(infobip, partner, number, end):
    await infobip_sends(infobip, number, **webhook())
    (report,) = (await partner.json())["results"]
    assert (report["status"]["groupId"], report["status"]["id"]) == end
    assert report["error"]["name"] == "EC_ABSENT_SUBSCRIBER"


async def test_infobip_takes_and_loses_the_answer(infobip):
    status, _ = await infobip_sends(infobip, "254700000041")
    assert (status, len(await logs(infobip))) == (504, 1)


async def test_infobip_forgets_what_was_lost_on_its_way_in(infobip):
    assert (await infobip_sends(infobip, "254700000043"))[0] == 504
    assert await logs(infobip) == []
    assert (await infobip_sends(infobip, "254700000043"))[0] == 200


async def test_infobip_has_a_rate_and_no_idempotency_key(infobip):
    answer = await infobip.post("/sms/3/messages", json=v3("254700000042"), headers=APP)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    for _ in range(2):
        assert (await infobip_sends(infobip, "254722123456"))[0] == 200
    assert len(await infobip.sandbox.mailroom.received("254722123456")) == 2


async def test_reports_come_twice_and_in_the_wrong_order(infobip, partner):
    await infobip_sends(infobip, "254700000037", **webhook())
    assert await partner.json() == await partner.json()
    await infobip_sends(infobip, "254700000038", **webhook(intermediateReport=True))
    ids = [(await partner.json())["results"][0]["status"]["id"] for _ in range(2)]
    assert ids == [5, 2]
    assert (3, 5) in await logs(infobip)


async def test_what_nobody_is_told_can_be_fetched_once(infobip):
    await infobip_sends(infobip, "254722123456")
    for _ in range(200):
        answer = await infobip.get("/sms/3/reports?messageId=m1", headers=APP)
        results = (await answer.json())["results"]
        if results:
            break
        await asyncio.sleep(0.01)
    assert [one["messageId"] for one in results] == ["m1"]
    again = await infobip.get("/sms/3/reports?messageId=m1", headers=APP)
    assert (await again.json())["results"] == []


async def test_infobip_hands_on_what_a_customer_writes(infobip, partner):
    body = {"from": "254722123456", "to": "8008", "text": "PAY 500"}
    assert (await infobip.post("/simulate/inbound", json=body, headers={})).status == 401
    assert (await infobip.post("/simulate/inbound", json=body, headers=APP)).status == 201
    told = await partner.json()
    (mail,) = told["results"]
    assert (mail["from"], mail["text"], mail["keyword"], mail["smsCount"]) == (
        "254722123456",
        "PAY 500",
        "PAY",
        1,
    )
    assert (told["messageCount"], told["pendingMessageCount"]) == (1, 0)


async def pindo_sends(client, to, path="/v1/sms/", **more):
    answer = await client.post(path, json={"to": to, "text": "Hi", "sender": "PAYG", **more}, headers=BEARER)
    return answer.status, await answer.json()


async def test_pindo_takes_and_reports(pindo, partner):
    status, answer = await pindo_sends(pindo, "+250788123456")
    assert (status, answer["status"], answer["item_count"]) == (201, "sent", 1)
    report = await partner.json()
    assert (report["sms_id"], report["status"], report["retries_count"]) == (answer["sms_id"], "DELIVRD", 0)
    recipients = [
        {"phonenumber": "+250788123457", "name": "A"},
        {"phonenumber": "+250788123458", "name": "B"},
    ]
    bulk = {"recipients": recipients, "text": "Hi", "sender": "PAYG"}
    answer = await pindo.post("/v1/sms/bulk", json=bulk, headers=BEARER)
    assert (answer.status, (await answer.json())["item_count"]) == (201, 2)


@pytest.mark.parametrize(
    ("number", "status"),
    [("250788123456", 400), ("+250700000031", 400), ("+250700000040", 503), ("+250700000041", 504)],
)
async def test_pindo_errors(pindo, number, status):
    answered, body = await pindo_sends(pindo, number)
    assert (answered, list(body)) == (status, ["message"])
    wrong = await pindo.post("/v1/sms/", json={}, headers={"Authorization": "Bearer no"})
    assert wrong.status == 401
    assert (await pindo.post("/v1/sms/", json={}, headers=BEARER)).status == 400


@pytest.mark.parametrize(("number", "word"), [("+250700000034", "UNDELIV"), ("+250700000035", "EXPIRED")])
async def test_pindo_reports_failures_by_the_script(pindo, partner, number, word):
    await pindo_sends(pindo, number)
    assert (await partner.json())["status"] == word


async def at(client, path="/version1/messaging", **form):
    answer = await client.post(path, data={"username": "payg", **form}, headers={"apiKey": "key"})
    return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        ("+256700000031", 201, 403),
        ("+256700000032", 201, 406),
        ("+256700000033", 201, 407),
        ("+256700000040", 503, None),
        ("+256700000041", 504, None),
        ("+256700000042", 429, None),
        ("+256700000043", 504, None),
    ],
)
async def test_africastalking_refuses_by_the_script(africastalking, number, status, code):
    answered, text = await at(africastalking, to=number, message="Hi")
    assert answered == status
    if code is not None:
        assert json.loads(text)["SMSMessageData"]["Recipients"][0]["statusCode"] == code
    received = await africastalking.sandbox.received(number.removeprefix("+"))
    assert received == (["Hi"] if number.endswith("41") else [])


async def test_africastalking_reports_failures_with_a_reason(africastalking, partner):
    await at(africastalking, to="+256700000034", message="Hi")
    form = await partner.form()
    assert (form["status"], form["failureReason"], form["networkCode"]) == (
        "Failed",
        "DeliveryFailure",
        "64110",
    )


async def test_africastalking_hands_on_what_a_customer_writes(africastalking, partner):
    form = {"from": "+256772123456", "to": "8008", "text": "BAL"}
    assert (await at(africastalking, "/simulate/inbound", **form))[0] == 201
    url, body = await partner.told.get()
    told = parse_qs(body.decode())
    assert url == HOOK + "/in"
    assert sorted(told) == ["date", "from", "id", "linkId", "networkCode", "text", "to"]
    listed = await africastalking.get("/version1/messaging?username=payg", headers={"apiKey": "key"})
    (message,) = (await listed.json())["SMSMessageData"]["Messages"]
    assert (message["from"], message["text"]) == ("+256772123456", "BAL")
    later = f"/version1/messaging?username=payg&lastReceivedId={message['id']}"
    answer = await africastalking.get(later, headers={"apiKey": "key"})
    assert (await answer.json())["SMSMessageData"]["Messages"] == []


async def test_africastalking_opt_out(africastalking, partner):
    assert (await at(africastalking, "/simulate/optout", phoneNumber="+256772123456", senderId="PAYG"))[
        0
    ] == 201
    assert await partner.form() == {"senderId": "PAYG", "phoneNumber": "+256772123456"}
    _, text = await at(africastalking, to="+256772123456", message="Hi", **{"from": "PAYG"})
    assert json.loads(text)["SMSMessageData"]["Recipients"][0]["statusCode"] == 406
    _, text = await at(africastalking, to="+256772123456", message="Hi", **{"from": "OTHER"})
    assert json.loads(text)["SMSMessageData"]["Recipients"][0]["statusCode"] == 101


def test_calls_go_to_this_machine_only(parts):
    for build in (
        lambda: InfobipSandbox(**parts, config=InfobipSandboxConfig("key", "http://example.com/")),
        lambda: PindoSandbox(**parts, config=PindoSandboxConfig("token", "http://example.com/")),
    ):
        with pytest.raises(ValueError, match="loopback"):
            build()
