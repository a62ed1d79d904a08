"""Suspense resolved, payments reversed, statements (issue 4): the ledger stays balanced through all of it."""

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.kit.database import open_database
from backend.kit.errors import BackendError, NotFound
from backend.kit.keys import Client
from backend.solarium.operations_store import IN_STOCK, EnteredRow
from backend.solarium.operator_schemas import ResolutionRequest
from backend.solarium.service import Solarium
from simulator.clock import ManualClock, SeededEntropy
from tests.backend.solarium.fakes import PRICE, FakePartners, account, make_service, payment
from tests.backend.solarium.test_operations import call, delivered, stocked
from tests.databases import NewDatabase, examples

OWNER = {"reference": "254543", "business_account": "600100", "reason": "the customer called"}


async def suspended(http: TestClient, service: Solarium, tx: str = "S1", **changes: object) -> int:
    """A payment in suspense."""
    assert await service.confirm(**payment(tx, **{"reference": "nobody", **changes}))
    _, page = await call(http, "GET", "/v1/suspense?limit=1")
    return page["payments"][0]["payment_id"]


async def paid(http: TestClient, service: Solarium, tx: str = "P1", **changes: object) -> int:
    """A booked payment."""
    assert await service.confirm(**payment(tx, **changes))
    lines = (await statement(http))["lines"]
    return next(line["payment_id"] for line in lines if line["provider_tx"] == tx)


async def account_id(http: TestClient) -> int:
    return (await call(http, "GET", "/v1/accounts?reference=254543"))[1]["accounts"][0]["id"]


async def statement(http: TestClient, query: str = "") -> dict[str, Any]:
    status, found = await call(http, "GET", f"/v1/accounts/{await account_id(http)}/statement{query}")
    assert status == 200
    return found


async def test_resolved_suspense_buys_days(
    http: TestClient, service: Solarium, partners: FakePartners
) -> None:
    payment_id = await suspended(http, service)
    answer = await call(http, "POST", f"/v1/suspense/{payment_id}/resolve", OWNER)
    assert answer[0] == 200
    assert {**answer[1], "correction_id": 0} == {
        "correction_id": 0,
        "payment_id": payment_id,
        "outcome": "resolved",
        "balance_subunit": PRICE // 2,
        "days": 2,
    }
    await partners.until(1, "order")
    assert list(partners.orders.values()) == [("SCBLNX/A/BT/254543", "unlock_relative", 2)]
    assert (await call(http, "GET", "/v1/suspense"))[1] == {"payments": [], "next": None}
    assert [line["kind"] for line in (await statement(http))["lines"]] == ["resolution", "days"]
    audit = await service.audit()
    assert (audit.sound, audit.days_sold) == (True, 2)


async def test_of_concurrent_resolutions_one_is_booked(http: TestClient, service: Solarium) -> None:
    payment_id = await suspended(http, service)
    path = f"/v1/suspense/{payment_id}/resolve"
    answers = await asyncio.gather(*(call(http, "POST", path, OWNER) for _ in range(8)))
    assert sorted(status for status, _ in answers) == [200] + [409] * 7
    audit = await service.audit()
    assert (audit.sound, audit.days_sold) == (True, 2)


@pytest.mark.parametrize(
    "changes", [{"reference": "nobody"}, {"business_account": "other"}, {"reason": ""}, {"reference": None}]
)
async def test_a_resolution_that_does_not_fit_books_nothing(
    http: TestClient, service: Solarium, changes: dict[str, object]
) -> None:
    payment_id = await suspended(http, service)
    path = f"/v1/suspense/{payment_id}/resolve"
    assert (await call(http, "POST", path, {**OWNER, **changes}))[0] == 400
    assert (await call(http, "POST", "/v1/suspense/999999/resolve", OWNER))[0] == 404
    assert len((await call(http, "GET", "/v1/suspense"))[1]["payments"]) == 1


async def test_money_of_another_currency_stays_in_suspense(http: TestClient, service: Solarium) -> None:
    payment_id = await suspended(http, service, currency="KES")
    assert (await call(http, "POST", f"/v1/suspense/{payment_id}/resolve", OWNER))[0] == 400


