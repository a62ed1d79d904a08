"""How commands end, and what operators do (invariant 4, resolutions 15)."""

import asyncio
import json

import pytest
from aiohttp.test_utils import TestClient

from backend.m2m.lifecycle_store import Viewer
from backend.m2m.service import M2mService
from simulator.clock import ManualClock
from tests.backend.m2m.conftest import at_rest
from tests.backend.m2m.operators import NO_COMMAND, SERIAL, UNLOCK, ask, create

ALL = Viewer("tester", ())
DAY_S = 86_400


async def deliver(service: M2mService, device) -> None:
    """A check-in; what it brings is done and answered."""
    device.status()
    (answer,) = await service.ingest([(SERIAL, device.frame())])
    for frame in answer.down:
        device.receive(frame)


async def events(service: M2mService) -> list[tuple[str, str]]:
    items = await service.feed.lease(limit=50, wait_s=0)
    await service.feed.confirm([item.id for item in items])
    return [
        (document["name"], document["status"])
        for document in (json.loads(item.payload) for item in items if item.channel == "command")
    ]


# Expiry


async def test_ends_of_a_device_without_a_market_are_no_events(
    http: TestClient, service: M2mService, clock: ManualClock
) -> None:
    """A client of all markets created it: the ops topics are by market, and the bridge would drop them."""
    await service.install_key(key="operator-key", client="operator")
    key = {"X-API-Key": "operator-key"}
    for end in ("cancel", "report", "expire"):
        body = {"identifier": f"NEW/{end}", "command": UNLOCK, "expires_in_s": 60}
        async with http.post("/v1/commands", json=body, headers=key) as answer:
            path = answer.headers["Location"]
        if end != "expire":
            status, _ = await ask(http, "POST", f"{path}/{end}", json={"status": "executed"}, headers=key)
            assert status == 200
    clock.advance(61)
    await service.housekeeping.turn()
    assert (await service.audit()).commands == {"cancelled": 1, "replied": 1, "expired": 1}
    assert await events(service) == []


async def test_a_command_expires_and_goes_no_more(
    http: TestClient, service: M2mService, device, clock: ManualClock, receiver
) -> None:
    number = await create(http, expires_in_s=60, callback_url=receiver.url)
    await deliver(service, device)  # its answer is not sent yet
    clock.advance(61)
    assert await service.feed.lease(limit=10, wait_s=0) == []
    await service.housekeeping.turn()
    status, view = await ask(http, "GET", f"/v1/commands/{number}")
    assert (status, view["status"], view["ended_at"]) == (200, "expired", "2025-12-01T10:11:01Z")
    assert view["callback"] == "none"
    assert await events(service) == [("unlock_token", "expired")]
    await deliver(service, device)  # too late: an end is an end
    assert (await service.audit()).commands == {"expired": 1}
    assert (await service.audit()).callbacks.waiting == 0
    assert receiver.arrived.empty()


async def test_an_expired_command_is_not_sent_before_it_is_noted(
    http: TestClient, service: M2mService, device, clock: ManualClock
) -> None:
    await create(http, expires_in_s=60)
    clock.advance(60)
    assert await service.feed.lease(limit=10, wait_s=0) == []
    await deliver(service, device)
    assert device.executed == []


async def test_commands_live_a_month_unless_they_say_otherwise(
    http: TestClient, service: M2mService, clock: ManualClock
) -> None:
    await create(http)
    await create(http, expires_in_s=40 * DAY_S)
    clock.advance(30 * DAY_S)
    await service.housekeeping.turn()
    assert (await service.audit()).commands == {"expired": 1, "created": 1}


async def test_many_expire_in_one_turn(http: TestClient, service: M2mService, clock: ManualClock) -> None:
    for number in range(5):
        bodies = [
            {"identifier": f"D{number}-{index}", "command": {"name": "sync"}, "expires_in_s": 60}
            for index in range(90)
        ]
        status, _ = await ask(http, "POST", "/v1/commands/bulk", json={"commands": bodies})
        assert status == 201
    clock.advance(60)
    await service.housekeeping.turn()
    assert (await service.audit()).commands == {"expired": 450}


