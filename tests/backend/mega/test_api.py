"""The newer routes, the inbound route and the providers' webhooks over HTTP (resolutions 21)."""

import asyncio
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.ratelimit import OPEN
from backend.mega.routes import make_app
from tests.backend.mega.rig import ProviderFake, TraceableFake, settled

KEY = {"X-API-Key": "key"}
UGANDAN = {"X-API-Key": "ug"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GOOD = {"to": "+254722123456", "message": "Hello"}


@pytest.fixture
async def http(build):
    mega = build({"africastalking": ProviderFake(), "pindo": ProviderFake(), "infobip": TraceableFake()})
    await mega.start()
    await mega.install_key("key", client="solarium")
    await mega.install_key("ug", client="uganda", markets=["UG"])
    async with TestClient(TestServer(make_app(mega, mega.keys))) as client:
        client.mega = mega
        yield client
    await mega.stop()


async def sent(http, **more):
    answer = await http.post("/api/sms/send", json={**GOOD, **more}, headers=KEY)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_checklist_95_api_send_and_its_status(http):
    first = await sent(http, reference="r1", sender_id="PAYG", priority="high")
    assert first == {
        "message_id": first["message_id"],
        "status": "queued",
        "to": "+254722123456",
        "segments": 1,
        "created_at": "2025-12-01T10:10:00Z",
    }
    assert await sent(http, reference="r1", message="another") == first
    await settled(http.mega)
    answer = await http.get(f"/api/sms/{first['message_id']}/status", headers=KEY)
    assert (answer.status, await answer.json()) == (
        200,
        {
            "message_id": first["message_id"],
            "status": "sent",
            "to": "+254722123456",
            "delivered_at": None,
            "failed_at": None,
            "failure_reason": None,
            "provider_status": None,
        },
    )


async def test_a_reference_is_the_same_on_both_routes(http):
    first = await sent(http, reference="r1")
    body = {"to": "254722123456", "text": "x", "reference": "r1"}
    answer = await http.post("/send_short_message", json=body, headers=KEY)
    assert (await answer.json())["message_id"] == first["message_id"]


async def test_a_dry_run_checks_everything_and_sends_nothing(http):
    answer = await sent(http, dry_run=True, message="ж" * 71)
    assert (answer["message_id"], answer["status"], answer["segments"]) == (None, "dry_run", 2)
    refused = await http.post(
        "/api/sms/send", json={**GOOD, "to": "+260971234567", "dry_run": True}, headers=KEY
    )
    assert (refused.status, (await refused.json())["error"]) == (422, "no_route")
    inside = {**GOOD, "dry_run": True, "callback_url": "http://10.0.0.1/"}
    assert (await http.post("/api/sms/send", json=inside, headers=KEY)).status == 400
    assert (await http.mega.audit()).messages_by_status == {}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"priority": "urgent"}, 400),
        ({"dry_run": "yes"}, 400),
        ({"to": "+0722"}, 400),
        ({"message": ""}, 400),
        ({"message": 5}, 400),
        ({"callback_url": "http://[::ffff:127.0.0.1]/"}, 400),
        ({"callback_url": "http://user@partner.example/"}, 400),
        ({"to": "+260971234567"}, 422),
    ],
)
async def test_api_send_with_bad_input(http, change, status):
    answer = await http.post("/api/sms/send", json={**GOOD, **change}, headers=KEY)
    assert answer.status == status
    assert sorted(await answer.json()) == ["details", "error", "message"]
    assert (await http.mega.audit()).messages_by_status == {}


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"to": "+256772123456", "message": "x"}, (True, 1, 3500)),
        ({"to": "+256772123456", "message": "x" * 161}, (True, 2, 7000)),
        ({"to": "+254722123456", "message": "x"}, (True, 1, None)),
        ({"to": "+260971234567", "message": "x"}, (False, 1, None)),
        ({"to": "nobody", "message": "x"}, (False, 1, None)),
        ({"to": "+256772123456", "message": ""}, (False, 1, None)),
        ({"to": "+256772123456", "message": "x" * 1601}, (False, 11, None)),
    ],
)
async def test_validate_tells_segments_and_cost(http, body, answer):
    response = await http.post("/api/sms/validate", json=body, headers=KEY)
    valid, segments, cost = answer
    assert await response.json() == {"valid": valid, "segments": segments, "estimated_cost": cost}


