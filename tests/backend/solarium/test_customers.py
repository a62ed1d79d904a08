"""What a customer may see of his own accounts, by his number, and nothing of another's (issue 4)."""

import asyncio

import msgspec
import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert

from backend.kit.database import open_database
from backend.kit.errors import Forbidden, Unauthorized
from backend.kit.http import AiohttpClient
from backend.solarium.client import SolariumClient
from backend.solarium.customers_store import DAY_MS, MAX_ACCOUNTS, accounts_of_number
from backend.solarium.schemas import CommandReply, CustomerAccount
from backend.solarium.service import Solarium
from backend.solarium.store import Store
from simulator.clock import ManualClock
from tests.backend.solarium.fakes import API_KEY, PRICE, FakePartners, account, payment
from tests.databases import NewDatabase, examples

OWNER = {"msisdn": "256700000001", "market": "UG"}
RW = {
    "market": "RW",
    "currency": "RWF",
    "business_account": "400200",
    "provider_key": "rw_mtn_mobilemoney",
}


async def issued(partners: FakePartners, count: int) -> None:
    """Until `count` tokens have left by SMS: stored before that."""
    await partners.until(count, "send")


async def test_balance_and_days_left_run_down(service: Solarium, clock: ManualClock) -> None:
    assert await service.customers.accounts(**OWNER) == [CustomerAccount("254543", "UGX", 0, 0)]
    await service.confirm(**payment())
    for days_left in (2, 2, 1, 0):
        (found,) = await service.customers.accounts(**OWNER)
        assert found == CustomerAccount("254543", "UGX", PRICE // 2, days_left)
        clock.advance(86_400 if days_left < 2 else 43_200)


async def test_days_count_from_when_the_device_has_them(
    service: Solarium, clock: ManualClock, partners: FakePartners
) -> None:
    await service.confirm(**payment())
    await issued(partners, 1)
    (order_id,) = partners.orders
    clock.advance(3 * 86_400)
    assert (await service.customers.accounts(**OWNER))[0].days_left == 0
    reply = {
        "identifier": "SCBLNX/A/BT/254543",
        "command": "TOKEN: 42744349",
        "status": "replied",
        "device_response": "OK",
        "created_at": "2025-12-01T10:10:00Z",
        "delivered_at": "2025-12-04T10:10:00Z",
    }

    await service.command_replied(order_id, msgspec.convert(reply, CommandReply))
    assert (await service.customers.accounts(**OWNER))[0].days_left == 2


async def test_the_last_tokens_are_those_of_the_last_payment(
    service: Solarium, partners: FakePartners, clock: ManualClock
) -> None:
    asked = {**OWNER, "reference": "254543"}
    assert await service.customers.tokens(**asked) == []
    await service.confirm(**payment("MP1"))
    await issued(partners, 1)
    assert await service.customers.tokens(**asked) == ["*00 427 443 49#"]
    clock.advance(1)
    await service.confirm(**payment("MP2", amount_subunit=PRICE * 1000))
    await issued(partners, 3)
    assert await service.customers.tokens(**asked) == ["*00 427 443 50#", "*00 427 443 51#"]


async def test_checklist_116_a_number_sees_its_own_in_its_market_only(
    service: Solarium, partners: FakePartners
) -> None:
    await service.register_accounts(
        [account("777", msisdn="256700000002"), account("888", msisdn=OWNER["msisdn"], **RW)]
    )
    await service.confirm(**payment())
    await issued(partners, 1)
    for msisdn, market, seen in (
        ("256700000001", "UG", ["254543"]),
        ("256700000002", "UG", ["777"]),
        ("256700000001", "RW", ["888"]),
        ("256700000002", "RW", []),
        ("256700000003", "UG", []),
    ):
        found = await service.customers.accounts(msisdn=msisdn, market=market)
        assert [each.reference for each in found] == seen
        tokens = await service.customers.tokens(msisdn=msisdn, market=market, reference="254543")
        assert bool(tokens) is (seen == ["254543"])


async def test_a_number_with_many_accounts_sees_the_oldest(service: Solarium) -> None:
    await service.register_accounts([account(f"a{number}") for number in range(MAX_ACCOUNTS + 5)])
    found = await service.customers.accounts(**OWNER)
    assert [each.reference for each in found] == ["254543", *(f"a{n}" for n in range(MAX_ACCOUNTS - 1))]


async def test_over_http_it_is_the_same(
    client: SolariumClient, service: Solarium, partners: FakePartners
) -> None:
    await service.confirm(**payment())
    await issued(partners, 1)
    asked = {**OWNER, "reference": "254543"}
    assert await client.accounts(**OWNER) == await service.customers.accounts(**OWNER)
    assert await client.tokens(**asked) == await service.customers.tokens(**asked) == ["*00 427 443 49#"]
    assert await client.accounts(msisdn="256700000009", market="UG") == []
    assert await client.tokens(**{**asked, "market": "RW"}) == []


async def test_keys_of_one_market_see_nothing_of_another(
    service: Solarium, http: TestClient, http_client: AiohttpClient
) -> None:
    await service.install_key("kenyan", client="ke", markets=["KE"])
    kenyan = SolariumClient(http=http_client, base_url=str(http.make_url("")), api_key="kenyan")
    stranger = SolariumClient(http=http_client, base_url=str(http.make_url("")), api_key="wrong")
    for caller, refusal in ((kenyan, Forbidden), (stranger, Unauthorized)):
        with pytest.raises(refusal):
            await caller.accounts(**OWNER)
        with pytest.raises(refusal):
            await caller.tokens(**OWNER, reference="254543")


@pytest.mark.parametrize(
    "body",
    [{}, {"msisdn": "x", "market": "UG"}, {"msisdn": "256700000001", "market": "ug"}, {"msisdn": 7}, []],
)
async def test_malformed_questions_are_400(http: TestClient, body: object) -> None:
    for path in ("/customer_accounts", "/customer_tokens"):
        answer = await http.post(path, json=body, headers={"API-KEY": API_KEY})
        assert answer.status == 400
        assert (await answer.json())["errors"]


ORDERS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 30), st.none() | st.integers(0, 60)), max_size=12
)


