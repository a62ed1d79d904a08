"""The external API (checklist 36-47, resolutions 9 and 10)."""

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from backend.kit.database import Database
from backend.solarium.service import Solarium
from simulator.clock import ManualClock
from tests.backend.solarium.fakes import PRICE, FakePartners, account
from tests.databases import everything_in

TOKEN, SIMULATION, EXECUTION = "/api/auth/token", "/api/payment/simulation", "/api/payment/execution"
PATHS = (TOKEN, SIMULATION, EXECUTION)
CREDENTIALS = {"client_id": "shop", "client_secret": "shop-secret"}
SIMULATED = {
    "reference": "254543",
    "amount": 5000,
    "currency": "UGX",
    "provider_key": "ug_mtn_mobilemoney",
}
EXECUTED = {**SIMULATED, "sender_phone": "256700000000"}
REQUIRED = {
    "error": "invalid_client",
    "error_description": "client_id and client_secret are required",
}


async def post(
    http: TestClient, path: str, body: object, token: str | None = None
) -> tuple[int, dict[str, Any]]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with http.post(path, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


@pytest.fixture
async def token(http: TestClient) -> str:
    status, body = await post(http, TOKEN, CREDENTIALS)
    assert status == 200
    return body["access_token"]


async def test_checklist_36_credentials_give_an_access_token(http: TestClient) -> None:
    status, body = await post(http, TOKEN, CREDENTIALS)
    assert status == 200
    assert list(body) == ["access_token", "token_type", "expires_in"]
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    assert len(body["access_token"]) == 64


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"client_id": "shop"},
        {"client_secret": "shop-secret"},
        {"client_id": "", "client_secret": ""},
        {"client_id": 5, "client_secret": None},
        {"client_id": "shop\0", "client_secret": "x"},
        [],
        None,
        "text",
    ],
)
async def test_checklist_37_missing_credentials_are_401(http: TestClient, body: object) -> None:
    assert await post(http, TOKEN, body) == (401, REQUIRED)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 60_000])
async def test_checklist_37_a_body_that_is_no_json_has_no_credentials(http: TestClient, data: bytes) -> None:
    async with http.post(TOKEN, data=data) as answer:
        assert (answer.status, await answer.json()) == (401, REQUIRED)


@pytest.mark.parametrize(("client", "secret"), [("shop", "wrong"), ("nobody", "shop-secret")])
async def test_checklist_38_invalid_credentials_are_401(http: TestClient, client: str, secret: str) -> None:
    status, body = await post(http, TOKEN, {"client_id": client, "client_secret": secret})
    assert status == 401
    assert body["error"] == "invalid_client"
    assert body["error_description"]


async def test_checklist_39_any_other_method_is_405(http: TestClient) -> None:
    for path in PATHS:
        for method in ("GET", "OPTIONS", "PUT", "DELETE", "PATCH", "HEAD"):
            async with http.request(method, path) as answer:
                assert answer.status == 405
                assert answer.headers["Content-Type"] == "application/json"
                text = await answer.text()
            if method != "HEAD":
                message = f"The requested resource does not support http method '{method}'."
                assert text == f'{{"Message":"{message}"}}'


async def test_checklist_40_a_simulation_moves_nothing(
    http: TestClient, service: Solarium, token: str
) -> None:
    status, body = await post(http, SIMULATION, SIMULATED, token)
    assert status == 200
    assert body["validation_id"].startswith("sim_")
    assert {**body, "validation_id": ""} == {
        "status": "ok",
        "customer_name": "John Doe",
        "validation_id": "",
    }
    assert (await service.audit()).payments == 0


