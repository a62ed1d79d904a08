"""Every route of every service, called with a key of another market: nothing is seen, nothing is changed.

The routes are those of the applications' routers: one without a case here fails the test.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import msgspec
from aiohttp import web

from backend.hub.routes import make_app as hub_app
from backend.m2m.routes import make_app as m2m_app
from backend.mega.routes import make_app as mega_app
from backend.momo.routes import make_app as momo_app
from backend.moto.routes import make_app as moto_app
from backend.solarium.routes import make_app as solarium_app
from tests.backend.served import payg
from tests.scenarios.up_process import Up, running

OPEN = "open"  # to anybody, and about nobody
SIGNED = "signed"  # by another credential than a key: a callback's signature, a hook's path, a device's login
REFUSED = "refused"  # 400 is the one of a request that can't be decided on
EMPTY = "empty"  # a list, and nothing of ours is in it
# Written for every call, by design: who asked for tokens, how often a client asked.
BESIDES = {"api_keys", "alembic_version", "root_keys", "token_attempts", "attempts", "sqlite_sequence"}

UG, KEY = "ug_mtn_mobilemoney", {"provider_key": "ug_mtn_mobilemoney"}
MONEY = {"currency": "UGX", "amount_subunit": 100_000, **KEY}
PAID = {"sender_phone_number": "{msisdn}", "provider_tx": "TX1", "received_at": "2026-01-01T00:00:00Z"}
ACCOUNT = {"reference": "{reference}", "business_account": "{business_account}"}
NEW_DEVICE = {"serial": "{serial}", "market": "UG", "link_key": "00" * 16, "password": "x" * 22}
COMMAND = {"identifier": "{serial}", "command": {"name": "sync"}}
CALLED_BACK = {**COMMAND, "callback_url": "http://127.0.0.1:9/"}
TOKEN = {"device": "{serial}", "command": "unlock_relative", "payload": 1, "sequence_number": 900}
DAYS = {"serial_number": "{serial}", "days": 1}
SMS = {"text": "x", "provider": "africastalking", "provider_message_id": "{provider_message_id}"}
PERIOD = {"since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z", **KEY}
WHY = {"reason": "x"}

CASES: dict[str, dict[str, tuple[str, object]]] = {
    "solarium": {
        "POST /api/auth/token": (SIGNED, None),
        "POST /api/m2m/events": (SIGNED, None),
        "POST /api/payment/execution": (SIGNED, None),
        "POST /api/payment/simulation": (SIGNED, None),
        "POST /m2m/callback/{order_id}": (SIGNED, None),
        "POST /confirm_payment": (REFUSED, {**ACCOUNT, **MONEY, **PAID, "momoep_id": "1"}),
        "POST /customer_accounts": (REFUSED, {"msisdn": "{msisdn}", "market": "UG"}),
        "POST /customer_tokens": (
            REFUSED,
            {"msisdn": "{msisdn}", "market": "UG", "reference": "{reference}"},
        ),
        "POST /resolve_account": (REFUSED, {"reference": "{reference}", "market": "UG"}),
        "POST /validate_payment": (REFUSED, {**ACCOUNT, **MONEY}),
        "GET /v1/accounts": (EMPTY, None),
        "GET /v1/accounts/{id}": (REFUSED, None),
        "GET /v1/accounts/{id}/statement": (REFUSED, None),
        "GET /v1/actions": (EMPTY, None),
        "GET /v1/device_events": (REFUSED, None),
        "GET /v1/devices": (EMPTY, None),
        "GET /v1/imports/devices": (EMPTY, None),
        "GET /v1/plans": (EMPTY, None),
        "GET /v1/suspense": (EMPTY, None),
        "POST /booked_between": (REFUSED, PERIOD),
        "POST /booked_payments": (REFUSED, {"transactions": ["TX1"], **KEY}),
        "POST /v1/accounts": (
            REFUSED,
            {**ACCOUNT, **KEY, "market": "UG", "plan": "standard", "msisdn": "{msisdn}"},
        ),
        "POST /v1/accounts/{id}/pair": (REFUSED, {"serial": "{serial}"}),
        "POST /v1/accounts/{id}/return": (REFUSED, WHY),
        "POST /v1/accounts/{id}/swap": (REFUSED, {"serial": "{serial}"}),
        "POST /v1/devices": (REFUSED, {"serial": "NEW1", "market": "UG", "secret": "00" * 16}),
        "POST /v1/imports/accounts": (
            REFUSED,
            "reference,business_account,provider_key,market,plan,msisdn\nR,B,ug_mtn_mobilemoney,UG,p,256700000001\n",
        ),
        "POST /v1/imports/devices": (REFUSED, f"serial,market,secret\nNEW2,UG,{'00' * 16}\n"),
        "POST /v1/payments/{id}/reverse": (REFUSED, WHY),
        "POST /v1/plans": (
            REFUSED,
            {"market": "UG", "name": "x", "currency": "UGX", "price_per_day_subunit": 100},
        ),
        "POST /v1/suspense/{id}/resolve": (REFUSED, {**ACCOUNT, **WHY}),
    },
    "momo": {
        "GET /payment": (REFUSED, None),
        "GET /payment/{payment_id}": (REFUSED, None),
        "GET /reconciliation/differences": (EMPTY, None),
        "GET /reconciliation/providers": (EMPTY, None),
        "GET /reconciliation/runs": (EMPTY, None),
        "GET /reconciliation/runs/{id}": (REFUSED, None),
        "POST /confirm_payment": (REFUSED, {**ACCOUNT, **MONEY, **PAID}),
        "POST /hooks/{market}/{name}": (SIGNED, None),
        "POST /hooks/{market}/{name}/c/{secret}": (SIGNED, None),
        "POST /hooks/{market}/{name}/v/{secret}": (SIGNED, None),
        "POST /hooks/{provider}/{secret}": (SIGNED, None),
        "PUT /hooks/{provider}/{secret}": (SIGNED, None),
        "POST /payment": (REFUSED, {**ACCOUNT, **MONEY, "msisdn": "{msisdn}", "idempotency_key": "x"}),
        "POST /reconciliation": (REFUSED, PERIOD),
        "POST /reconciliation/differences/{id}/close": (REFUSED, WHY),
        "POST /reconciliation/runs": (REFUSED, {**KEY, "day": "2026-01-01"}),
        "POST /resolve": (REFUSED, {"reference": "{reference}", "market": "UG"}),
        "POST /validate": (REFUSED, {**ACCOUNT, **MONEY}),
        "POST /validate_payment": (REFUSED, {**ACCOUNT, **MONEY}),
    },
    "mega": {
        "GET /api/sms/{message_id}/status": (REFUSED, None),
        "GET /health": (OPEN, None),
        "GET /v1/inbox": (REFUSED, None),
        "POST /api/dlr/callback": (REFUSED, {"status": "failed", "message_id": "{message_id}"}),
        "POST /api/sms/send": (REFUSED, {"to": "+{msisdn}", "message": "x"}),
        "POST /api/sms/validate": (EMPTY, {"to": "+{msisdn}", "message": "x"}),
        "POST /hooks/africastalking/dlr/{secret}": (SIGNED, None),
        "POST /hooks/africastalking/inbound/{secret}": (SIGNED, None),
        "POST /hooks/africastalking/optout/{secret}": (SIGNED, None),
        "POST /hooks/infobip/dlr/{secret}": (SIGNED, None),
        "POST /hooks/infobip/inbound/{secret}": (SIGNED, None),
        "POST /hooks/pindo/dlr/{secret}": (SIGNED, None),
        "POST /send_short_message": (REFUSED, {"to": "{msisdn}", "text": "x"}),
        "POST /shortmessages/create_inbound": (REFUSED, {**SMS, "from": "{msisdn}", "to": "1"}),
        "POST /shortmessages/update_dlr": (REFUSED, {**SMS, "status": "failed"}),
    },
    "moto": {
        "GET /api/v1/attempts": (EMPTY, None),
        "GET /api/v1/devices/{serial}/sequence": (REFUSED, None),
        "POST /api/v1/devices": (REFUSED, {"serial": "NEW3", "market": "UG", "secret": "00" * 16}),
        "POST /api/v1/tokens/generate": (REFUSED, TOKEN),
        "POST /api/v1/tokens/solarium/generate": (REFUSED, {**TOKEN, "secret": "{secret}"}),
        "POST /api/v1/tokens/stateless/generate": (REFUSED, {**TOKEN, "secret": "{secret}"}),
        "PUT /api/v1/devices/{serial}/state": (REFUSED, {"state": "stolen"}),
    },
    "m2m": {
        "GET /v1/commands": (EMPTY, None),
        "GET /v1/commands/{id}": (REFUSED, None),
        "GET /v1/dead_letters": (EMPTY, None),
        "GET /v1/devices/{serial}/logs": (REFUSED, None),
        "GET /v1/devices/{serial}/statuses": (REFUSED, None),
        "GET /v1/firmware/{file}": (OPEN, None),
        "GET /v1/firmware/{file}/checksum": (OPEN, None),
        "GET /v1/ping": (OPEN, None),
        "POST /m2m/command": (REFUSED, CALLED_BACK),
        "POST /v1/commands": (REFUSED, COMMAND),
        "POST /v1/commands/bulk": (EMPTY, {"commands": [COMMAND]}),
        "POST /v1/commands/{id}/cancel": (REFUSED, {}),
        "POST /v1/commands/{id}/report": (REFUSED, {"status": "failed"}),
        "POST /v1/commands/{id}/retry": (REFUSED, {}),
        "POST /v1/dead_letters/{id}/retry": (REFUSED, {}),
        "POST /v1/devices": (REFUSED, NEW_DEVICE),
        "POST /v1/log": (SIGNED, None),
        "PUT /v1/firmware/{file}": (REFUSED, "image"),
    },
    "hub": {
        "GET /api/m2m/command/{id}": (REFUSED, None),
        "POST /api/m2m/callback": (REFUSED, {"command_id": "1", "status": "failed"}),
        "POST /api/m2m/command": (REFUSED, CALLED_BACK),
        "POST /api/payment/confirm": (REFUSED, {**ACCOUNT, **MONEY, **PAID, "momoep_id": "1"}),
        "POST /api/payment/validate": (REFUSED, {**ACCOUNT, **MONEY}),
        "POST /api/tokens/generate": (REFUSED, DAYS),
        "POST /api/tokens/stateless/generate": (REFUSED, DAYS),
    },
}
QUERIES = {
    "GET /payment": "?idempotency_key={idempotency_key}",
    "GET /v1/inbox": "?msisdn={msisdn}",
    "GET /v1/device_events": "?identifier={serial}",
}


def test_every_route_has_a_case() -> None:
    service: Any = MagicMock()
    service.rate_limit.policy = service.external.rate_limit.policy = "1;w=1"
    apps: dict[str, web.Application] = {
        "solarium": solarium_app(service, service),
        "momo": momo_app(service, service),
        "mega": mega_app(service, service),
        "moto": moto_app(service, service),
        "m2m": m2m_app(service, service),
        "hub": hub_app(service),
    }
    for name, app in apps.items():
        routes = {f"{one.method} {one.resource.canonical}" for one in app.router.routes() if one.resource}
        told = {route for route in routes if not route.startswith(("HEAD ", "* "))}  # *: 405 for the rest
        assert told - {"GET /docs", "GET /openapi.json"} == set(CASES[name]), name


async def test_a_key_of_another_market_sees_and_changes_nothing(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    quiet = {"PAYG_UP_STATUS_INTERVAL_S": "3600"}
    async with running(data_dir, devices=2, env=quiet) as up:
        device = next(one for one in up.credentials["devices"] if one["market"] == "UG")
        await up.pay(device, 2, "isolation")
        await up.wait_for_light(device["serial"])
        texts = await up.wait_for_sms(device["msisdn"])
        known = _known(device, data_dir)
        marks = (device["customer_name"], device["link_key"], *(_digits(text) for text in texts))
        keys = {name: await _kenyan_key(name, data_dir) for name in CASES}
        await _quiet(data_dir)
        before = _tables(data_dir)
        wrong: list[str] = []
        for name, cases in CASES.items():
            for route, (expected, body) in cases.items():
                wrong += await _tried(
                    up, name, route, case=(expected, body), key=keys[name], about=(known, marks)
                )
        await _quiet(data_dir)
        after = _tables(data_dir)
        wrong += [f"{table} changed" for table in before if before[table] != after[table]]
        assert not wrong, chr(10).join(wrong)


async def _tried(
    up: Up, name: str, route: str, *, case: tuple[str, object], key: str, about: tuple[dict[str, str], Any]
) -> list[str]:
    expected, body = case
    known, marks = about
    method, _, path = route.partition(" ")
    path = _filled(path, {**known, "serial": known["quoted"]}) + _filled(QUERIES.get(route, ""), known)
    data = body if isinstance(body, str | None) else _filled(json.dumps(body), known)
    headers = {"API-KEY": key, "X-API-Key": key}
    status, text = await up.request(method, f"/{name}{path}", headers=headers, data=data)
    said = f"{name} {route}: {status} {text[:200]}"
    if any(mark in text for mark in marks) or (body is None and known["serial"] in text):
        return [f"{said} SEES"]
    refused = status in (401, 403, 404) or (status == 422 and "UG" in text)
    fits = {OPEN: status < 500, SIGNED: status in (400, 401, 404), REFUSED: refused, EMPTY: status < 300}
    return [] if fits[expected] else [f"{said} is not {expected}"]


def _filled(text: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _known(device: dict[str, Any], data_dir: Path) -> dict[str, str]:
    """What a stranger could name: ids of the paying market's rows."""
    momo, mega = _rows(data_dir, "momo", "payments"), _rows(data_dir, "mega", "messages")
    sent = next(row for row in mega if row["provider_message_id"])
    return {
        **{name: str(device[name]) for name in ("serial", "msisdn", "secret", "business_account")},
        "quoted": device["serial"].replace("/", "%2F"),
        "reference": device["account_reference"],
        "payment_id": str(momo[0]["id"]),
        "idempotency_key": str(momo[0]["idempotency_key"]),
        "message_id": str(sent["id"]),
        "provider_message_id": str(sent["provider_message_id"]),
        "id": "1",
        "file": "x.img",
        "order_id": "1",
        "market": "ug",
        "name": "c2b",
        "provider": "mtn",
    } | {"secret": str(device["secret"])}