async def test_a_market_sees_nothing_of_another(http):
    message = await sent(http)
    await settled(http.mega)
    path = f"/api/sms/{message['message_id']}/status"
    assert (await http.get(path, headers=UGANDAN)).status == 404
    assert (await http.get(path, headers={})).status == 401
    assert (await http.get("/api/sms/%00/status", headers=KEY)).status == 404
    refused = await http.post("/api/sms/send", json=GOOD, headers=UGANDAN)
    assert refused.status == 403
    checked = await http.post("/api/sms/validate", json=GOOD, headers=UGANDAN)
    assert (await checked.json())["valid"] is False
    report = {"message_id": message["message_id"], "status": "delivered"}
    assert (await http.post("/api/dlr/callback", json=report, headers=UGANDAN)).status == 404
    inbound = {**INBOUND, "from": "254722123456"}
    assert (await http.post("/shortmessages/create_inbound", json=inbound, headers=UGANDAN)).status == 403
    nowhere = {**INBOUND, "from": "46733123450"}
    assert (await http.post("/shortmessages/create_inbound", json=nowhere, headers=UGANDAN)).status == 403
    assert (await http.mega.audit()).messages_by_status == {"sent": 1}


async def test_checklist_97_dlr_callback_by_our_id_and_by_the_providers(http):
    message = await sent(http)
    early = {"message_id": message["message_id"], "status": "delivered"}
    await settled(http.mega)
    for body, status, after in [
        ({"status": "delivered"}, 400, None),
        ({"message_id": "no", "status": "delivered"}, 404, None),
        ({**early, "status": "nonsense"}, 400, None),
        ({**early, "done_at": "yesterday"}, 400, None),
        ({"provider": "infobip", "provider_message_id": "id-1", "status": "PENDING"}, 200, "sent"),
        ({**early, "done_at": "2025-12-01T10:30:00Z"}, 200, "delivered"),
        ({**early, "status": "failed"}, 200, "delivered"),
    ]:
        answer = await http.post("/api/dlr/callback", json=body, headers=KEY)
        assert answer.status == status, body
        if after is not None:
            assert await answer.json() == {"message_id": message["message_id"], "status": after}
    shown = await http.get(f"/api/sms/{message['message_id']}/status", headers=KEY)
    assert (await shown.json())["delivered_at"] == "2025-12-01T10:30:00Z"