def test_paid_until_is_what_using_the_days_one_by_one_gives(
    new_database_url: NewDatabase, database_kind: str
) -> None:
    """(ordered on day, days, replied on day): against a walk over the orders in time."""

    @settings(max_examples=examples(database_kind))
    @given(orders=ORDERS)
    def is_given(orders: list[tuple[int, int, int | None]]) -> None:
        until = 0
        for at, days in sorted((at if replied is None else replied, days) for at, days, replied in orders):
            until = max(until, at) + days
        url = new_database_url()
        found = asyncio.run(paid_until_ms(url, orders))
        new_database_url.drop(url)
        assert found == until * DAY_MS

    is_given()


PAYMENT: dict[str, object] = {
    "receipt": "x",
    "provider_key": "p",
    "outcome": "credited",
    "reference": "r",
    "business_account": "b",
    "amount_subunit": 1,
    "currency": "UGX",
    "sender_phone_number": "1",
    "sender_masked": False,
    "momoep_id": "1",
    "received_at_ms": 0,
    "confirmed_at_ms": 0,
}


async def paid_until_ms(url: str, orders: list[tuple[int, int, int | None]]) -> int | None:
    store = Store(b"")
    rows = [
        {
            "id": f"{number:02d}",
            "payment_id": number,
            "account_id": 1,
            "device": "d",
            "days": days,
            "state": "x",
            "created_at_ms": at * DAY_MS,
            "replied_at_ms": None if replied is None else replied * DAY_MS,
        }
        for number, (at, days, replied) in enumerate(orders)
    ]

    def work(connection: Connection) -> int | None:
        connection.execute(
            insert(store.tables.accounts),
            {
                "reference": "r",
                "business_account": "b",
                "currency": "UGX",
                "market": "UG",
                "msisdn": "1",
                "device": "d",
                "token_family": "moto",
                "balance_subunit": 0,
                "price_per_day_subunit": 1,
                "min_days": 1,
                "max_days": 1,
                "created_at_ms": 0,
            },
        )
        if rows:
            paid = [{**PAYMENT, "id": row["payment_id"], "provider_tx": row["id"]} for row in rows]
            connection.execute(insert(store.tables.payments), paid)
            connection.execute(insert(store.tables.token_orders), rows)
        (found,) = accounts_of_number(connection, store.tables, msisdn="1", market="UG")
        return found.paid_until_ms

    database = open_database(url, "solarium", inline=True)
    found = await database.write(work)
    await database.close()
    return found