async def test_a_reversal_is_the_mirror_of_the_payment(http: TestClient, service: Solarium) -> None:
    payment_id = await paid(http, service)
    path = f"/v1/payments/{payment_id}/reverse"
    answers = await asyncio.gather(*(call(http, "POST", path, {"reason": "chargeback"}) for _ in range(6)))
    assert sorted(status for status, _ in answers) == [200] + [409] * 5
    found = await statement(http)
    moves = [(each["kind"], each["credit_subunit"] - each["debit_subunit"]) for each in found["lines"]]
    assert moves == [("payment", 125_000), ("days", -2 * PRICE), ("reversal", -PRICE // 2)]
    assert found["closing_balance_subunit"] == 0
    assert (await service.audit()).sound


async def test_no_token_is_made_any_more_of_a_reversed_payment(
    http: TestClient, service: Solarium, partners: FakePartners, clock: ManualClock
) -> None:
    """A token that is made is the customer's; one that waits at Moto would be light for nothing."""
    await paid(http, service, "P1", amount_subunit=PRICE)
    await partners.until(1, "order")
    await partners.until(1, "send")
    partners.failing["order"] = [NotFound("reported stolen")]
    second = await paid(http, service, "P2", amount_subunit=4 * PRICE)
    await partners.until(2, "order")
    assert (await call(http, "POST", f"/v1/payments/{second}/reverse", {"reason": "why"}))[0] == 200
    clock.advance(600)
    service._dispatcher._wake.set()
    await delivered(service)
    assert [days for _, _, days in partners.orders.values()] == [1]
    (mine,) = await service.customers.accounts(msisdn="256700000001", market="UG")
    assert mine.days_left == 1
    audit = await service.audit()
    assert (audit.sound, audit.days_sold, audit.orders["withdrawn"]) == (True, 1, 1)


async def test_a_reversal_leaves_the_days_that_a_swap_has_moved(
    http: TestClient, service: Solarium, partners: FakePartners, clock: ManualClock
) -> None:
    """They are of other payments too."""
    await stocked(http, partners, "D2")
    await paid(http, service, "P1", amount_subunit=3 * PRICE)
    second = await paid(http, service, "P2", amount_subunit=4 * PRICE)
    await partners.until(2, "send")
    clock.advance(1)
    partners.failing["order"] = [NotFound("not yet")]
    account = await account_id(http)
    assert (await call(http, "POST", f"/v1/accounts/{account}/swap", {"serial": "D2"}))[0] == 200
    await partners.until(3, "order")
    assert (await call(http, "POST", f"/v1/payments/{second}/reverse", {"reason": "why"}))[0] == 200
    clock.advance(600)
    service._dispatcher._wake.set()
    await delivered(service)
    assert [days for device, _, days in partners.orders.values() if device == "D2"] == [7]


async def test_after_a_reversal_a_debt_is_paid_first(
    http: TestClient, service: Solarium, partners: FakePartners
) -> None:
    first = await paid(http, service, "P1", amount_subunit=PRICE - 10)  # buys nothing
    await paid(http, service, "P2", amount_subunit=10)  # and with this one a day
    _, reversed_ = await call(http, "POST", f"/v1/payments/{first}/reverse", {"reason": "chargeback"})
    assert reversed_["balance_subunit"] == 10 - PRICE
    await paid(http, service, "P3", amount_subunit=PRICE)
    assert (await statement(http))["closing_balance_subunit"] == 10
    audit = await service.audit()
    assert (audit.sound, audit.days_sold) == (True, 1)


async def test_suspense_can_be_reversed_before_and_after_it_is_resolved(
    http: TestClient, service: Solarium
) -> None:
    first = await suspended(http, service, "S1")
    assert (await call(http, "POST", f"/v1/payments/{first}/reverse", {"reason": "refund"}))[0] == 200
    assert (await call(http, "POST", f"/v1/suspense/{first}/resolve", OWNER))[0] == 409
    second = await suspended(http, service, "S2")
    assert (await call(http, "POST", f"/v1/suspense/{second}/resolve", OWNER))[0] == 200
    assert (await call(http, "POST", f"/v1/payments/{second}/reverse", {"reason": "refund"}))[0] == 200
    assert (await statement(http))["closing_balance_subunit"] == 0
    assert (await service.audit()).sound


async def test_a_statement_of_a_time(http: TestClient, service: Solarium, clock: ManualClock) -> None:
    await paid(http, service, "P1")  # 2025-12-01T10:10:00Z
    clock.advance(86_400)
    await paid(http, service, "P2", amount_subunit=10)
    clock.advance(86_400)
    await paid(http, service, "P3", amount_subunit=20)
    found = await statement(http, "?from=2025-12-02T00:00:00Z&to=2025-12-03T00:00:00Z")
    assert found["opening_balance_subunit"] == PRICE // 2
    assert found["closing_balance_subunit"] == PRICE // 2 + 10
    assert [line["provider_tx"] for line in found["lines"]] == ["P2"]
    path = f"/v1/accounts/{await account_id(http)}/statement?from=yesterday"
    assert (await call(http, "GET", path))[0] == 400


async def test_checklist_116_suspense_of_another_market_is_not_found(
    http: TestClient, service: Solarium
) -> None:
    payment_id = await suspended(http, service)
    await service.install_key("ke", client="kenya", markets=["KE"])
    assert (await call(http, "GET", "/v1/suspense", key="ke"))[1]["payments"] == []
    path = f"/v1/suspense/{payment_id}/resolve"
    assert (await call(http, "POST", path, OWNER, key="ke"))[0] == 404
    reverse = f"/v1/payments/{payment_id}/reverse"
    assert (await call(http, "POST", reverse, {"reason": "x"}, key="ke"))[0] == 404
    await service.install_key("ug", client="uganda", markets=["UG"])
    assert (await call(http, "POST", path, OWNER, key="ug"))[0] == 200


steps = st.lists(
    st.tuples(
        st.sampled_from(["pay", "pay", "stray", "resolve", "reverse", "pair", "swap", "return"]),
        st.integers(1, 6),
        st.integers(1, 4 * PRICE),
    ),
    max_size=14,
)
SERIALS = [f"D{number}" for number in range(1, 7)]


async def walk(url: str, actions: list[tuple[str, int, int]]) -> None:
    by = Client("operator", ())
    database = open_database(url, "solarium", inline=True)
    service = make_service(database, ManualClock(0), SeededEntropy(1), FakePartners())
    await service.start()
    await service.register_accounts([account(device="")])
    operations = service.operations
    stock = [EnteredRow(serial, "UG", "moto", IN_STOCK, 0, "") for serial in SERIALS]
    await database.write(lambda c: operations._operations.put_devices(c, stock))
    refused: set[int] = set()
    for number, (action, target, amount) in enumerate(actions):
        try:
            if action in ("pay", "stray"):
                reference = "254543" if action == "pay" else "nobody"
                body = payment(str(number), reference=reference, amount_subunit=amount)
                await service.confirm(**body)
            elif action == "pair":
                await operations.pair(1, f"D{target}", by)
            elif action == "swap":
                await operations.swap(1, f"D{target}", by)
            elif action == "return":
                await operations.give_back(1, by)
            elif action == "resolve":
                await service.corrections.resolve(target, ResolutionRequest(**OWNER), by)
            else:
                await service.corrections.reverse(target, "why", by)
        except BackendError as error:
            refused.add(error.status)
            continue
        assert (await service.audit()).sound
        found = await operations.account(1, by)
        if found.device and action in ("pair", "pay"):
            assert found.balance_subunit < PRICE, "nobody with a device has days in waiting"
    assert refused <= {404, 409}
    await service.stop()
    await database.close()


def test_any_sequence_of_corrections_keeps_the_ledger_balanced(
    new_database_url: NewDatabase, database_kind: str
) -> None:
    @settings(max_examples=examples(database_kind, 25))
    @given(steps)
    def is_kept(actions: list[tuple[str, int, int]]) -> None:
        url = new_database_url()
        asyncio.run(walk(url, actions))
        new_database_url.drop(url)

    is_kept()
