"""Plans, accounts, devices and their pairing, for operators (issue 4, checklist 94 and 116)."""

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from sqlalchemy import func, select

from backend.kit.errors import BadRequest, NotFound, Unavailable
from backend.solarium.confirmations import ORDER_TOKEN
from backend.solarium.customers_store import DAY_MS
from backend.solarium.orders import SEND_COMMAND, SEND_SMS
from backend.solarium.service import Solarium
from simulator.clock import ManualClock
from tests.backend.solarium.fakes import API_KEY, PRICE, FakePartners, payment
from tests.backend.solarium.test_events import event, send

PLAN = {"market": "UG", "name": "home", "currency": "UGX", "price_per_day_subunit": PRICE, "max_days": 90}
ACCOUNT = {
    "reference": "777001",
    "business_account": "600100",
    "provider_key": "ug_mtn_mobilemoney",
    "market": "UG",
    "plan": "home",
    "msisdn": "256700000009",
    "customer_name": "Ada",
}
SECRET = "0f1e2d3c4b5a69"


async def call(
    http: TestClient, method: str, path: str, body: object = None, key: str = API_KEY
) -> tuple[int, Any]:
    async with http.request(method, path, json=body, headers={"API-KEY": key}) as answer:
        return answer.status, await answer.json()


async def stocked(http: TestClient, partners: FakePartners, *serials: str) -> None:
    """Devices of UG that Moto has."""
    for serial in serials:
        body = {"serial": serial, "market": "UG", "secret": SECRET}
        status, made = await call(http, "POST", "/v1/devices", body)
        assert (status, made["state"]) == (201, "registering")
    await stands(http, "in_stock", *serials)


async def stands(http: TestClient, state: str, *serials: str) -> None:
    async with asyncio.timeout(10):
        for serial in serials:
            while (await device(http, serial))["state"] != state:
                await asyncio.sleep(0.005)


async def device(http: TestClient, serial: str) -> dict[str, Any]:
    _, page = await call(http, "GET", f"/v1/devices?serial={serial}")
    return page["devices"][0]


@pytest.fixture
async def account_id(http: TestClient) -> int:
    assert (await call(http, "POST", "/v1/plans", PLAN))[0] == 201
    status, made = await call(http, "POST", "/v1/accounts", ACCOUNT)
    assert status == 201
    return made["id"]


async def test_a_plan_prices_the_accounts_on_it(http: TestClient, account_id: int) -> None:
    _, found = await call(http, "GET", f"/v1/accounts/{account_id}")
    assert (found["plan"], found["price_per_day_subunit"], found["max_days"]) == ("home", PRICE, 90)
    assert (found["device"], found["balance_subunit"], found["pairings"]) == ("", 0, [])
    assert (await call(http, "POST", "/v1/plans", PLAN))[0] == 409
    assert (await call(http, "POST", "/v1/accounts", ACCOUNT))[0] == 409
    assert (await call(http, "POST", "/v1/plans", {**PLAN, "name": "x", "min_days": 91}))[0] == 400
    assert await call(http, "GET", "/v1/plans") == (200, {"plans": [{**PLAN, "min_days": 1}]})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"plan": "other"}, "plan"),
        ({"provider_key": "ke_safaricom_mpesa"}, "provider_key"),
        ({"msisdn": "+256700000009"}, "msisdn"),
        ({"reference": "\0"}, "reference"),
        ({"market": "KE", "provider_key": "ke_safaricom_mpesa"}, "business_account"),
    ],
)
async def test_an_account_that_does_not_fit_is_400(
    http: TestClient, account_id: int, changes: dict[str, object], field: str
) -> None:
    ke = {**PLAN, "market": "KE", "currency": "KES"}
    assert (await call(http, "POST", "/v1/plans", ke))[0] == 201
    status, body = await call(http, "POST", "/v1/accounts", {**ACCOUNT, "reference": "1", **changes})
    assert (status, body["errors"][0]["field"]) == (400, field)


