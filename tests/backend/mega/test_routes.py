"""mega over HTTP: bad input, reports, inboxes, keys; and what its database holds."""

import asyncio
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import TestClient, TestServer
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from backend.kit.errors import InternalError, NotFound
from backend.kit.http import Unreachable
from backend.kit.migrations import migrate
from backend.kit.runtime import SystemEntropy
from backend.kit.vault import SEALED, Vault
from backend.mega.routes import make_app
from backend.mega.store import Store
from tests.backend.mega.rig import CONFIG, ProviderFake, build_mega, settled

KEY = {"X-API-Key": "key"}
GOOD = {"to": "256772123456", "text": "x"}
HOOK = "/hooks/africastalking/dlr/hook-secret"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def http(database, clock, entropy):
    mega = build_mega(database, clock, entropy, ProviderFake())
    await mega.start()
    await mega.install_key("key", client="solarium")
    async with TestClient(TestServer(make_app(mega, mega.keys))) as client:
        client.mega = mega
        yield client
    await mega.stop()


@pytest.mark.parametrize(
    ("headers", "body", "status", "error"),
    [
        ({}, GOOD, 401, "unauthorized"),
        ({"X-API-Key": "no"}, GOOD, 401, "unauthorized"),
        ({"X-API-Key": "k" * 600}, GOOD, 401, "unauthorized"),
        (KEY, b"", 400, "bad_request"),
        (KEY, b"[" * 60_000, 400, "bad_request"),
        (KEY, b"\xff\xfe", 400, "bad_request"),
        (KEY, b'{"to":"256772123456","text":"\\ud800"}', 400, "bad_request"),
        (KEY, b'{"to":"256772123456","text":"x","z":' + b"9" * 5000 + b"}", 202, None),
        (KEY, [], 400, "bad_request"),
        (KEY, {"to": "256772123456"}, 400, "bad_request"),
        (KEY, {**GOOD, "to": 256772123456}, 400, "bad_request"),
        (KEY, {**GOOD, "to": "0772123456"}, 400, "bad_request"),
        (KEY, {**GOOD, "text": ""}, 400, "bad_request"),
        (KEY, {**GOOD, "text": "a\x00b"}, 400, "bad_request"),
        (KEY, {**GOOD, "text": "x" * 1601}, 400, "bad_request"),
        (KEY, {**GOOD, "market": "ug"}, 400, "bad_request"),
        (KEY, {**GOOD, "market": "ZM"}, 422, "no_route"),
        (KEY, {**GOOD, "callback_url": "ftp://x"}, 400, "bad_request"),
        (KEY, {**GOOD, "callback_url": "http://10.1.2.3/"}, 400, "bad_request"),
        (KEY, {**GOOD, "callback_url": "http://[::1]/"}, 400, "bad_request"),
        (KEY, {**GOOD, "callback_url": "http://inside.example/"}, 400, "bad_request"),
        (KEY, {**GOOD, "callback_url": "https://partner.example/done"}, 202, None),
        (KEY, {**GOOD, "reference": "r" * 201}, 400, "bad_request"),
        (KEY, {**GOOD, "text": "x" * 70_000}, 413, "request_too_large"),
        (KEY, {**GOOD, "unknown": 1}, 202, None),
    ],
)
async def test_checklist_95_send_short_message_with_bad_input(http, headers, body, status, error):
    sent = {"data": body} if isinstance(body, bytes) else {"json": body}
    answer = await http.post("/send_short_message", headers=headers, **sent)
    assert answer.status == status
    if error is not None:
        told = await answer.json()
        assert sorted(told) == ["details", "error", "message"]
        assert told["error"] == error
        assert (await http.mega.audit()).messages_by_status == {}


async def test_checklist_97_update_dlr(http):
    queued = await http.mega.send(to="256772123456", text="x")
    await settled(http.mega)
    base = {"provider": "africastalking", "provider_message_id": "id-1", "done_at": "2025-12-01T10:30:00Z"}
    for status, code, after in [
        ("Sent", 200, "sent"),
        ("nonsense", 400, None),
        ("Success", 200, "delivered"),
        ("Failed", 200, "delivered"),
    ]:
        answer = await http.post("/shortmessages/update_dlr", headers=KEY, json={**base, "status": status})
        assert answer.status == code
        if after:
            assert await answer.json() == {"message_id": queued.message_id, "status": after}
    unknown = {**base, "provider_message_id": "no", "status": "Sent"}
    for headers, body, code in [
        (KEY, unknown, 404),
        ({}, unknown, 401),
        (KEY, {**base, "status": "Sent", "done_at": "yesterday"}, 400),
        (KEY, {**base, "status": "Sent", "done_at": "9" * 100}, 400),
        (KEY, {"provider": "africastalking"}, 400),
    ]:
        answer = await http.post("/shortmessages/update_dlr", headers=headers, json=body)
        assert answer.status == code


async def test_the_hook_takes_forms_on_its_secret_path_only(http):
    await http.mega.send(to="256772123456", text="x")
    await settled(http.mega)
    report = {"id": "id-1", "status": "Rejected", "phoneNumber": "+256772123456", "failureReason": "x"}
    for path, body, code in [
        ("/hooks/africastalking/dlr/wrong", urlencode(report), 404),
        ("/hooks/africastalking/dlr/%ff", urlencode(report), 404),
        (HOOK, b"\xff", 400),
        (HOOK, urlencode({"id": "id-1"}), 400),
        (HOOK, urlencode({**report, "status": "x"}), 400),
        (HOOK, urlencode({**report, "id": "x" * 300}), 400),
        (HOOK, urlencode({**report, "id": "a\x00"}), 400),
        (HOOK, b"a=" + b"x" * 70_000, 413),
    ]:
        assert (await http.post(path, data=body, headers=FORM)).status == code, path
        assert (await http.mega.audit()).messages_by_status == {"sent": 1}
    assert (await http.post(HOOK, data=urlencode(report), headers=FORM)).status == 200
    assert (await http.mega.audit()).messages_by_status == {"failed": 1}


