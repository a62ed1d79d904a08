"""Rows of the checklist on billing that run through several routes, or that time decides."""

import base64
import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from sqlalchemy import func, select

from backend.kit.database import Database
from backend.kit.errors import Unavailable
from backend.solarium.schemas import STATUS_CODES
from backend.solarium.service import Solarium
from simulator.clock import ManualClock
from tests.backend.solarium.fakes import API_KEY, UG, FakePartners, account, payment

HEADERS = {"API-KEY": API_KEY}
YEAR_S = 365 * 86_400
HOURS_72_S = 72 * 3600
CREDENTIALS = {"client_id": "shop", "client_secret": "shop-secret"}
# Checklist 3 with the currencies of resolutions 25.
MARKETS = {
    "UG": "UGX",
    "BJ": "XOF",
    "CI": "XOF",
    "MZ": "MZN",
    "NG": "NGN",
    "ZM": "ZMW",
    "KE": "KES",
    "TZ": "TZS",
    "RW": "RWF",
}


async def post(http: TestClient, path: str, body: object, **headers: str) -> tuple[int, Any]:
    async with http.post(path, json=body, headers=headers or HEADERS) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text else None


async def rows(database: Database, service: Solarium, table: str) -> int:
    """How many rows a table has."""
    statement = select(func.count()).select_from(getattr(service._store.tables, table))
    return await database.read(lambda connection: connection.execute(statement).scalar_one())


@pytest.mark.parametrize(("market", "currency"), MARKETS.items())
async def test_checklist_3_every_market_is_billed_in_its_currency(
    http: TestClient, service: Solarium, market: str, currency: str
) -> None:
    place = {
        "currency": currency,
        "business_account": "900100",
        "provider_key": f"{market.lower()}_some_brand",
    }
    await service.register_accounts([account("77", market=market, **place)])
    asked = {"reference": "77", **place, "amount_subunit": 125_000}
    assert await post(http, "/validate_payment", asked) == (
        200,
        {"status": "ok", "customer_name": "John Doe"},
    )
    assert await post(http, "/confirm_payment", payment(reference="77", **place)) == (200, None)
    audit = await service.audit()
    assert (audit.payments, audit.days_sold, audit.sound) == (1, 2, True)


@pytest.mark.parametrize(
    ("provider_key", "status"),
    [
        ("ug_mtn_mobilemoney", 200),
        *(
            (key, 400)
            for key in (
                *("mtn", "ug_mtn", "uga_mtn_mobilemoney", "ug_mtn_mobile_money", "UG_MTN_MOBILEMONEY"),
                *("ug__mobilemoney", "ug-mtn-mobilemoney", "ug_mtn_", ""),
            )
        ),
    ],
)
async def test_checklist_5_a_provider_key_is_country_company_brand(
    http: TestClient, provider_key: str, status: int
) -> None:
    asked = {"reference": "254543", **UG, "provider_key": provider_key}
    answered, body = await post(http, "/validate_payment", asked)
    assert answered == status
    assert status == 200 or body["errors"][0]["field"] == "provider_key"


async def test_checklist_7_a_reference_is_unique_in_its_business_account_only(
    http: TestClient, service: Solarium
) -> None:
    await service.register_accounts([account(business_account="600200", customer_name="Jane Roe")])
    for business_account, name in (("600100", "John Doe"), ("600200", "Jane Roe")):
        asked = {"reference": "254543", **UG, "business_account": business_account}
        assert (await post(http, "/validate_payment", asked))[1]["customer_name"] == name
    again = {
        "reference": "254543",
        "market": "UG",
        "business_account": "600100",
        "provider_key": UG["provider_key"],
        "currency": "UGX",
        "customer_name": "Another",
        "msisdn": "256700000009",
        "price_per_day_subunit": 1000,
    }
    assert (await post(http, "/v1/accounts", again))[0] in (400, 409)


async def test_checklist_7_formats_of_currency_phone_time_and_amount(http: TestClient) -> None:
    """ISO 4217, E.164 without +, UTC ISO 8601, and subunits: 125,000 are 1,250.00 UGX, so 2 days of 500."""
    for name, bad in (
        ("currency", "UG"),
        ("sender_phone_number", "+256700000001"),
        ("received_at", "01/12/2025 10:30"),
        ("amount_subunit", "125000"),
    ):
        assert await post(http, "/confirm_payment", payment(**{name: bad})) == (400, None)
    assert await post(http, "/confirm_payment", payment()) == (200, None)
    async with http.get("/v1/accounts/1/statement", headers=HEADERS) as answer:
        statement = await answer.json()
    assert statement["currency"] == "UGX"
    assert statement["closing_balance_subunit"] == 25_000
    assert {line["at"][-1] for line in statement["lines"]} == {"Z"}


async def test_checklist_8_one_currency_a_payment_and_a_name_only_if_there_is_one(
    http: TestClient, service: Solarium
) -> None:
    await service.register_accounts([account("1", customer_name=None)])
    asked = {"reference": "1", **UG}
    assert await post(http, "/validate_payment", asked) == (200, {"status": "ok"})  # answered at once
    other = asked | {"currency": "KES"}
    assert await post(http, "/validate_payment", other) == (404, {"status": "reference_not_found"})


