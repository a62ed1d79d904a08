"""momo over HTTP: who may call, what a request must look like, what it is answered."""

from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient, TestServer
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from backend.kit.http import TimedOut
from backend.kit.migrations import migrate
from backend.momo.client import MomoClient
from backend.momo.errors import AmountTooLow, ReferenceNotFound
from backend.momo.providers.mtn import MtnConfig, MtnProvider
from backend.momo.routes import make_app
from backend.momo.service import Config, MomoService
from backend.momo.store import Store

KEY = {"API-KEY": "key"}
RESOLVE = {"reference": "254543", "market": "UG"}
VALIDATE = {
    "reference": "254543",
    "currency": "UGX",
    "business_account": "paybill",
    "provider_key": "ug_mtn_mobilemoney",
}
PAY = {**VALIDATE, "amount_subunit": 5000_00, "msisdn": "256772123456", "idempotency_key": "k"}


@pytest.fixture
async def client(database, clock, entropy, billing, http_client):
    config = MtnConfig("http://127.0.0.1:9", "mtnuganda", "UGX", "user", "key", "sub")
    momo = MomoService(
        database=database,
        clock=clock,
        entropy=entropy,
        config=Config("http://127.0.0.1:9", b"pepper"),
        billing=billing,
        providers={"ug_mtn_mobilemoney": MtnProvider(config, http=http_client, clock=clock)},
    )
    await momo.start()
    await momo.install_key("key", client="mese")
    async with TestClient(TestServer(make_app(momo, momo.keys))) as client:
        client.momo = momo
        yield client
    await momo.stop()


@pytest.mark.parametrize(
    ("path", "body", "status", "answer"),
    [
        (
            "/resolve",
            RESOLVE,
            200,
            {
                "reference": "254543",
                "business_account": "paybill",
                "currency": "UGX",
                "provider_key": "ug_mtn_mobilemoney",
                "customer_name": "John Doe",
            },
        ),
        ("/resolve", {**RESOLVE, "reference": "1"}, 404, {"status": "reference_not_found"}),
        ("/validate", VALIDATE, 200, {"status": "ok", "customer_name": "John Doe"}),
        ("/validate", {**VALIDATE, "amount_subunit": 1}, 412, {"status": "amount_too_low"}),
        ("/validate", {**VALIDATE, "amount_subunit": 0}, 412, {"status": "amount_too_low"}),
        ("/validate", {**VALIDATE, "reference": "1"}, 404, {"status": "reference_not_found"}),
        ("/payment", {**PAY, "reference": "1"}, 404, {"status": "reference_not_found"}),
        ("/payment", {**PAY, "amount_subunit": 100}, 412, {"status": "amount_too_low"}),
    ],
)
async def test_checklist_12_13_answers(client, path, body, status, answer):
    response = await client.post(path, json=body, headers=KEY)
    assert (response.status, await response.json()) == (status, answer)
    assert response.headers["Content-Type"] == "application/json"
    assert (await client.momo.audit()).payments_by_state == {}


async def test_without_billing_nothing_is_stored(client, billing, http_client):
    theirs = MomoClient(http=http_client, base_url=str(client.make_url("/")), api_key="key")
    first = await theirs.pay(**PAY)
    billing.down = TimedOut("no answer")
    response = await client.post("/payment", json={**PAY, "idempotency_key": "k2"}, headers=KEY)
    assert (response.status, (await response.json())["error"]) == (503, "unavailable")
    assert await theirs.pay(**PAY) == first, "a key that is known needs no word of billing"
    billing.down = None
    for refused, wrong in ((ReferenceNotFound, {"reference": "1"}), (AmountTooLow, {"amount_subunit": 100})):
        with pytest.raises(refused):
            await theirs.pay(**{**PAY, "idempotency_key": "k3", **wrong})
    assert sum((await client.momo.audit()).payments_by_state.values()) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("amount_subunit", 6000_00), ("msisdn", "256772999999"), ("reference", "777")]
)
async def test_a_key_of_another_payment_is_409_and_asks_nobody(client, name, value):
    assert (await client.post("/payment", json=PAY, headers=KEY)).status == 202
    answer = await client.post("/payment", json={**PAY, name: value}, headers=KEY)
    assert answer.status == 409
    assert f"another {name}" in (await answer.json())["message"]
    assert sum((await client.momo.audit()).payments_by_state.values()) == 1


