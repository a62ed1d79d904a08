"""Billing events of devices (checklist 58 and 118, resolutions 17): signed, kept once, answered again."""

import asyncio
import json

import pytest
from aiohttp.test_utils import TestClient
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from backend.kit.database import Database
from backend.kit.webhooks import signed_headers
from backend.solarium.events_store import EventRow, events_of
from backend.solarium.service import Solarium
from backend.solarium.store import Store
from simulator.clock import ManualClock
from tests.backend.solarium.fakes import CALLBACK_SECRET

PATH = "/api/m2m/events"
SERIAL = "SCBLNX/A/BT/254543"
EVENT = {
    "event_id": f"{SERIAL}:1:token_applied",
    "type": "token_applied",
    "identifier": SERIAL,
    "occurred_at": "2025-12-01T10:10:00Z",
    "data": {"source": "keypad", "payload": 30, "token_count": 4, "credit_s": None, "temperature_c": 21.5},
}


async def send(http: TestClient, clock: ManualClock, body: bytes, secret: bytes = CALLBACK_SECRET) -> int:
    now_s = clock.now_ms() // 1000
    headers = signed_headers(secret, webhook_id="any", timestamp_s=now_s, body=body)
    async with http.post(PATH, data=body, headers=headers) as answer:
        return answer.status


def event(**changes: object) -> bytes:
    return json.dumps({**EVENT, **changes}).encode()


async def stored(database: Database, serial: str = SERIAL) -> list[EventRow]:
    return await database.read(lambda c: events_of(c, Store(b"").tables, serial, limit=100))


async def test_checklist_58_each_kind_is_taken(
    http: TestClient, clock: ManualClock, database: Database
) -> None:
    for kind in ("token_applied", "credit_expired", "tamper", "usage"):
        assert await send(http, clock, event(event_id=f"e:{kind}", type=kind)) == 204
    rows = await stored(database)
    assert {row.type for row in rows} == {"token_applied", "credit_expired", "tamper", "usage"}
    assert {row.occurred_at_ms for row in rows} == {1_764_583_800_000}
    assert json.loads(rows[0].data) == EVENT["data"]


async def test_checklist_118_an_event_that_comes_again_changes_nothing(
    http: TestClient, clock: ManualClock, database: Database
) -> None:
    with capture_logs() as logs:
        statuses = await asyncio.gather(
            *(send(http, clock, event(type="tamper")) for _ in range(20)),
            send(http, clock, event(type="tamper", occurred_at="2026-01-01T00:00:00Z")),
        )
        statuses.append(await send(http, clock, event(type="tamper", data={})))
    assert set(statuses) == {204}
    (row,) = await stored(database)
    assert json.loads(row.data) == EVENT["data"]
    assert [log["event"] for log in logs].count("device.tamper") == 1


async def test_checklist_118_events_of_devices_that_nobody_knows_are_kept(
    http: TestClient, clock: ManualClock, database: Database
) -> None:
    assert await send(http, clock, event(identifier="unheard/of")) == 204
    assert len(await stored(database, "unheard/of")) == 1


async def test_the_reference_implementation_signs_the_same(
    http: TestClient, clock: ManualClock, database: Database
) -> None:
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(clock.now_ms() // 1000, UTC)
    signature = Webhook(CALLBACK_SECRET).sign("id-1", at, event().decode())
    headers = {
        "webhook-id": "id-1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
    async with http.post(PATH, data=event(), headers=headers) as answer:
        assert answer.status == 204
    assert len(await stored(database)) == 1


async def test_without_the_shared_secret_it_is_401(
    http: TestClient, clock: ManualClock, database: Database
) -> None:
    assert await send(http, clock, event(), b"another secret") == 401
    async with http.post(PATH, data=event()) as answer:
        assert answer.status == 401
    assert await stored(database) == []


BAD: list[dict[str, object]] = [
    *({name: None} for name in EVENT),
    *({name: []} for name in EVENT),
    {"event_id": ""},
    {"event_id": "\0"},
    {"event_id": "x" * 301},
    {"type": "payment"},
    {"identifier": "\0"},
    {"occurred_at": "now"},
    {"data": {"x": 10**400}},
    {"data": {"x": 2**64}},
    {"data": {"x": {"deep": 1}}},
    {"data": {"x" * 201: 1}},
    {"data": {str(number): 1 for number in range(51)}},
    {"data": {"x": "\ud800"}},
]


@pytest.mark.parametrize("changes", BAD)
async def test_an_event_that_does_not_fit_is_400(
    http: TestClient, clock: ManualClock, database: Database, changes: dict[str, object]
) -> None:
    assert await send(http, clock, event(**changes)) == 400
    assert await stored(database) == []


async def test_bodies_that_are_no_event(http: TestClient, clock: ManualClock, service: Solarium) -> None:
    for body in (b"", b"{", b"[]", b"\xff", b"[" * 50_000):
        assert await send(http, clock, body) == 400
    assert await send(http, clock, b"x" * 70_000) == 413
    for method in ("GET", "PUT", "DELETE"):
        async with http.request(method, PATH) as answer:
            assert answer.status == 405