async def _kenyan_key(service: str, data_dir: Path) -> str:
    code, output, errors = await payg(
        *("keys", "add", service, "--client", "kenya", "--market", "KE", "--data-dir", str(data_dir))
    )
    assert code == 0, errors
    return output.strip()


def _digits(text: str) -> str:
    return "".join(part for part in text.partition("*")[2].partition("#")[0]) or text


def _rows(data_dir: Path, service: str, table: str) -> list[sqlite3.Row]:
    connection = sqlite3.connect(f"file:{data_dir / service}.db?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - names of ours
    finally:
        connection.close()


def _tables(data_dir: Path) -> dict[str, bytes]:
    return {name: content for service in CASES for name, content in _tables_of(data_dir, service)}


def _tables_of(data_dir: Path, service: str) -> Iterator[tuple[str, bytes]]:
    for row in _rows(data_dir, service, "sqlite_master"):
        if row["type"] == "table" and row["name"] not in BESIDES:
            found = [tuple(one) for one in _rows(data_dir, service, row["name"])]
            yield f"{service}.{row['name']}", msgspec.json.encode(found)


async def _quiet(data_dir: Path) -> None:
    """What was under way has ended: nothing changes for a second."""
    async with asyncio.timeout(60):
        before: dict[str, bytes] = {}
        while (now := _tables(data_dir)) != before:
            before = now
            await asyncio.sleep(1)