async def test_health_needs_no_key(http):
    answer = await http.get("/health")
    assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_checklist_101_health_is_limited_by_address(http):
    for _ in range(OPEN // 10):
        answers = await asyncio.gather(*(http.get("/health") for _ in range(10)))
        assert {answer.status for answer in answers} == {200}
    answer = await http.get("/health")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    assert (await answer.json())["error"] == "too_many_requests"


INBOUND = {
    "provider": "africastalking",
    "from": "+256772123456",
    "to": "8008",
    "text": "BAL",
    "provider_message_id": "in-1",
    "received_at": "2025-12-01T10:00:00Z",
}


async def test_checklist_96_create_inbound_keeps_a_message_once(http):
    answers = [await http.post("/shortmessages/create_inbound", json=INBOUND, headers=KEY) for _ in range(3)]
    bodies = [await answer.json() for answer in answers]
    assert [answer.status for answer in answers] == [201] * 3
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["status"] == "received"
    row = await http.mega._database.read(lambda c: http.mega._store.inbound(c, bodies[0]["message_id"]))
    assert (row.sender, row.receiver, row.text, row.market) == ("256772123456", "8008", "BAL", "UG")
    for wrong, status in [
        ({"from": "INFO"}, 400),
        ({"received_at": "yesterday"}, 400),
        ({"text": None}, 400),
        ({"provider_message_id": ""}, 400),
    ]:
        answer = await http.post("/shortmessages/create_inbound", json={**INBOUND, **wrong}, headers=KEY)
        assert answer.status == status
    assert (await http.post("/shortmessages/create_inbound", json=INBOUND)).status == 401


def report(message_id, group_id, status_id, name, **more):
    status = {"groupId": group_id, "groupName": "X", "id": status_id, "name": name, "description": "x"}
    return {"messageId": message_id, "to": "254722123456", "status": status, **more}


V3 = {"messageCount": 1, "sender": "PAYG", "error": {"groupId": 0, "groupName": "OK", "id": 0}}
V2 = {"smsCount": 1, "error": {"groupId": 0, "groupName": "Ok", "id": 0, "name": "NO_ERROR"}}


@pytest.mark.parametrize("shape", [V3, V2])
async def test_checklist_97_infobip_reports_of_both_shapes(http, shape):
    messages = [await sent(http, to=f"+25472212345{n}") for n in range(4)]
    await settled(http.mega, times=4)
    ids = {
        (await http.mega._message(one["message_id"], ())).provider_message_id: one["message_id"]
        for one in messages
    }
    error = {"groupId": 1, "groupName": "HANDSET_ERRORS", "id": 27, "name": "EC_ABSENT_SUBSCRIBER"}
    done = {"doneAt": "2025-12-01T12:00:00.000+0100"}
    results = [
        report("id-1", 3, 5, "DELIVERED_TO_HANDSET", **shape, **done),
        report("id-2", 3, 2, "DELIVERED_TO_OPERATOR", **shape),
        report("id-3", 4, 15, "EXPIRED_EXPIRED", **{**shape, "error": error}),
        report("id-4", 5, 12, "REJECTED_NOT_ENOUGH_CREDITS", **shape),
        report("another's", 3, 5, "DELIVERED_TO_HANDSET", **shape),
    ]
    for _ in range(2):
        answer = await http.post("/hooks/infobip/dlr/hook-secret", json={"results": results})
        assert answer.status == 200
    shown = [await http.mega.status(ids[f"id-{n}"]) for n in range(1, 5)]
    assert [(one.status, one.failure_reason, one.provider_status) for one in shown] == [
        ("delivered", None, "DELIVERED_TO_HANDSET"),
        ("sent", None, "DELIVERED_TO_OPERATOR"),
        ("failed", "EC_ABSENT_SUBSCRIBER", "EXPIRED_EXPIRED"),
        ("failed", "REJECTED_NOT_ENOUGH_CREDITS", "REJECTED_NOT_ENOUGH_CREDITS"),
    ]
    assert shown[0].delivered_at == "2025-12-01T11:00:00Z"


async def test_a_hundred_reports_come_in_one_call(http):
    text = {"description": "x" * 600}
    results = [report(f"m-{n}", 3, 5, "DELIVERED_TO_HANDSET", **V3, **text) for n in range(100)]
    answer = await http.post("/hooks/infobip/dlr/hook-secret", json={"results": results})
    assert answer.status == 200


async def test_infobip_inbound_and_africastalking_inbound_are_kept(http):
    mo = {
        "results": [
            {"messageId": "1", "from": "254722123456", "to": "8008", "text": "BAL", "cleanText": "BAL"},
            {"messageId": "2", "from": "Safaricom", "to": "8008", "text": "an advertisement"},
        ],
        "messageCount": 2,
        "pendingMessageCount": 0,
    }
    assert (await http.post("/hooks/infobip/inbound/hook-secret", json=mo)).status == 200
    form = {"date": "2025-12-01 10:00:00", "from": "+256772123456", "id": "7", "linkId": "", "to": "8008"}
    path = "/hooks/africastalking/inbound/hook-secret"
    assert (await http.post(path, data=urlencode({**form, "text": "PAY 5"}), headers=FORM)).status == 200
    assert (await http.post(path, data=urlencode({"from": "+256772123456"}), headers=FORM)).status == 400
    kept = await http.mega._database.read(
        lambda c: [
            http.mega._store.inbound_of(c, "infobip", "1").text,
            http.mega._store.inbound_of(c, "africastalking", "7").text,
            http.mega._store.inbound_since(c, "Safaricom", 0),
        ]
    )
    assert kept == ["BAL", "PAY 5", 0]


async def test_opt_out_of_africastalking(http):
    form = urlencode({"senderId": "PAYG", "phoneNumber": "+256772123456"})
    assert (await http.post("/hooks/africastalking/optout/no", data=form, headers=FORM)).status == 404
    path = "/hooks/africastalking/optout/hook-secret"
    for _ in range(2):
        assert (await http.post(path, data=form, headers=FORM)).status == 200
    message = await sent(http, to="+256772123456", sender_id="PAYG")
    await settled(http.mega)
    shown = await http.mega.status(message["message_id"])
    assert (shown.status, shown.failure_reason) == ("failed", "the customer opted out")


async def test_pindo_reports(http):
    mega = http.mega
    message = await sent(http, to="+250788123456")
    await settled(mega)
    await mega._database.write(
        lambda c: mega._store.change(
            c, message["message_id"], {"provider": "pindo", "provider_message_id": "1058918"}
        )
    )
    path = "/hooks/pindo/dlr/hook-secret"
    base = {"sms_id": 1058918, "modified_at": "24-07-2020, 23:35:32", "retries_count": 0}
    for status, code in [("ENROUTE", 200), ("NONSENSE", 400), ("DELIVRD", 200), ("UNDELIV", 200)]:
        assert (await http.post(path, json={**base, "status": status})).status == code
    shown = await mega.status(message["message_id"])
    assert (shown.status, shown.delivered_at) == ("delivered", "2020-07-24T23:35:32Z")
    for body in ({"status": "DELIVRD"}, {**base, "sms_id": -1, "status": "DELIVRD"}, []):
        assert (await http.post(path, json=body)).status == 400