STATUSES: list[tuple[dict[str, object], int, str]] = [
    ({"reference": "999"}, 404, "reference_not_found"),
    ({"currency": "KES"}, 404, "reference_not_found"),
    ({"provider_key": "ug_airtel_money"}, 404, "reference_not_found"),
    ({"business_account": "other"}, 404, "reference_not_found"),
    ({"amount": 1}, 412, "amount_too_low"),
    ({"amount": 499.99}, 412, "amount_too_low"),
    ({"amount": 365 * PRICE // 100 + 1}, 412, "amount_too_high"),
]


@pytest.mark.parametrize(("path", "body"), [(SIMULATION, SIMULATED), (EXECUTION, EXECUTED)])
async def test_checklist_40_business_answers_are_the_four_statuses(
    http: TestClient, service: Solarium, token: str, path: str, body: dict[str, object]
) -> None:
    for changes, status, text in STATUSES:
        assert await post(http, path, {**body, **changes}, token) == (status, {"status": text}), changes
    assert (await service.audit()).payments == 0


async def test_checklist_41_an_execution_is_a_payment_like_any_other(
    http: TestClient, service: Solarium, partners: FakePartners, token: str
) -> None:
    _, simulated = await post(http, SIMULATION, SIMULATED, token)
    body = {**EXECUTED, "validation_id": simulated["validation_id"]}
    status, executed = await post(http, EXECUTION, body, token)
    assert status == 200
    assert executed["status"] == "success"
    assert executed["transaction_id"].startswith("tx_")
    assert executed["provider_tx"].startswith("MOMO")
    await partners.until(1, "send")
    audit = await service.audit()
    assert (audit.payments, audit.days_sold, audit.sound) == (1, 10, True)


async def test_checklist_41_executing_a_validation_again_pays_nothing_twice(
    http: TestClient, service: Solarium, token: str
) -> None:
    _, simulated = await post(http, SIMULATION, SIMULATED, token)
    body = {**EXECUTED, "validation_id": simulated["validation_id"]}
    answers = await asyncio.gather(*(post(http, EXECUTION, body, token) for _ in range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 200
    assert (await service.audit()).payments == 1


async def test_resolutions_10_execution_without_a_validation_is_allowed(
    http: TestClient, service: Solarium, token: str
) -> None:
    first = await post(http, EXECUTION, EXECUTED, token)
    second = await post(http, EXECUTION, {**EXECUTED, "validation_id": None}, token)
    assert first[0] == second[0] == 200
    assert first[1]["provider_tx"] != second[1]["provider_tx"]
    assert (await service.audit()).payments == 2


async def test_resolutions_10_a_wrong_validation_is_400(
    http: TestClient, service: Solarium, clock: ManualClock, token: str
) -> None:
    await service.register_accounts([account("2")])
    await service.install_client("other", "other-secret")
    _, other = await post(http, TOKEN, {"client_id": "other", "client_secret": "other-secret"})
    _, simulated = await post(http, SIMULATION, SIMULATED, token)
    body = {**EXECUTED, "validation_id": simulated["validation_id"]}
    wrong = [
        ({**body, "validation_id": "sim_123456"}, token),
        ({**body, "amount": 6000}, token),
        ({**body, "reference": "2"}, token),
        (body, other["access_token"]),
    ]
    for asked, by in wrong:
        status, answer = await post(http, EXECUTION, asked, by)
        assert (status, answer["error"]) == (400, "invalid_request")
    clock.advance(15 * 60)
    assert (await post(http, EXECUTION, body, token))[0] == 400
    assert (await service.audit()).payments == 0


async def test_checklist_116_a_client_of_another_market_finds_nothing_and_pays_nothing(
    http: TestClient, service: Solarium
) -> None:
    await service.install_client("kenyan", "kenyan-secret", markets=["KE"])
    await service.install_client("ugandan", "ugandan-secret", markets=["KE", "UG"])
    for client, status in (("kenyan", 404), ("ugandan", 200)):
        credentials = {"client_id": client, "client_secret": f"{client}-secret"}
        _, body = await post(http, TOKEN, credentials)
        for path, asked in ((SIMULATION, SIMULATED), (EXECUTION, EXECUTED)):
            answer = await post(http, path, asked, body["access_token"])
            assert answer[0] == status
            if status == 404:
                assert answer[1] == {"status": "reference_not_found"}
    assert (await service.audit()).payments == 1


@pytest.mark.parametrize("path", [SIMULATION, EXECUTION])
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic c2hvcDpz"])
async def test_checklist_42_no_bearer_token_is_401(http: TestClient, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with http.post(path, json=EXECUTED, headers=headers) as answer:
        assert answer.status == 401
        assert await answer.json() == {
            "error": "invalid_token",
            "error_description": "Authorization header with Bearer token is required",
        }


NOT_FOUND = {"error": "invalid_token", "error_description": "Token not found or expired"}


@pytest.mark.parametrize("path", [SIMULATION, EXECUTION])
async def test_checklist_43_a_bad_or_expired_token_is_401(
    http: TestClient, clock: ManualClock, token: str, path: str
) -> None:
    assert await post(http, path, EXECUTED, "wrong") == (401, NOT_FOUND)
    assert await post(http, path, EXECUTED, "x" * 5000) == (401, NOT_FOUND)
    clock.advance(3599)
    assert (await post(http, path, EXECUTED, token))[0] == 200
    clock.advance(1)
    assert await post(http, path, EXECUTED, token) == (401, NOT_FOUND)


ABSENT = (
    *("/api/auth/refresh", "/api/payment/status", "/api/payment/validate", "/api/payment/confirm"),
    *("/api/payment/callback", "/swagger/index.html", "/api/health", "/api/version"),
)


async def test_checklist_45_what_the_probe_did_not_find_is_404(http: TestClient) -> None:
    for path in ABSENT:
        for method in ("GET", "POST"):
            async with http.request(method, path) as answer:
                assert answer.status == 404, (method, path)


async def test_checklist_46_over_100_requests_a_second_are_429(
    http: TestClient, service: Solarium, clock: ManualClock, token: str
) -> None:
    clock.advance(1)
    for _ in range(100):
        assert (await post(http, SIMULATION, {}, token))[0] == 400
    async with http.post(SIMULATION, json=SIMULATED, headers={"Authorization": f"Bearer {token}"}) as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["RateLimit-Policy"] == "100;w=1"
        assert (await answer.json())["error"] == "too_many_requests"
    await service.install_client("other", "other-secret")
    _, other = await post(http, TOKEN, {"client_id": "other", "client_secret": "other-secret"})
    assert (await post(http, SIMULATION, SIMULATED, other["access_token"]))[0] == 200
    clock.advance(1)
    assert (await post(http, SIMULATION, SIMULATED, token))[0] == 200


async def test_checklist_46_guessing_credentials_is_limited_too(http: TestClient) -> None:
    wrong = {"client_id": "shop", "client_secret": "wrong"}
    statuses = [(await post(http, TOKEN, wrong))[0] for _ in range(101)]
    assert statuses == [401] * 100 + [429]


async def test_resolutions_9_the_momo_path_is_not_limited(http: TestClient) -> None:
    for _ in range(150):
        async with http.post("/validate_payment", json={}) as answer:
            assert answer.status == 401
            assert "RateLimit-Policy" not in answer.headers


@pytest.mark.parametrize("path", PATHS)
async def test_checklist_46_47_headers_of_the_external_api(http: TestClient, path: str) -> None:
    async with http.post(path, json={}) as answer:
        assert answer.headers["RateLimit-Policy"] == "100;w=1"
        assert answer.headers["Cache-Control"] == "no-store"


BAD: list[dict[str, object]] = [
    *({name: None} for name in EXECUTED),
    *({name: []} for name in EXECUTED),
    *({"amount": value} for value in (0, -1, 1e13, 10**400, "5000", 0.001, True)),
    {"sender_phone": "+256700000000"},
    {"sender_phone": "25670****000"},
    {"validation_id": 5},
    {"reference": "\0"},
]


async def test_a_request_that_does_not_fit_is_400(http: TestClient, service: Solarium, token: str) -> None:
    for changes in BAD:
        status, body = await post(http, EXECUTION, {**EXECUTED, **changes}, token)
        assert (status, body["error"]) == (400, "invalid_request"), changes
        assert body["error_description"].startswith(f"{next(iter(changes))}: ")
    assert (await service.audit()).payments == 0


@pytest.mark.parametrize("path", PATHS)
async def test_an_oversized_body_is_413(http: TestClient, token: str, path: str) -> None:
    assert (await post(http, path, {"filler": "x" * 70_000}, token))[0] == 413


async def test_the_secret_and_the_token_are_not_in_the_database(
    http: TestClient, token: str, database: Database
) -> None:
    content = await everything_in(database)
    assert "shop" in content
    assert "shop-secret" not in content
    assert token not in content