async def test_idempotency_keys_are_counted_by_client(client):
    await client.momo.install_key("other", client="other")
    answers = [
        await (await client.post("/payment", json=PAY, headers={"API-KEY": key})).json()
        for key in ("key", "other", "key")
    ]
    assert answers[0] == answers[2] != answers[1]
    in_process = await client.momo.pay(**PAY)
    assert in_process.payment_id == answers[0]["payment_id"], "mese, in one process and over HTTP"


@pytest.mark.parametrize(
    ("path", "body"), [("/resolve", RESOLVE), ("/validate", VALIDATE), ("/payment", PAY)]
)
async def test_a_key_is_for_its_markets(client, path, body):
    await client.momo.install_key("rw", client="rwanda", markets=["RW"])
    await client.momo.install_key("ug", client="uganda", markets=["UG"])
    refused = await client.post(path, json=body, headers={"API-KEY": "rw"})
    assert (refused.status, (await refused.json())["error"]) == (403, "forbidden")
    assert (await client.momo.audit()).payments_by_state == {}
    assert (await client.post(path, json=body, headers={"API-KEY": "ug"})).status in (200, 202)


async def test_the_client_answers_as_the_service_does(client, http_client):
    theirs = MomoClient(http=http_client, base_url=str(client.make_url("/")), api_key="key")
    assert await theirs.resolve(reference="1", market="UG") is None
    assert (await theirs.resolve(reference="254543", market="UG")).business_account == "paybill"
    fields = {name: VALIDATE[name] for name in VALIDATE}
    assert (await theirs.validate(**fields)).customer_name == "John Doe"
    assert (await theirs.validate(**{**fields, "reference": "1"})).status == "reference_not_found"
    payment = await theirs.pay(**PAY)
    assert (await theirs.wait(payment.payment_id, wait_s=0)).status == "pending"
    assert await theirs.find(PAY["idempotency_key"]) == payment
    assert await theirs.find("another") is None
    await client.momo.install_key("other", client="other")
    other = MomoClient(http=http_client, base_url=str(client.make_url("/")), api_key="other")
    assert await other.find(PAY["idempotency_key"]) is None, "another client's"


@pytest.mark.parametrize("path", ["/resolve", "/validate", "/payment"])
@pytest.mark.parametrize("headers", [{}, {"API-KEY": "no"}, {"API-KEY": "k" * 600}, {"X-API-Key": "key"}])
async def test_without_a_good_key(client, path, headers):
    response = await client.post(path, json=PAY, headers=headers)
    assert response.status == 401
    assert (await response.json())["error"] == "unauthorized"
    assert (await client.momo.audit()).payments_by_state == {}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, ""),
        (b"{", 400, ""),
        (b"[" * 60_000, 400, ""),
        (b'{"a":' * 10_000, 400, ""),
        (b"\xff\xfe", 400, ""),
        (b'{"reference":"\\ud800"}', 400, ""),
        ([], 400, ""),
        ({}, 400, "reference"),
        ({**PAY, "reference": 1}, 400, "reference"),
        ({**PAY, "reference": "a\x00"}, 400, "reference"),
        ({**PAY, "reference": "r" * 201}, 400, "reference"),
        ({**PAY, "amount_subunit": "5000"}, 400, "amount_subunit"),
        ({**PAY, "amount_subunit": 0}, 400, "amount_subunit"),
        ({**PAY, "amount_subunit": -100}, 400, "amount_subunit"),
        ({**PAY, "amount_subunit": 10**15}, 400, "amount_subunit"),
        ({**PAY, "amount_subunit": 10**400}, 400, None),
        ({**PAY, "amount_subunit": 100.5}, 400, "amount_subunit"),
        ({**PAY, "currency": "ugx"}, 400, "currency"),
        ({**PAY, "provider_key": "mtn"}, 400, "provider_key"),
        ({**PAY, "msisdn": "+256772123456"}, 400, "msisdn"),
        ({**PAY, "idempotency_key": ""}, 400, "idempotency_key"),
        ({**PAY, "reference": "x" * 70_000}, 413, None),
        ({**PAY, "provider_key": "ke_safaricom_mpesa"}, 422, None),
        ({**PAY, "amount_subunit": 150}, 422, None),
    ],
)
async def test_bad_payments_change_nothing(client, body, status, field):
    sent = {"data": body} if isinstance(body, bytes) else {"json": body}
    response = await client.post("/payment", headers=KEY, **sent)
    assert response.status == status
    told = await response.json()
    if status == 400:
        assert sorted(told["errors"][0]) == ["field", "message"]
        assert field is None or told["errors"][0]["field"] == field
    else:
        assert sorted(told) == ["error", "message"]
    assert (await client.momo.audit()).payments_by_state == {}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/payment/5f1f7a5e-6f0b-4d53-9a86-0d9c9f0c6a10", {}, 401),
        ("/payment/5f1f7a5e-6f0b-4d53-9a86-0d9c9f0c6a10", KEY, 404),
        ("/payment/%00", KEY, 404),
        ("/payment/5f1f7a5e-6f0b-4d53-9a86-0d9c9f0c6a10?wait_s=nan", KEY, 400),
        ("/payment/5f1f7a5e-6f0b-4d53-9a86-0d9c9f0c6a10?wait_s=-1", KEY, 400),
        ("/payment/5f1f7a5e-6f0b-4d53-9a86-0d9c9f0c6a10?wait_s=inf", KEY, 400),
        ("/payment/5f1f7a5e-6f0b-4d53-9a86-0d9c9f0c6a10?wait_s=x", KEY, 400),
        ("/payment", KEY, 400),
        ("/payment?idempotency_key=", KEY, 400),
        ("/payment?idempotency_key=%00", KEY, 400),
        ("/payment?idempotency_key=k", {}, 401),
        ("/payment?idempotency_key=k", KEY, 404),
        ("/nowhere", KEY, 404),
    ],
)
async def test_bad_questions(client, path, headers, status):
    assert (await client.get(path, headers=headers)).status == status


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/hooks/mtn/" + "0" * 32, b"{}", 404),
        ("/hooks/mtn/%00", b"{}", 404),
        ("/hooks/mtn/", b"{}", 404),
        ("/hooks/mtn/" + "0" * 32, b"x" * 70_000, 413),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_strangers_at_the_hooks(client, method, path, body, status):
    assert (await client.request(method, path, data=body)).status == status