async def test_inboxes_are_for_development_and_for_key_holders(http, database, clock, entropy):
    for query, headers, code in [
        ("msisdn=256772123456", {}, 401),
        ("", KEY, 400),
        ("msisdn=abc", KEY, 400),
        ("msisdn=256772123456", KEY, 200),
    ]:
        assert (await http.get(f"/v1/inbox?{query}", headers=headers)).status == code
    production = replace(CONFIG, development=False)
    with pytest.raises(NotFound):
        await build_mega(database, clock, entropy, ProviderFake(), config=production).inbox("256772123456")


async def test_the_migrations_make_exactly_the_tables(database):
    await migrate(database, "mega")
    metadata = Store(Vault(CONFIG.master_key, "mega", SystemEntropy())).metadata

    def differences(connection):
        ours = MigrationContext.configure(
            connection, opts={"include_name": lambda n, *_: n != "alembic_version"}
        )
        return compare_metadata(ours, metadata)

    assert await database.read(differences) == []


async def test_references_are_counted_by_client_and_keys_are_for_their_markets(http):
    await http.mega.install_key("other", client="other")
    await http.mega.install_key("ug", client="uganda", markets=["UG"])
    body = {**GOOD, "reference": "order-1"}
    answers = [
        await (await http.post("/send_short_message", json=body, headers={"X-API-Key": key})).json()
        for key in (KEY["X-API-Key"], "other", KEY["X-API-Key"])
    ]
    assert answers[0] == answers[2] != answers[1]
    for wrong in ({"to": "250788123456"}, {"market": "RW"}, {"to": "250788123456", "market": "UG"}):
        refused = await http.post("/send_short_message", json={**GOOD, **wrong}, headers={"X-API-Key": "ug"})
        assert (refused.status, (await refused.json())["error"]) == (403, "forbidden")
    inbox = await http.get("/v1/inbox?msisdn=250788123456", headers={"X-API-Key": "ug"})
    assert inbox.status == 403
    allowed = await http.post("/send_short_message", json=GOOD, headers={"X-API-Key": "ug"})
    assert allowed.status == 202


async def test_a_report_on_a_message_of_another_market_is_as_on_none(http):
    await http.mega.install_key("rw", client="rwanda", markets=["RW"])
    sent = await (await http.post("/send_short_message", json=GOOD, headers=KEY)).json()
    await settled(http.mega)
    provider, known = await http.mega.named(sent["message_id"])
    answers = []
    for provider_id in (known, "nobodys"):
        body = {"provider": provider, "provider_message_id": provider_id, "status": "failed"}
        body["done_at"] = "2026-01-01T00:00:00Z"
        async with http.post("/shortmessages/update_dlr", json=body, headers={"X-API-Key": "rw"}) as answer:
            answers.append((answer.status, await answer.json()))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert (await http.mega.status(sent["message_id"])).status == "sent"


async def test_the_same_report_is_kept_once_and_nul_is_refused(http):
    form = {"id": "unknown-yet", "status": "Success"}
    for _ in range(5):
        assert (await http.post("/hooks/africastalking/dlr/hook-secret", data=form)).status == 200
    nul = await http.post("/hooks/africastalking/dlr/hook-secret", data={**form, "failureReason": "\x00"})
    assert nul.status == 400
    reports = await http.mega._database.read(
        lambda c: http.mega._store.reports_of(c, "africastalking", "unknown-yet")
    )
    assert len(reports) == 1


async def test_texts_are_sealed_in_the_database_and_nowhere_else(database, clock, entropy):
    """A text opens under its own message's id alone."""
    provider = ProviderFake(Unreachable("away"))
    mega = build_mega(database, clock, entropy, provider)
    await mega.start()
    text = "Your token: *042 744 349#"
    queued = await mega.send(to="256772123456", text=text, reference="r1")
    await settled(mega)
    again = await mega.take(to="256772123456", text="another", reference="r1")
    assert (again.id, again.text) == (queued.message_id, text)
    assert text not in repr(again)
    table = Store(Vault(CONFIG.master_key, "mega", entropy)).tables.messages
    stored = await database.read(lambda c: c.execute(table.select()).mappings().one())
    assert stored["text"].startswith(SEALED)
    assert "744" not in str(dict(stored))
    clock.advance(60.0)
    while not (await mega.audit()).messages_by_status.get("sent"):
        await asyncio.sleep(0.01)
    assert [sent for _, sent, _ in provider.sent] == [text, text]
    assert [one.text for one in await mega.inbox("256772123456")] == [text]
    await mega.send(to="256772123456", text="x", reference="r2")
    await database.write(lambda c: c.execute(table.update().values(text=stored["text"])))
    with pytest.raises(InternalError):
        await mega.take(to="256772123456", text="x", reference="r2")
    await mega.stop()


async def test_a_message_of_before_there_were_seals_is_sent_and_read(database, clock, entropy):
    mega = build_mega(database, clock, entropy, ProviderFake())
    await mega.start()
    queued = await mega.send(to="256772123456", text="later plain", reference="r1")
    await settled(mega)
    table = Store(Vault(CONFIG.master_key, "mega", entropy)).tables.messages
    await database.write(lambda c: c.execute(table.update().values(text="of before")))
    (kept,) = await mega.inbox("256772123456")
    assert (kept.message_id, kept.text) == (queued.message_id, "of before")
    await mega.stop()