async def test_pages_of_accounts_and_devices(
    http: TestClient, account_id: int, partners: FakePartners
) -> None:
    _, first = await call(http, "GET", "/v1/accounts?limit=1")
    assert [each["id"] for each in first["accounts"]] == [account_id]
    _, second = await call(http, "GET", f"/v1/accounts?limit=1&before={first['next']}")
    assert [each["reference"] for each in second["accounts"]] == ["254543"]
    _, found = await call(http, "GET", "/v1/accounts?reference=777001")
    assert len(found["accounts"]) == 1
    await stocked(http, partners, "D1", "D2")
    _, page = await call(http, "GET", "/v1/devices?state=in_stock&limit=1")
    assert ([each["serial"] for each in page["devices"]], page["next"]) == (["D1"], "D1")
    _, page = await call(http, "GET", "/v1/devices?state=in_stock&after=D1")
    assert ([each["serial"] for each in page["devices"]], page["next"]) == (["D2"], None)
    for query in ("limit=0", "limit=201", "limit=x", "before=-1", "reference=%00"):
        assert (await call(http, "GET", f"/v1/accounts?{query}"))[0] == 400


async def test_accounts_that_were_registered_with_a_device_are_paired(http: TestClient) -> None:
    found = await device(http, "SCBLNX/A/BT/254543")
    assert (found["state"], found["market"]) == ("paired", "UG")
    _, account = await call(http, "GET", f"/v1/accounts/{found['account_id']}")
    assert [each["device"] for each in account["pairings"]] == ["SCBLNX/A/BT/254543"]


async def test_checklist_94_a_device_goes_to_the_token_registry_once(
    http: TestClient, partners: FakePartners, service: Solarium
) -> None:
    partners.failing["register"] = [Unavailable("later", retry_after_s=0)]
    await call(http, "POST", "/v1/devices", {"serial": "D1", "market": "UG", "secret": SECRET})
    await stands(http, "in_stock", "D1")
    assert partners.calls.count("register") == 2
    assert (await call(http, "POST", "/v1/devices", {"serial": "D1", "market": "UG", "secret": SECRET}))[
        0
    ] == 409
    partners.failing["register"] = [BadRequest("the secret is wrong")]
    await call(http, "POST", "/v1/devices", {"serial": "D2", "market": "UG", "secret": SECRET})
    await stands(http, "refused", "D2")
    await stocked(http, partners, "D2")
    assert partners.registered["D2"] == (SECRET, "moto", "UG", None)


async def test_pairing_lets_money_buy_days(
    http: TestClient, account_id: int, partners: FakePartners, service: Solarium, clock: ManualClock
) -> None:
    await stocked(http, partners, "D1")
    assert await service.confirm(**payment("T1", reference="777001"))
    clock.advance(60)
    _, found = await call(http, "GET", f"/v1/accounts/{account_id}")
    assert found["balance_subunit"] == 125_000  # it waits for a device
    status, found = await call(http, "POST", f"/v1/accounts/{account_id}/pair", {"serial": "D1"})
    assert (status, found["device"]) == (200, "D1")
    assert (await device(http, "D1"))["account_id"] == account_id
    assert found["balance_subunit"] == 125_000 - 2 * PRICE  # it has waited for this
    await partners.until(1, "order")
    clock.advance(60)
    assert await service.confirm(**payment("T2", reference="777001"))
    await partners.until(2, "order")
    assert list(partners.orders.values()) == [("D1", "unlock_relative", 2), ("D1", "unlock_relative", 3)]
    assert (await service.audit()).sound
    _, told = await call(http, "GET", f"/v1/accounts/{account_id}/statement")
    lines = [(each["kind"], each["balance_subunit"]) for each in told["lines"]]
    assert lines == [("payment", 125_000), ("days", 25_000), ("payment", 150_000), ("days", 0)]