@pytest.mark.parametrize("value", [59, 366 * DAY_S + 1, "60", True, 1.5, []])
async def test_lives_that_are_none(http: TestClient, value: object) -> None:
    body = {"identifier": SERIAL, "command": UNLOCK, "expires_in_s": value}
    assert await ask(http, "POST", "/v1/commands", json=body) == (
        400,
        {"error": "Invalid parameters: expires_in_s"},
    )


async def test_housekeeping_runs_by_itself(
    service: M2mService, build, http: TestClient, clock: ManualClock
) -> None:
    await create(http, expires_in_s=60)
    clock.advance(60)
    await service.stop()
    again = build()
    await again.start()
    async with asyncio.timeout(10):
        while (await again.audit()).commands != {"expired": 1}:
            await asyncio.sleep(0)
    await again.stop()


# Cancel


async def test_cancel(http: TestClient, service: M2mService, device) -> None:
    number = await create(http)
    for _ in range(2):
        status, view = await ask(http, "POST", f"/v1/commands/{number}/cancel")
        assert (status, view["status"], view["ended_at"]) == (200, "cancelled", "2025-12-01T10:10:00Z")
    assert await events(service) == [("unlock_token", "cancelled")]
    await deliver(service, device)
    assert device.executed == []
    assert await ask(http, "POST", f"/v1/commands/{number}/retry") == (
        409,
        {"error": "The command has ended: cancelled"},
    )


async def test_an_answer_after_the_cancel_is_too_late(
    http: TestClient, service: M2mService, device, receiver
) -> None:
    number = await create(http, callback_url=receiver.url)
    await deliver(service, device)
    assert (await ask(http, "GET", f"/v1/commands/{number}"))[1]["callback"] == "owed"
    _, view = await ask(http, "POST", f"/v1/commands/{number}/cancel")
    assert view["callback"] == "none"
    await deliver(service, device)
    assert (await service.audit()).commands == {"cancelled": 1}
    assert receiver.arrived.empty()


async def test_what_has_ended_is_not_cancelled(http: TestClient, service: M2mService, device) -> None:
    number = await create(http)
    await deliver(service, device)
    await deliver(service, device)
    assert await ask(http, "POST", f"/v1/commands/{number}/cancel") == (
        409,
        {"error": "The command has ended: replied"},
    )


# Retry by an operator


async def test_an_operator_sends_an_expired_command_again(
    http: TestClient, service: M2mService, device, clock: ManualClock
) -> None:
    number = await create(http, expires_in_s=60)
    clock.advance(60)
    await service.housekeeping.turn()
    status, view = await ask(http, "POST", f"/v1/commands/{number}/retry")
    assert (status, view["status"], view["expires_at"]) == (200, "created", "2025-12-31T10:11:00Z")
    await deliver(service, device)
    await deliver(service, device)
    assert (await service.audit()).commands == {"replied": 1}


async def test_a_retry_goes_at_once(http: TestClient, service: M2mService, device) -> None:
    number = await create(http)
    (item,) = await service.feed.lease(limit=10, wait_s=0)  # and is lost
    await service.feed.confirm([item.id])
    await ask(http, "POST", f"/v1/commands/{number}/retry")
    (again,) = await service.feed.lease(limit=10, wait_s=0)
    device.receive(again.payload)
    assert device.executed == [number]


async def test_a_retry_needs_room(http: TestClient, service: M2mService, clock: ManualClock) -> None:
    number = await create(http, expires_in_s=60)
    clock.advance(60)
    await service.housekeeping.turn()
    bodies = [{"identifier": SERIAL, "command": {"name": "sync"}}] * 201
    status, answer = await ask(http, "POST", "/v1/commands/bulk", json={"commands": bodies})
    assert (status, answer["created"], answer["refused"]) == (207, 200, 1)
    assert answer["commands"][-1] == {"error": "Too many unanswered commands for this device"}
    status, _ = await ask(http, "POST", f"/v1/commands/{number}/retry")
    assert status == 429