def test_checklist_29_the_statuses_are_these_four_and_no_other() -> None:
    assert STATUS_CODES == {
        "ok": 200,
        "amount_too_low": 412,
        "amount_too_high": 412,
        "reference_not_found": 404,
    }


async def test_checklist_34_an_error_of_ours_has_no_body_and_is_logged(
    http: TestClient, database: Database, service: Solarium, capsys: pytest.CaptureFixture[str]
) -> None:
    await database.write(service._store.tables.token_orders.drop)
    async with http.post("/confirm_payment", json=payment(), headers=HEADERS) as answer:
        assert (answer.status, await answer.read()) == (500, b"")
        assert "Content-Type" not in answer.headers
    assert "http.defect" in capsys.readouterr().out
    assert (await rows(database, service, "payments")) == 0  # nothing is half done


async def test_checklist_36_client_credentials_come_in_the_body_not_as_basic_auth(http: TestClient) -> None:
    login = base64.b64encode(b"shop:shop-secret").decode()
    basic = {"Authorization": f"Basic {login}"}
    assert await post(http, "/api/auth/token", {}, **basic) == (
        401,
        {
            "error": "invalid_client",
            "error_description": "client_id and client_secret are required",
        },
    )


async def test_checklist_44_there_is_no_refresh_only_another_token(http: TestClient) -> None:
    first = await post(http, "/api/auth/token", CREDENTIALS)
    second = await post(http, "/api/auth/token", CREDENTIALS)
    assert set(first[1]) == {"access_token", "token_type", "expires_in"}
    assert first[1]["access_token"] != second[1]["access_token"]
    assert (await post(http, "/api/auth/refresh", CREDENTIALS))[0] == 404


async def test_checklist_102_a_payments_key_is_kept_for_ever(
    http: TestClient, service: Solarium, clock: ManualClock
) -> None:
    """Resolutions 8: 72 hours is the least; a payment's own key never ends."""
    assert await post(http, "/confirm_payment", payment()) == (200, None)
    for later_s in (HOURS_72_S, 8 * YEAR_S):
        clock.advance(later_s)
        assert await post(http, "/confirm_payment", payment()) == (409, None)
    assert (await service.audit()).payments == 1


async def test_checklist_103_a_key_in_the_url_is_no_key(http: TestClient) -> None:
    asked = {"reference": "254543", **UG}
    for path in ("/validate_payment", "/confirm_payment"):
        status, _ = await post(http, f"{path}?API-KEY={API_KEY}&api_key={API_KEY}", asked, none="")
        assert status == 401
    _, answer = await post(http, "/api/auth/token", CREDENTIALS)
    token = answer["access_token"]
    assert (await post(http, f"/api/payment/simulation?access_token={token}", {}))[0] == 401


async def test_checklist_109_transactions_are_there_after_seven_years(
    http: TestClient, service: Solarium, database: Database, clock: ManualClock
) -> None:
    assert await post(http, "/confirm_payment", payment()) == (200, None)
    for _ in range(7):
        clock.advance(YEAR_S)
        await service.stop()
        await service.start()
    for table in ("payments", "ledger_transactions", "ledger_entries"):
        assert await rows(database, service, table) >= 1
    async with http.get("/v1/accounts/1/statement", headers=HEADERS) as answer:
        assert [line["kind"] for line in (await answer.json())["lines"]] == ["payment", "days"]
    assert (await service.audit()).sound


async def test_checklist_111_billing_goes_on_while_m2m_is_away(
    http: TestClient, service: Solarium, partners: FakePartners
) -> None:
    """The account is right at once; the device follows when M2M is back."""
    partners.failing["create"] = [Unavailable("m2m is away", retry_after_s=0)] * 3
    assert await post(http, "/confirm_payment", payment()) == (200, None)
    audit = await service.audit()
    assert (audit.payments, audit.days_sold, audit.sound) == (1, 2, True)
    await partners.until(4, "create")
    assert len(partners.commands) == 1


async def test_checklist_112_an_access_token_lives_an_hour(http: TestClient, clock: ManualClock) -> None:
    _, answer = await post(http, "/api/auth/token", CREDENTIALS)
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    assert answer["expires_in"] == 3600
    clock.advance(3599)
    assert (await post(http, "/api/payment/simulation", {}, **bearer))[0] == 400
    clock.advance(1)
    assert (await post(http, "/api/payment/simulation", {}, **bearer))[0] == 401


async def test_checklist_113_114_the_schemas_of_the_external_api(http: TestClient) -> None:
    """What a payment's request and answer have to have, as the seed inferred them (checklist 40, 41)."""
    _, answer = await post(http, "/api/auth/token", CREDENTIALS)
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    simulated = {"reference": "254543", "amount": 5000, "currency": "UGX", "provider_key": UG["provider_key"]}
    status, said = await post(http, "/api/payment/simulation", {}, **bearer)
    assert (status, said["error"]) == (400, "invalid_request")
    assert said["error_description"] == "; ".join(f"{name}: is missing" for name in simulated)
    _, validation = await post(http, "/api/payment/simulation", simulated, **bearer)
    assert list(validation) == ["status", "customer_name", "validation_id"]
    executed = simulated | {
        "sender_phone": "256700000000",
        "validation_id": validation["validation_id"],
    }
    status, payment_made = await post(http, "/api/payment/execution", executed, **bearer)
    assert (status, list(payment_made)) == (200, ["status", "transaction_id", "provider_tx"])
