"""Every action of an operator is noted: who, when, what and why. Of two at once one gets 409."""

import asyncio
from typing import Any

from aiohttp.test_utils import TestClient

from backend.solarium.service import Solarium
from simulator.clock import ManualClock
from tests.backend.solarium.fakes import API_KEY, account, payment
from tests.backend.solarium.test_corrections import OWNER, paid, suspended
from tests.backend.solarium.test_imports import ACCOUNTS, ADA, DEVICES, load
from tests.backend.solarium.test_operations import PLAN, SECRET, call, stands

NEW = {
    "reference": "901",
    "business_account": "600100",
    "provider_key": "ug_mtn_mobilemoney",
    "market": "UG",
    "plan": "home",
    "msisdn": "256700000009",
}


async def journal(http: TestClient, query: str = "") -> list[dict[str, Any]]:
    status, page = await call(http, "GET", f"/v1/actions{query}")
    assert status == 200
    return page["actions"]


async def test_each_action_is_noted_with_who_when_and_why(
    http: TestClient, service: Solarium, clock: ManualClock
) -> None:
    await call(http, "POST", "/v1/plans", PLAN)
    account_id = (await call(http, "POST", "/v1/accounts", NEW))[1]["id"]
    await load(http, "devices", DEVICES + f"D1,UG,{SECRET},,\nD2,UG,{SECRET},,\n")
    await load(http, "accounts", ACCOUNTS + ADA.replace("901", "902"))
    await call(http, "POST", "/v1/devices", {"serial": "D3", "market": "UG", "secret": SECRET})
    await stands(http, "in_stock", "D1", "D2", "D3")
    clock.advance(60)
    path = f"/v1/accounts/{account_id}"
    assert (await call(http, "POST", f"{path}/pair", {"serial": "D1", "reason": "sold in Jinja"}))[0] == 200
    await service.confirm(**payment("T1", reference="901"))
    assert (await call(http, "POST", f"{path}/swap", {"serial": "D2", "reason": "broken panel"}))[0] == 200
    assert (await call(http, "POST", f"{path}/return", {"reason": "moved away"}))[0] == 200
    payment_id = await suspended(http, service)
    await call(http, "POST", f"/v1/suspense/{payment_id}/resolve", OWNER)
    await call(http, "POST", f"/v1/payments/{payment_id}/reverse", {"reason": "sent by mistake"})
    found = await journal(http)
    assert [(each["action"], each["subject"], each.get("reason")) for each in reversed(found)] == [
        ("create_plan", "home", None),
        ("create_account", f"account {account_id}", None),
        ("import_devices", "2 devices", None),
        ("import_accounts", "1 accounts", None),
        ("create_device", "D3", None),
        ("pair", f"account {account_id}, device D1", "sold in Jinja"),
        ("swap", f"account {account_id}, device D1 for D2", "broken panel"),
        ("return", f"account {account_id}, device D2", "moved away"),
        ("resolve", found[1]["subject"], OWNER["reason"]),
        ("reverse", f"payment {payment_id}", "sent by mistake"),
    ]
    assert {each["operator"] for each in found} == {"momo"}
    assert {each["market"] for each in found} == {"UG"}
    assert found[0]["at"] == "2025-12-01T10:11:00Z"


async def test_what_is_refused_or_a_dry_run_leaves_no_row(http: TestClient) -> None:
    assert (await call(http, "POST", "/v1/accounts/1/pair", {"serial": "nothing"}))[0] in (404, 409)
    await load(http, "devices", DEVICES + f"D1,UG,{SECRET},,\n", "?dry_run=true")
    assert await journal(http) == []


async def test_pages_are_stable_and_of_the_key_s_markets(http: TestClient, service: Solarium) -> None:
    for number in range(5):
        await call(http, "POST", "/v1/plans", {**PLAN, "name": f"plan {number}"})
    first = await journal(http, "?limit=2")
    await call(http, "POST", "/v1/plans", {**PLAN, "name": "meanwhile"})
    rest = await journal(http, f"?before={first[-1]['id']}&limit=10")
    assert [each["subject"] for each in (*first, *rest)] == [f"plan {number}" for number in (4, 3, 2, 1, 0)]
    await service.install_key("ke", client="kenya", markets=["KE"])
    async with http.get("/v1/actions", headers={"API-KEY": "ke"}) as answer:
        assert (await answer.json())["actions"] == []


async def test_of_two_operators_one_wins_and_the_other_gets_409(http: TestClient, service: Solarium) -> None:
    """The same suspense to two accounts, and a reversal beside a resolution: the ledger has one of them."""
    await service.register_accounts([account("254544", device="")])
    other = {**OWNER, "reference": "254544"}
    for number in range(4):
        payment_id = await suspended(http, service, f"S{number}")
        resolve, reverse = f"/v1/suspense/{payment_id}/resolve", f"/v1/payments/{payment_id}/reverse"
        answers = await asyncio.gather(call(http, "POST", resolve, OWNER), call(http, "POST", resolve, other))
        assert sorted(status for status, _ in answers) == [200, 409]
        answers = await asyncio.gather(*(call(http, "POST", reverse, {"reason": "x"}) for _ in range(3)))
        assert sorted(status for status, _ in answers) == [200, 409, 409]
    audit = await service.audit()
    assert audit.sound
    assert [each["action"] for each in await journal(http)] == ["reverse", "resolve"] * 4


async def test_a_reversed_payment_is_never_booked_again(http: TestClient, service: Solarium) -> None:
    payment_id = await paid(http, service, "P1")
    assert (await call(http, "POST", f"/v1/payments/{payment_id}/reverse", {"reason": "fraud"}))[0] == 200
    async with http.post("/confirm_payment", json=payment("P1"), headers={"API-KEY": API_KEY}) as answer:
        assert (answer.status, await answer.read()) == (409, b"")
    assert not await service.confirm(**payment("P1"))
    assert (await service.audit()).sound
