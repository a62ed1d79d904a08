"""M2M's callback: what a device said of its token, signed, once."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from aiohttp.test_utils import TestClient
from standardwebhooks.webhooks import Webhook
from structlog.testing import capture_logs

from backend.kit.database import Database
from backend.solarium.schemas import CommandReply
from backend.solarium.service import Solarium
from simulator.clock import ManualClock, SeededEntropy
from tests.backend.solarium.fakes import (
    CALLBACK_SECRET,
    FakePartners,
    account,
    confirm,
    make_service,
    settled,
)


def reply(**changes: object) -> dict[str, object]:
    return {
        "identifier": "SCBLNX/A/BT/254543",
        "command": "TOKEN: 42744349",
        "status": "replied",
        "device_response": "OK",
        "created_at": "2025-12-01T10:30:00Z",
        "delivered_at": "2025-12-01T10:35:00Z",
        **changes,
    }


def signed(
    clock: ManualClock, body: bytes, *, age_s: int = 0, secret: bytes = CALLBACK_SECRET
) -> dict[str, str]:
    """Headers as the reference implementation signs them."""
    at = datetime.fromtimestamp(clock.now_ms() // 1000 - age_s, UTC)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, body.decode()),
    }


async def sent_order(service: Solarium, partners: FakePartners) -> str:
    await confirm(service)
    await settled(service, sent=1)
    return next(iter(partners.orders))


async def test_checklist_72_a_signed_callback_makes_the_order_replied_once(
    http: TestClient, service: Solarium, partners: FakePartners, clock: ManualClock
) -> None:
    order_id = await sent_order(service, partners)
    body = json.dumps(reply()).encode()
    for _ in range(2):
        path = f"/m2m/callback/{order_id}"
        async with http.post(path, data=body, headers=signed(clock, body)) as answer:
            assert (answer.status, await answer.read()) == (204, b"")
    other = json.dumps(reply(device_response="already_used")).encode()
    async with http.post(path, data=other, headers=signed(clock, other)) as answer:
        assert answer.status == 204
    row = await service._database.read(
        lambda c: c.execute(service._store.tables.token_orders.select()).mappings().one()
    )
    assert (row["state"], row["device_response"]) == ("replied", "OK")
    assert row["replied_at_ms"] == 1_764_585_300_000
    assert row["callback_at_ms"] == clock.now_ms()


@pytest.mark.parametrize(
    ("response", "refused"),
    [("OK", 0), ("already_used", 0), ("already used", 0), ("invalid", 1), ("unsupported", 1)],
)
async def test_a_device_that_refuses_its_token_is_told_to_operators_once(
    http: TestClient,
    service: Solarium,
    partners: FakePartners,
    clock: ManualClock,
    *,
    response: str,
    refused: int,
) -> None:
    order_id = await sent_order(service, partners)
    body = json.dumps(reply(device_response=response)).encode()
    with capture_logs() as logs:
        for _ in range(2):
            path = f"/m2m/callback/{order_id}"
            async with http.post(path, data=body, headers=signed(clock, body)) as answer:
                assert answer.status == 204
    alerts = [each for each in logs if each["event"] == "order.refused"]
    told = {"order": order_id, "device": "SCBLNX/A/BT/254543", "response": response}
    assert [{name: each[name] for name in told} for each in alerts] == [told] * refused
    audit = await service.audit()
    assert (audit.refused_orders, audit.orders["replied"]) == (refused, 1)


async def test_a_callback_that_is_not_m2ms_is_401(
    http: TestClient, service: Solarium, partners: FakePartners, clock: ManualClock
) -> None:
    order_id = await sent_order(service, partners)
    body = json.dumps(reply()).encode()
    good = signed(clock, body)
    wrong: list[dict[str, str]] = [
        {},
        signed(clock, body, secret=b"another secret"),
        signed(clock, body, age_s=301),
        signed(clock, body, age_s=-301),
        signed(clock, body + b" "),
        {**good, "webhook-id": "msg_2"},
        {**good, "webhook-timestamp": "x"},
        {**good, "webhook-timestamp": "9" * 400},
        {**good, "webhook-signature": "v1,"},
        {**good, "webhook-signature": "v1,\u00e9"},
        {**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v2,")},
    ]
    for headers in wrong:
        async with http.post(f"/m2m/callback/{order_id}", data=body, headers=headers) as answer:
            assert answer.status == 401, headers
    assert (await service.audit()).orders["replied"] == 0
    for age_s in (300, -300):
        headers = signed(clock, body, age_s=age_s)
        rotated = {**headers, "webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}
        async with http.post(f"/m2m/callback/{order_id}", data=body, headers=rotated) as answer:
            assert answer.status == 204


async def test_bad_callbacks_change_nothing(
    http: TestClient, service: Solarium, partners: FakePartners, clock: ManualClock
) -> None:
    order_id = await sent_order(service, partners)
    bad: list[tuple[str, bytes, int]] = [
        ("0" * 32, json.dumps(reply()).encode(), 404),
        ("x%00y", json.dumps(reply()).encode(), 404),
        (order_id, json.dumps(reply(identifier="another")).encode(), 400),
        (order_id, json.dumps(reply(status="sent")).encode(), 400),
        (order_id, json.dumps(reply(delivered_at="now")).encode(), 400),
        (order_id, b"{}", 400),
        (order_id, b"[" * 10_000, 400),
        (order_id, b" " * 70_000, 413),
    ]
    for name, body, status in bad:
        headers = signed(clock, body) if len(body) < 65_536 else {}
        async with http.post(f"/m2m/callback/{name}", data=body, headers=headers) as answer:
            assert answer.status == status, (name, body[:40])
    async with http.get(f"/m2m/callback/{order_id}") as answer:
        assert answer.status == 405
    assert (await service.audit()).orders["replied"] == 0


class HastyPartners(FakePartners):
    """Its M2M calls back before `create` has returned."""

    hears: Solarium

    async def create(
        self, *, identifier: str, name: str, details: Mapping[str, str], callback_url: str, reference: str
    ) -> str:
        at = datetime.fromtimestamp(0, UTC)
        said = CommandReply(identifier, "TOKEN: 1", "replied", "OK", at, at)
        await self.hears.command_replied(reference, said)
        return await super().create(
            identifier=identifier, name=name, details=details, callback_url=callback_url, reference=reference
        )


async def test_a_reply_that_is_faster_than_our_own_note_stays(
    database: Database, clock: ManualClock, entropy: SeededEntropy
) -> None:
    partners = HastyPartners()
    partners.hears = service = make_service(database, clock, entropy, partners)
    await service.start()
    await service.register_accounts([account()])
    await confirm(service)
    await partners.until(1, "create")
    await settled(service, replied=1)
    await service.stop()
    await service.start()
    await settled(service, replied=1)
    await service.stop()