async def test_a_callback_is_kept_as_it_came_and_believed_in_nothing(client):
    payment = await client.momo.pay(**PAY)
    row = await client.momo._database.read(lambda c: client.momo._store.by_id(c, payment.payment_id))
    lie = b'{"status":"SUCCESSFUL","financialTransactionId":"1"}\xff'
    secret = client.momo._callback_paths.secret_of(row.id)
    response = await client.put(f"/hooks/mtn/{secret}", data=lie)
    assert (response.status, await response.read()) == (200, b"")
    table = client.momo._store.callbacks
    (kept,) = await client.momo._database.read(lambda c: c.execute(table.select()).all())
    assert (kept.payment_id, kept.body) == (payment.payment_id, lie)
    assert (await client.momo.wait(payment.payment_id, wait_s=0)).status == "pending"


async def test_what_the_database_keeps_names_no_callback_path(client):
    """Neither as it stands there, nor under another payment's name."""
    momo = client.momo
    mine, other = [
        (await momo.pay(**{**PAY, "idempotency_key": key})).payment_id for key in ("path-1", "path-2")
    ]
    table = momo._store.payments
    rows = await momo._database.read(lambda c: c.execute(table.select()).mappings().all())
    stored = {str(value) for row in rows for value in row.values()}
    secret = momo._callback_paths.secret_of(mine)
    assert not [value for value in stored if secret in value]
    for value in sorted(stored):
        assert (await client.put(f"/hooks/mtn/{quote(value, safe='')}", data=b"{}")).status == 404
    assert (await client.put(f"/hooks/mtn/{secret}", data=b"{}")).status == 200
    assert (await client.put(f"/hooks/daraja/{secret}", data=b"{}")).status == 404

    def point_at_the_other(connection):
        connection.execute(table.delete().where(table.c.id == mine))
        known = momo._callback_paths.hash_for(mine)
        connection.execute(table.update().where(table.c.id == other).values(callback_hash=known))

    await momo._database.write(point_at_the_other)
    assert (await client.put(f"/hooks/mtn/{secret}", data=b"{}")).status == 404


async def test_the_migrations_make_exactly_the_tables(database):
    await migrate(database, "momo")

    def differences(connection):
        options = {"include_name": lambda name, *_: name != "alembic_version"}
        return compare_metadata(MigrationContext.configure(connection, opts=options), Store(b"").metadata)

    assert await database.read(differences) == []