async def test_days_bought_at_pairing_go_with_the_reversal_of_their_payment(
    http: TestClient, account_id: int, partners: FakePartners, service: Solarium
) -> None:
    await stocked(http, partners, "D1")
    pair, back = f"/v1/accounts/{account_id}/pair", f"/v1/accounts/{account_id}/return"
    for tx, waits in (("T1", 125_000), ("T2", 150_000)):  # 25,000 were left of the first one
        assert await service.confirm(**payment(tx, reference="777001"))
        _, found = await call(http, "GET", f"/v1/accounts/{account_id}")
        assert found["balance_subunit"] == waits
        for _ in range(2):  # paired again, there is nothing more to be bought
            assert (await call(http, "POST", pair, {"serial": "D1"}))[0] == 200
            assert (await call(http, "POST", back))[0] == 200
    await partners.until(2, "order")
    assert [days for _, _, days in partners.orders.values()] == [2, 3]
    for number, left in ((2, 25_000), (1, 0)):
        status, done = await call(http, "POST", f"/v1/payments/{number}/reverse", {"reason": "why"})
        assert (status, done["balance_subunit"]) == (200, left)
        assert (await service.audit()).sound


async def test_a_device_belongs_to_one_account(
    http: TestClient, account_id: int, partners: FakePartners
) -> None:
    await stocked(http, partners, "D1", "D2")
    pair = f"/v1/accounts/{account_id}/pair"
    answers = await asyncio.gather(
        *(call(http, "POST", pair, {"serial": serial}) for serial in ("D1", "D2") * 3)
    )
    assert sorted(status for status, _ in answers) == [200] + [409] * 5
    taken = (await device(http, "D1"))["state"] == "paired"
    assert ((await device(http, "D2"))["state"] == "paired") != taken
    other = await call(http, "POST", "/v1/accounts", {**ACCOUNT, "reference": "2"})
    serial = "D1" if taken else "D2"
    path = f"/v1/accounts/{other[1]['id']}/pair"
    assert (await call(http, "POST", path, {"serial": serial}))[0] == 409
    assert (await call(http, "POST", path, {"serial": "nothing"}))[0] == 404
    assert (await call(http, "POST", "/v1/accounts/999999/pair", {"serial": serial}))[0] == 404


async def test_a_swap_moves_the_days_that_are_left(
    http: TestClient, account_id: int, partners: FakePartners, service: Solarium, clock: ManualClock
) -> None:
    await stocked(http, partners, "D1", "D2")
    await call(http, "POST", f"/v1/accounts/{account_id}/pair", {"serial": "D1"})
    assert await service.confirm(**payment("T1", reference="777001", amount_subunit=10 * PRICE))
    await partners.until(1, "send")
    clock.advance(3.5 * DAY_MS / 1000)
    status, found = await call(http, "POST", f"/v1/accounts/{account_id}/swap", {"serial": "D2"})
    assert (status, found["device"]) == (200, "D2")
    assert [each.get("ended_by") for each in found["pairings"]] == ["swap", None]
    await partners.until(2, "send")
    assert list(partners.orders.values()) == [("D1", "unlock_relative", 10), ("D2", "unlock_relative", 7)]
    assert (await device(http, "D1"))["state"] == "faulty"
    (mine,) = await service.customers.accounts(msisdn="256700000009", market="UG")
    assert mine.days_left == 7
    tokens = await service.customers.tokens(msisdn="256700000009", market="UG", reference="777001")
    assert len(tokens) == 1
    assert (await call(http, "POST", f"/v1/accounts/{account_id}/swap", {"serial": "D1"}))[0] == 409
    assert (await device(http, "D2"))["state"] == "paired"  # what failed has changed nothing
    assert (await service.audit()).sound


async def test_a_swap_ends_what_was_still_on_its_way_to_the_old_device(
    http: TestClient, account_id: int, partners: FakePartners, service: Solarium, clock: ManualClock
) -> None:
    """Its days move. Its token would be typed on the new device, and cost the customer a guess."""
    await stocked(http, partners, "D1", "D2")
    await call(http, "POST", f"/v1/accounts/{account_id}/pair", {"serial": "D1"})
    partners.failing["send"] = [Unavailable("mega is away")]
    assert await service.confirm(**payment("T1", reference="777001", amount_subunit=2 * PRICE))
    await partners.until(1, "send")  # the token is made, its short message waits
    partners.failing["order"] = [NotFound("reported stolen")]
    assert await service.confirm(**payment("T2", reference="777001", amount_subunit=3 * PRICE))
    await partners.until(2, "order")  # no token is made
    assert (await call(http, "POST", f"/v1/accounts/{account_id}/swap", {"serial": "D2"}))[0] == 200
    await partners.until(2, "send")
    clock.advance(600)
    service._dispatcher._wake.set()
    await delivered(service)
    assert list(partners.orders.values()) == [("D1", "unlock_relative", 2), ("D2", "unlock_relative", 5)]
    assert [each["text"][-15:] for each in partners.messages.values()] == ["*00 427 443 50#"]