# Reports


async def test_a_report_of_execution_is_a_reply(
    http: TestClient, service: M2mService, receiver, clock: ManualClock
) -> None:
    number = await create(http, callback_url=receiver.url)
    clock.advance(100)
    body = {"status": "executed", "executed_at": "2025-12-01T10:11:00Z"}
    for _ in range(2):
        status, view = await ask(http, "POST", f"/v1/commands/{number}/report", json=body)
        assert (status, view["status"], view["delivered_at"]) == (200, "replied", "2025-12-01T10:11:00Z")
        assert (view["device_response"], view["sent_by"]) == ("OK", "report")
    _, sent = await receiver.next()
    assert json.loads(sent)["device_response"] == "OK"
    await at_rest(service)
    assert receiver.arrived.empty()
    assert (await ask(http, "GET", f"/v1/commands/{number}"))[1]["callback"] == "delivered"


async def test_reports_of_failure_and_expiry(http: TestClient, service: M2mService) -> None:
    for report, status, response in (
        ({"status": "failed", "error_message": "relay stuck"}, "replied", "relay stuck"),
        ({"status": "failed"}, "replied", "failed"),
        ({"status": "expired"}, "expired", None),
    ):
        number = await create(http)
        for _ in range(2):
            _, view = await ask(http, "POST", f"/v1/commands/{number}/report", json=report)
            assert (view["status"], view.get("device_response")) == (status, response)
        for other in ({"status": "executed"}, {"status": "failed", "error_message": "else"}):
            answer = await ask(http, "POST", f"/v1/commands/{number}/report", json=other)
            assert answer == (409, {"error": f"The command has ended: {status}"})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "A status is one of executed, failed, expired"),
        ({"status": "replied"}, "A status is one of executed, failed, expired"),
        ({"status": ["executed"]}, "A status is one of executed, failed, expired"),
        ({"status": "executed", "executed_at": "soon"}, "Invalid parameters: executed_at"),
        ({"status": "failed", "error_message": 5}, "Invalid parameters: error_message"),
    ],
)
async def test_bad_reports_change_nothing(http: TestClient, service: M2mService, body, error: str) -> None:
    number = await create(http)
    assert await ask(http, "POST", f"/v1/commands/{number}/report", json=body) == (400, {"error": error})
    assert (await service.audit()).commands == {"created": 1}


# Dead letters


async def test_an_operator_sees_and_revives_a_dead_callback(
    http: TestClient, service: M2mService, *, device, receiver, clock: ManualClock
) -> None:
    receiver.statuses = [500] * 11
    number = await create(http, callback_url=receiver.url)
    await deliver(service, device)
    await deliver(service, device)
    for _ in range(11):
        await receiver.next()
        await at_rest(service)
        clock.advance(3600)
        service._database.committed(frozenset({"callback"}))
    await service.install_key(key="rw-key", client="rwanda", markets=["RW"])
    stranger = {"headers": {"X-API-Key": "rw-key"}}
    assert (await ask(http, "GET", "/v1/dead_letters", **stranger))[1] == {"dead_letters": [], "next": None}
    _, page = await ask(http, "GET", "/v1/dead_letters")
    (letter,) = page["dead_letters"]
    assert (letter["kind"], letter["key"], letter["attempts"], letter["error"]) == (
        *("callback", str(number)),
        *(11, "HTTP 500"),
    )
    path = f"/v1/dead_letters/{letter['id']}/retry"
    assert await ask(http, "POST", path, **stranger) == NO_COMMAND
    assert (await ask(http, "POST", path))[0] == 200
    await receiver.next()
    await at_rest(service)
    assert await ask(http, "POST", path) == NO_COMMAND
    audit = await service.audit()
    assert (audit.callbacks.dead, audit.callbacks.delivered) == (0, 1)
