"""The routes for MoMo and MESE, as the seeds and resolutions 6 and 7 document them."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from sqlalchemy import select

from backend.kit.database import Database
from backend.kit.keys import WRONG
from backend.solarium.service import Solarium
from tests.backend.solarium.fakes import API_KEY, PRICE, UG, account, payment

HEADERS = {"API-KEY": API_KEY}
ASKED = {"reference": "254543", **UG}


async def post(http: TestClient, path: str, body: object, **headers: str) -> tuple[int, str]:
    async with http.post(path, json=body, headers=headers or HEADERS) as answer:
        return answer.status, await answer.text()


async def validated(http: TestClient, **changes: object) -> tuple[int, str]:
    return await post(http, "/validate_payment", {**ASKED, **changes})


async def stored_payments(database: Database) -> list[Any]:
    def read(connection: Any) -> list[Any]:
        from backend.solarium.store import Store

        return list(connection.execute(select(Store(b"").tables.payments)).mappings())

    return await database.read(read)


async def test_checklist_25_a_known_reference_is_ok_with_the_customer_name(http: TestClient) -> None:
    assert await validated(http) == (200, '{"status":"ok","customer_name":"John Doe"}')


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (["customer_name"], '{"status":"ok","customer_name":"John Doe"}'),
        (["other"], '{"status":"ok"}'),
        ([], '{"status":"ok"}'),
        (None, '{"status":"ok","customer_name":"John Doe"}'),
    ],
)
async def test_checklist_24_additional_fields_say_whether_the_name_is_told(
    http: TestClient, fields: list[str] | None, text: str
) -> None:
    assert await validated(http, additional_fields=fields) == (200, text)


async def test_checklist_29_an_account_without_a_customer_name(http: TestClient, service: Solarium) -> None:
    await service.register_accounts([account("1", customer_name=None)])
    assert await validated(http, reference="1") == (200, '{"status":"ok"}')


@pytest.mark.parametrize(
    ("amount", "answer"),
    [
        (0, (412, '{"status":"amount_too_low"}')),
        (PRICE - 1, (412, '{"status":"amount_too_low"}')),
        (PRICE, (200, '{"status":"ok","customer_name":"John Doe"}')),
        (365 * PRICE, (200, '{"status":"ok","customer_name":"John Doe"}')),
        (365 * PRICE + 1, (412, '{"status":"amount_too_high"}')),
        (2**63 - 1, (412, '{"status":"amount_too_high"}')),
    ],
)
async def test_checklist_26_27_the_amount_buys_between_min_and_max_days(
    http: TestClient, amount: int, answer: tuple[int, str]
) -> None:
    assert await validated(http, amount_subunit=amount) == answer


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": "999999"},
        {"business_account": "other"},
        {"currency": "KES"},
        {"provider_key": "ug_airtel_money"},
    ],
)
async def test_checklist_28_what_does_not_fit_an_account_is_not_found(
    http: TestClient, changes: dict[str, object]
) -> None:
    assert await validated(http, **changes) == (404, '{"status":"reference_not_found"}')


async def test_checklist_32_a_new_payment_is_stored_with_all_its_fields(
    http: TestClient, database: Database
) -> None:
    extras = {
        "provider_name": "MTN",
        "provider_brand": "MoMo",
        "provider_country": "UG",
        "provider_humanized": "MTN Uganda",
        "sender_name": "Jane \u201cJ\u201d Doe \U0001f4a1",
        "transaction_at": "2025-12-01 10:29:58",
        "transaction_kind": "paybill",
        "secondary_provider_tx": "S1",
    }
    body = payment(sender_phone_number="25670****149", momoep_id=78, unknown=[1], **extras)
    assert await post(http, "/confirm_payment", body) == (200, "")
    (row,) = await stored_payments(database)
    assert {name: row[name] for name in extras} == extras
    assert (row["sender_phone_number"], row["sender_masked"], row["momoep_id"]) == (
        "25670****149",
        True,
        "78",
    )
    assert row["received_at_ms"] == 1_764_585_000_000
    assert row["outcome"] == "credited"


async def test_checklist_33_a_duplicate_is_409_and_books_nothing(http: TestClient, service: Solarium) -> None:
    assert await post(http, "/confirm_payment", payment()) == (200, "")
    before = await service.audit()
    assert await post(http, "/confirm_payment", payment()) == (409, "")
    assert await post(http, "/confirm_payment", payment(amount_subunit=1, reference="7")) == (409, "")
    after = await service.audit()
    assert (after.payments, after.ledger_transactions, after.days_sold) == (1, 1, before.days_sold)


async def test_checklist_31_the_same_tx_of_another_provider_is_another_payment(
    http: TestClient, service: Solarium
) -> None:
    assert await post(http, "/confirm_payment", payment()) == (200, "")
    assert await post(http, "/confirm_payment", payment(provider_key="ug_airtel_money")) == (200, "")
    assert (await service.audit()).payments == 2


async def test_checklist_33_of_concurrent_confirms_of_one_key_exactly_one_is_new(
    http: TestClient, service: Solarium
) -> None:
    answers = await asyncio.gather(*(post(http, "/confirm_payment", payment()) for _ in range(40)))
    assert sorted(answers) == [(200, "")] + [(409, "")] * 39
    audit = await service.audit()
    assert (audit.payments, audit.ledger_transactions, audit.days_sold) == (1, 1, 2)
    assert audit.sound


@pytest.mark.parametrize(
    "changes",
    [{"reference": "999999"}, {"currency": "KES"}, {"provider_key": "ug_airtel_money"}],
)
async def test_checklist_34_money_for_an_unknown_reference_goes_to_suspense(
    http: TestClient, service: Solarium, database: Database, changes: dict[str, object]
) -> None:
    assert await post(http, "/confirm_payment", payment(**changes)) == (200, "")
    (row,) = await stored_payments(database)
    assert (row["outcome"], row["account_id"]) == ("suspense", None)
    audit = await service.audit()
    assert audit.sound
    assert audit.days_sold == 0
    assert await service.feed.lease(limit=10, wait_s=0) == []


async def test_the_route_of_an_account(http: TestClient, service: Solarium) -> None:
    asked = {"reference": "254543", "market": "UG"}
    status, text = await post(http, "/resolve_account", asked)
    assert status == 200
    assert text == (
        '{"reference":"254543","business_account":"600100","currency":"UGX",'
        '"provider_key":"ug_mtn_mobilemoney","customer_name":"John Doe",'
        '"provider_keys":["ug_mtn_mobilemoney"]}'
    )
    await service.register_accounts([account("2", provider_key="ug_airtel_money")])
    route = await service.resolve(reference="254543", market="UG")  # its business account has two by now
    assert route is not None
    assert route.provider_keys == ["ug_airtel_money", "ug_mtn_mobilemoney"]
    missing = (404, '{"status":"reference_not_found"}')
    assert await post(http, "/resolve_account", {**asked, "market": "RW"}) == missing
    await service.register_accounts([account(business_account="600200")])
    assert await post(http, "/resolve_account", asked) == missing  # ambiguous: nobody's money goes astray


PATHS = ("/validate_payment", "/confirm_payment", "/resolve_account")


@pytest.mark.parametrize("path", PATHS)
async def test_checklist_23_a_missing_or_wrong_key_is_401(
    http: TestClient, service: Solarium, path: str
) -> None:
    for key in (None, "", "wrong", "k" * 5000, "\u00e9"):
        headers = {} if key is None else {"API-KEY": key}
        async with http.post(path, json={**payment(), "market": "UG"}, headers=headers) as answer:
            assert answer.status == 401, key
            assert (await answer.read() == b"") == (path == "/confirm_payment")
    assert (await service.audit()).payments == 0


@pytest.mark.parametrize("path", PATHS)
async def test_checklist_101_wrong_keys_are_limited_and_the_good_one_is_not(
    http: TestClient, path: str
) -> None:
    async def ask(key: str) -> tuple[int, str | None]:
        body = {**payment(), "market": "UG"}
        async with http.post(path, json=body, headers={"API-KEY": key}) as answer:
            assert (await answer.read() == b"") == (path == "/confirm_payment")
            return answer.status, answer.headers.get("Retry-After")

    tried = await asyncio.gather(*(ask(f"wrong {number}") for number in range(WRONG + 1)))
    assert sorted(tried) == [*[(401, None)] * WRONG, (429, "10")]
    assert (await ask(API_KEY))[0] == 200


async def test_a_key_of_another_market_is_403(http: TestClient, service: Solarium) -> None:
    await service.install_key("kenyan", client="momo-ke", markets=["KE"])
    headers = {"API-KEY": "kenyan"}
    assert await post(http, "/confirm_payment", payment(), **headers) == (403, "")
    assert (await post(http, "/validate_payment", ASKED, **headers))[0] == 403
    assert (await post(http, "/resolve_account", {"reference": "1", "market": "UG"}, **headers))[0] == 403
    assert (await service.audit()).payments == 0


async def test_checklist_100_two_keys_are_valid_at_once(http: TestClient, service: Solarium) -> None:
    await service.install_key("next-key", client="momo", markets=["UG"])
    for key in (API_KEY, "next-key"):
        assert (await post(http, "/validate_payment", ASKED, **{"API-KEY": key}))[0] == 200


BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe",
    b"{}",
    b"[" * 50_000,
    b'{"reference":' * 4_000,
    b'{"reference":"\\ud800"}',
]


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_is_no_request_is_400(http: TestClient, service: Solarium, path: str) -> None:
    for body in BAD_BODIES:
        async with http.post(path, data=body, headers=HEADERS) as answer:
            text = await answer.text()
            assert answer.status == 400, body[:20]
        assert text == "" if path == "/confirm_payment" else text.startswith('{"errors":[{"field":')
    assert (await service.audit()).payments == 0


BAD_FIELDS: list[dict[str, object]] = [
    *({name: None} for name in payment()),
    *({name: ""} for name in payment()),
    *({name: ["x"]} for name in payment()),
    *({name: "\0"} for name in payment()),
    *({name: "x" * 201} for name in payment()),
    *({"amount_subunit": value} for value in (0, -1, 10**14 + 1, 10**400, 1.5, "100", True)),
    {"momoep_id": 1.5},
    {"currency": "ugx"},
    {"currency": "UGXX"},
    {"provider_key": "mtn"},
    {"provider_key": "uga_mtn_mobilemoney"},
    {"provider_key": "ug_mtn_mobilemoney\n"},
    {"sender_phone_number": "+256700000001"},
    {"sender_phone_number": "0700000001"},
    {"sender_phone_number": "256700000001\n"},
    {"received_at": "yesterday"},
    {"received_at": "2025-13-01T00:00:00Z"},
    {"received_at": 1764585000},
    {"sender_name": 5},
    {"sender_name": "\0"},
    {"provider_name": "x" * 501},
    {"reference": "\ud800"},
]


async def test_checklist_30_a_field_that_does_not_fit_is_400_with_no_body(
    http: TestClient, service: Solarium
) -> None:
    for changes in BAD_FIELDS:
        assert await post(http, "/confirm_payment", payment(**changes)) == (400, ""), str(changes)[:80]
    assert (await service.audit()).payments == 0


async def test_checklist_30_a_required_field_that_is_missing_is_400(
    http: TestClient, service: Solarium
) -> None:
    for name in payment():
        body = payment()
        del body[name]
        assert await post(http, "/confirm_payment", body) == (400, ""), name
    assert (await service.audit()).payments == 0


async def test_checklist_24_validate_names_the_field(http: TestClient) -> None:
    status, text = await post(http, "/validate_payment", {"reference": 5, **UG})
    assert status == 400
    assert text == '{"errors":[{"field":"reference","message":"Expected `str`, got `int`"}]}'
    status, text = await post(http, "/validate_payment", UG)
    assert text == '{"errors":[{"field":"reference","message":"is missing"}]}'
    status, text = await post(http, "/validate_payment", {})
    assert [error["field"] for error in json.loads(text)["errors"]] == [
        *("reference", "currency", "business_account", "provider_key")
    ]


@pytest.mark.parametrize("path", PATHS)
async def test_an_oversized_body_is_413(http: TestClient, service: Solarium, path: str) -> None:
    body = payment(filler="x" * 70_000)
    status, text = await post(http, path, body)
    assert status == 413
    assert (text == "") == (path == "/confirm_payment")
    assert (await service.audit()).payments == 0


async def test_resolutions_5_no_content_type_is_json_all_the_same(http: TestClient) -> None:
    headers = {**HEADERS, "Content-Type": "text/plain"}
    async with http.post(
        "/validate_payment",
        data=b'{"reference":"254543","currency":"UGX","business_account":"600100",'
        b'"provider_key":"ug_mtn_mobilemoney"}',
        headers=headers,
    ) as answer:
        assert answer.status == 200


async def test_other_methods_are_405(http: TestClient) -> None:
    for path in PATHS:
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
            async with http.request(method, path, headers=HEADERS) as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "POST"), (path, method)


async def test_checklist_47_security_headers_are_on_every_answer(http: TestClient) -> None:
    for path in ("/validate_payment", "/confirm_payment", "/nowhere", "/api/auth/token"):
        async with http.post(path, json={}) as answer:
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
            assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with http.post("/validate_payment", json={}, headers={"Expect": "nothing"}) as answer:
        assert (answer.status, answer.headers["X-Frame-Options"]) == (417, "DENY")  # aiohttp's own answer