async def delivered(service: Solarium) -> None:
    """Wait until nothing is left of what orders need."""
    table = service._store.outbox.table
    wanted = select(func.count()).where(table.c.kind.in_((ORDER_TOKEN, SEND_COMMAND, SEND_SMS)))
    async with asyncio.timeout(10):
        while await service._database.read(lambda connection: connection.execute(wanted).scalar_one()):
            await asyncio.sleep(0.005)


async def test_a_returned_device_can_be_paired_again(
    http: TestClient, account_id: int, partners: FakePartners
) -> None:
    await stocked(http, partners, "D1")
    pair, back = f"/v1/accounts/{account_id}/pair", f"/v1/accounts/{account_id}/return"
    assert (await call(http, "POST", back))[0] == 409
    for _ in range(2):
        assert (await call(http, "POST", pair, {"serial": "D1"}))[0] == 200
        status, found = await call(http, "POST", back)
        assert (status, found["device"]) == (200, "")
        assert (await device(http, "D1"))["state"] == "in_stock"
    assert [each["ended_by"] for each in found["pairings"]] == ["return", "return"]


async def test_events_of_a_device(http: TestClient, clock: ManualClock) -> None:
    assert await send(http, clock, event()) == 204
    _, found = await call(http, "GET", "/v1/device_events?identifier=SCBLNX/A/BT/254543")
    assert [each["type"] for each in found["events"]] == ["token_applied"]
    assert found["events"][0]["data"]["token_count"] == 4
    assert (await call(http, "GET", "/v1/device_events?identifier=unheard"))[0] == 404


async def test_checklist_116_a_key_of_another_market_sees_and_changes_nothing(
    http: TestClient, account_id: int, partners: FakePartners, service: Solarium
) -> None:
    await stocked(http, partners, "D1")
    await service.install_key("ke", client="kenya", markets=["KE"])
    for path in ("/v1/plans", "/v1/accounts", "/v1/devices"):
        _, found = await call(http, "GET", path, key="ke")
        assert next(iter(found.values())) == [], path
    bodies = {
        "/v1/plans": {**PLAN, "name": "x"},
        "/v1/accounts": {**ACCOUNT, "reference": "x"},
        "/v1/devices": {"serial": "D3", "market": "UG", "secret": SECRET},
    }
    for path, body in bodies.items():
        assert (await call(http, "POST", path, body, key="ke"))[0] == 403, path
    for path in ("pair", "swap", "return"):
        answer = await call(http, "POST", f"/v1/accounts/{account_id}/{path}", {"serial": "D1"}, key="ke")
        assert answer[0] == 404
    for path in ("", "/statement"):
        assert (await call(http, "GET", f"/v1/accounts/{account_id}{path}", key="ke"))[0] == 404
    assert (await call(http, "GET", "/v1/device_events?identifier=D1", key="ke"))[0] == 404
    for path in ("/v1/plans", "/v1/accounts", "/v1/devices", "/v1/suspense"):
        assert (await call(http, "GET", path, key="wrong"))[0] == 401


async def test_of_those_who_enter_the_same_at_once_with_other_values_one_is_told_it_is_here(
    http: TestClient,
) -> None:
    assert (await call(http, "POST", "/v1/plans", PLAN))[0] == 201
    devices = [{"serial": "D1", "market": "UG", "secret": f"{number:014x}"} for number in range(4)]
    accounts = [{**ACCOUNT, "msisdn": f"25670000001{number}"} for number in range(4)]
    for path, wanted in (("/v1/devices", devices), ("/v1/accounts", accounts)):
        answers = await asyncio.gather(*(call(http, "POST", path, each) for each in wanted))
        assert sorted(status for status, _ in answers) == [201, 409, 409, 409]
