"""The .NET mirror (checklist 49-51, resolutions 11 and 12), on the real services."""

import asyncio

from aiohttp.test_utils import TestClient

from backend.hub.service import Hub
from protocols.tokens import moto as moto_tokens
from simulator.clock import ManualClock
from tests.backend.hub.conftest import KEY, SERIAL, World

VALIDATE = "/api/payment/validate"
CONFIRM = "/api/payment/confirm"
COMMAND = "/api/m2m/command"
CALLBACK = "/api/m2m/callback"
STATELESS = "/api/tokens/stateless/generate"
STATEFUL = "/api/tokens/generate"
POSTS = [VALIDATE, CONFIRM, COMMAND, CALLBACK, STATELESS, STATEFUL]
ACCOUNT = {
    "reference": "254543",
    "currency": "UGX",
    "business_account": "600100",
    "provider_key": "ug_mtn_mobilemoney",
}
PAYMENT = ACCOUNT | {
    "amount_subunit": 300_000,
    "sender_phone_number": "256772100001",
    "provider_tx": "WG53SJ8284",
    "momoep_id": "25346",
    "received_at": "2025-12-01T10:00:00Z",
    "sender_name": "John",
}
UNLOCK = {"name": "unlock_token", "details": {"unlock_code": "123456789"}}
GOOD = {"identifier": SERIAL, "command": UNLOCK}
CREDIT = {"serial_number": SERIAL, "days": 30, "hours": 0}
NO_KEY = {"error": "unauthorized", "message": "the API key is missing or not valid", "details": {}}
UNAUTHORIZED = {
    VALIDATE: {"errors": [{"field": "API-KEY", "message": "the API key is missing or not valid"}]},
    CONFIRM: None,
    STATELESS: NO_KEY,
    STATEFUL: NO_KEY,
}


async def ask(
    http: TestClient, path: str, body: object = None, *, key: str = KEY
) -> tuple[int, dict[str, object] | None]:
    method = "GET" if body is None else "POST"
    async with http.request(method, path, json=body, headers={"API-KEY": key}) as answer:
        text = await answer.text()
        return answer.status, await answer.json() if text else None


async def create(http: TestClient, key: str = KEY, **changes: object) -> str:
    async with http.post(COMMAND, json=GOOD | changes, headers={"API-KEY": key}) as answer:
        assert answer.status == 201
        return answer.headers["Location"].rpartition("/")[2]


# Payments: bodies and statuses as Solarium's


async def test_checklist_49_payment_validate(http: TestClient) -> None:
    assert await ask(http, VALIDATE, ACCOUNT) == (200, {"status": "ok", "customer_name": "John Doe"})
    assert await ask(http, VALIDATE, ACCOUNT | {"additional_fields": []}) == (200, {"status": "ok"})
    for amount, status in ((1, "amount_too_low"), (10**12, "amount_too_high")):
        answer = await ask(http, VALIDATE, ACCOUNT | {"amount_subunit": amount})
        assert answer == (412, {"status": status})
    assert await ask(http, VALIDATE, ACCOUNT | {"reference": "1"}) == (
        404,
        {"status": "reference_not_found"},
    )
    status, answer = await ask(http, VALIDATE, {"reference": "254543", "provider_key": "ug_mtn_mobilemoney"})
    missing = [{"field": name, "message": "is missing"} for name in ("currency", "business_account")]
    assert (status, answer) == (400, {"errors": missing})


async def test_checklist_49_payment_confirm(http: TestClient, world: World) -> None:
    assert await ask(http, CONFIRM, PAYMENT) == (200, None)
    assert await ask(http, CONFIRM, PAYMENT) == (409, None)
    assert await ask(http, CONFIRM, PAYMENT | {"provider_tx": ""}) == (400, None)
    audit = await world.solarium.audit()
    assert (audit.payments, audit.sound) == (1, True)


async def test_concurrent_confirms_of_one_key_are_one_payment(http: TestClient, world: World) -> None:
    answers = await asyncio.gather(*(ask(http, CONFIRM, PAYMENT) for _ in range(20)))
    assert sorted(status for status, _ in answers) == [200] + [409] * 19
    assert (await world.solarium.audit()).payments == 1


# Commands


async def test_checklist_49_m2m_command_and_its_status(http: TestClient, clock: ManualClock) -> None:
    status, answer = await ask(http, COMMAND, GOOD)
    assert (status, answer) == (
        201,
        {
            "identifier": SERIAL,
            "command": "TOKEN: 123456789",
            "status": "waiting",
            "created_at": "2025-12-01T10:10:00Z",
        },
    )
    number = await create(http, identifier={"kind": "serial", "value": SERIAL})
    assert await ask(http, f"{COMMAND}/{number}") == (200, answer | {"command_id": number})


async def test_checklist_49_m2m_callback(http: TestClient, clock: ManualClock) -> None:
    for body, shown in (
        ({"status": "executed", "error_message": None}, {"status": "executed", "device_response": "OK"}),
        (
            {"status": "failed", "error_message": "no signal"},
            {"status": "failed", "device_response": "no signal"},
        ),
        ({"status": "expired"}, {"status": "expired"}),
    ):
        number = await create(http)
        clock.advance(60)
        report = {"command_id": number, "executed_at": "2025-12-01T10:10:30Z"} | body
        for _ in range(2):
            assert await ask(http, CALLBACK, report) == (200, {"status": "ok"})
        _, answer = await ask(http, f"{COMMAND}/{number}")
        assert answer is not None
        assert shown.items() <= answer.items()
        conflict = {"command_id": int(number), "status": "failed", "error_message": "else"}
        status, error = await ask(http, CALLBACK, conflict)
        assert status == 409
        assert str(error).startswith("{'error': 'The command has ended: ")


async def test_commands_that_are_refused(http: TestClient) -> None:
    await create(http)
    for path, body, status, error in (
        (COMMAND, {}, 400, "Missing parameters: identifier, command, name, kind"),
        (COMMAND, GOOD | {"command": {"name": "invalid_cmd"}}, 400, "Unsupported command: invalid_cmd"),
        (COMMAND, [], 400, "Invalid JSON"),
        (COMMAND, GOOD | {"reference": 5}, 400, "Invalid parameters: reference"),
        (CALLBACK, {"status": "executed"}, 400, "Missing parameters: command_id"),
        (CALLBACK, {"command_id": "77", "status": "executed"}, 404, "Not found"),
        (CALLBACK, {"command_id": "x", "status": "executed"}, 404, "Not found"),
        (CALLBACK, {"command_id": 1, "status": "done"}, 400, "A status is one of executed, failed, expired"),
        (f"{COMMAND}/77", None, 404, "Not found"),
        (f"{COMMAND}/%00", None, 404, "Not found"),
    ):
        assert await ask(http, path, body) == (status, {"error": error})


async def test_a_reference_is_one_command_of_its_client(http: TestClient, world: World) -> None:
    first = await create(http, reference="order-1")
    assert await create(http, reference="order-1") == first
    assert await create(http, "ug-key", reference="order-1") != first
    assert (await world.m2m.audit()).commands == {"created": 2}


async def test_a_crash_before_the_owner_is_noted_heals_with_the_repeat(http: TestClient, hub: Hub) -> None:
    """M2M has the command; its client heard nothing, and asks again under the same reference."""
    number = await create(http, "ug-key", reference="order-1")
    notes = hub._store.commands
    await hub._database.write(lambda c: c.execute(notes.delete().where(notes.c.id == int(number))))
    assert (await ask(http, f"{COMMAND}/{number}", key="ug-key"))[0] == 404
    assert await create(http, "ug-key", reference="order-1") == number
    assert (await ask(http, f"{COMMAND}/{number}", key="ug-key"))[0] == 200


async def test_a_command_is_its_clients(http: TestClient, hub: Hub) -> None:
    """Also of a device that is in no market yet, and of one in both clients' market."""
    await hub.install_key(key="both-key", client="both", markets=["UG", "RW"])
    await hub.install_key(key="more-key", client="more", markets=["UG", "RW"])
    for serial in (SERIAL, "NOBODY/1"):
        number = await create(http, "both-key", identifier=serial)
        own = f"{COMMAND}/{number}"
        report = {"command_id": number, "status": "failed"}
        for key in ("more-key", "ug-key"):
            assert await ask(http, own, key=key) == (404, {"error": "Not found"})
            assert await ask(http, CALLBACK, report, key=key) == (404, {"error": "Not found"})
        for key in ("both-key", KEY):
            status, answer = await ask(http, own, key=key)
            assert (status, (answer or {})["status"]) == (200, "waiting")
        assert (await ask(http, CALLBACK, report, key="both-key"))[0] == 200


async def test_a_command_that_did_not_come_by_the_hub_is_no_markets_clients(
    http: TestClient, world: World
) -> None:
    sync = {"identifier": SERIAL, "name": "sync", "details": {}}
    await world.m2m.create(**sync, callback_url=None, reference="r")
    assert (await ask(http, f"{COMMAND}/1", key="ug-key"))[0] == 404
    assert (await ask(http, f"{COMMAND}/1"))[0] == 200


# Tokens


async def test_checklist_49_tokens_generate(http: TestClient) -> None:
    status, answer = await ask(http, STATEFUL, CREDIT)
    assert status == 200
    assert answer is not None
    token = str(answer.pop("token"))
    assert answer == CREDIT | {"expires_at": "2025-12-31T10:10:00Z"}
    code, days, signature = moto_tokens.split(int(token))
    secret = bytes.fromhex("00112233AABBCC")
    assert (code, days) == (moto_tokens.COMMAND_CODES["unlock_relative"], 30)
    assert signature == moto_tokens.signature(secret, code, days, 1)
    _, following = await ask(http, STATEFUL, {"serial_number": SERIAL, "days": 1, "hours": 48})
    assert following is not None
    code, days, signature = moto_tokens.split(int(str(following["token"])))
    assert (days, signature) == (3, moto_tokens.signature(secret, code, 3, 2))


async def test_checklist_49_tokens_stateless_generate(http: TestClient, world: World) -> None:
    own = {"serial_number": "ANY/DEVICE", "days": 30, "secret": "00112233AABBCC", "sequence_number": 7}
    first = await ask(http, STATELESS, own)
    assert first[0] == 200
    assert await ask(http, STATELESS, own) == first
    code, days, signature = moto_tokens.split(int(str((first[1] or {})["token"])))
    assert (days, signature) == (30, moto_tokens.signature(bytes.fromhex("00112233AABBCC"), code, 30, 7))
    assert (await world.moto.audit()).tokens == 0
    assert (await ask(http, STATELESS, CREDIT))[0] == 200  # a registered device needs neither
    assert (await world.moto.audit()).tokens == 1


async def test_a_reference_is_one_token(http: TestClient, world: World) -> None:
    first = await ask(http, STATEFUL, CREDIT | {"reference": "r"})
    assert await ask(http, STATEFUL, CREDIT | {"reference": "r"}) == first
    assert await ask(http, STATEFUL, CREDIT | {"reference": "r"}, key="ug-key") != first
    assert (await world.moto.audit()).tokens == 2


async def test_tokens_that_are_refused(http: TestClient, world: World) -> None:
    for changes, status, error in (
        ({"serial_number": "NOBODY"}, 404, "device_not_found"),
        *(
            (changes, 400, "invalid_request")
            for changes in (
                *({"days": days} for days in (0, -1, "30", 10**9, None)),
                {"hours": 5},
                {"serial_number": None},
                {"serial_number": "a\x00"},
                {"secret": "00"},
                {"sequence_number": 1},
            )
        ),
        ({"secret": "xyz", "sequence_number": 1}, 422, "token_refused"),
    ):
        answer = await ask(http, STATELESS, CREDIT | changes)
        assert (answer[0], (answer[1] or {})["error"]) == (status, error)
    assert (await world.moto.audit()).tokens == 0


async def test_a_stolen_device_gives_no_token(http: TestClient, world: World) -> None:
    def stolen(connection) -> None:
        world.moto._store.set_state(connection, SERIAL, "stolen")

    await world.databases[2].write(stolen)
    for body in (CREDIT, CREDIT | {"secret": "00112233AABBCC", "sequence_number": 9}):
        assert await ask(http, STATELESS, body) == (
            403,
            {
                "error": "device_status_invalid",
                "message": "No tokens for this device: it is reported stolen",
                "details": {"reason": "device_stolen"},
            },
        )


# Keys, markets, limits


async def test_a_wrong_key(http: TestClient) -> None:
    for path in POSTS:
        for key in ("", "wrong"):
            expected = UNAUTHORIZED.get(path, {"error": "Unauthorized"})
            assert await ask(http, path, {}, key=key) == (401, expected)


async def test_either_header_carries_the_key(http: TestClient) -> None:
    async with http.post(COMMAND, json=GOOD, headers={"API-KEY": "", "X-API-Key": KEY}) as answer:
        assert answer.status == 201


async def test_checklist_116_a_client_sees_and_changes_its_markets_only(
    http: TestClient, world: World
) -> None:
    number = await create(http, "ug-key")
    for path, body, status in (
        (VALIDATE, ACCOUNT, 403),
        (CONFIRM, PAYMENT, 403),
        (COMMAND, GOOD, 403),
        (f"{COMMAND}/{number}", None, 404),
        (CALLBACK, {"command_id": number, "status": "executed"}, 404),
        (STATELESS, CREDIT, 403),
        (STATELESS, CREDIT | {"secret": "00112233AABBCC", "sequence_number": 9}, 403),
        (STATEFUL, CREDIT, 403),
    ):
        assert (await ask(http, path, body, key="rw-key"))[0] == status
    _, error = await ask(http, STATEFUL, CREDIT, key="rw-key")
    assert error == {
        "error": "device_ownership_validation_failed",
        "message": "API client is not authorized to generate tokens for this device",
        "details": {"reason": "device_not_in_client_market"},
    }
    assert (await world.solarium.audit()).payments == 0
    assert (await world.m2m.audit()).commands == {"created": 1}
    assert (await world.moto.audit()).tokens == 0
    assert (await ask(http, f"{COMMAND}/{number}", key="ug-key"))[0] == 200


async def test_checklist_101_a_rate_limit_for_each_client(http: TestClient, clock: ManualClock) -> None:
    for _ in range(100):
        async with http.get(f"{COMMAND}/1") as answer:
            assert (answer.status, answer.headers["RateLimit-Policy"]) == (404, "100;w=1")
    async with http.get(f"{COMMAND}/1") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert answer.headers["RateLimit-Policy"] == "100;w=1"
    assert (await ask(http, f"{COMMAND}/1", key="ug-key"))[0] == 404
    clock.advance(1)
    assert (await ask(http, VALIDATE, ACCOUNT))[0] == 200


async def test_bodies_that_are_none(http: TestClient, clock: ManualClock) -> None:
    malformed = [b"{", b"\xff", b'"\x00"', b"[" * 5000, b'{"a":' * 3000, b"9" * 5000, b'{"days": 1e999}']
    for path in POSTS:
        for status, data in [*((400, data) for data in malformed), (413, b" " * 70_000)]:
            clock.advance(1)
            async with http.post(path, data=data) as answer:
                assert answer.status == status


async def test_checklist_45_solarium_itself_has_none_of_these(world: World, http_client) -> None:
    partners = await world.remote(http_client)
    base = partners.billing._base_url
    for path in (VALIDATE, CONFIRM):
        answer = await http_client.request("POST", f"{base}{path}", body=b"{}")
        assert answer.status == 404


async def test_checklist_50_51_the_three_services_work_together(
    http: TestClient, hub: Hub, world: World
) -> None:
    """Upstream -> confirm -> Solarium orders a token and a command, whose end the hub reports."""
    assert await ask(http, CONFIRM, PAYMENT) == (200, None)
    async with asyncio.timeout(10):
        while (await world.m2m.audit()).commands != {"created": 1}:
            await asyncio.sleep(0)
    _, answer = await ask(http, f"{COMMAND}/1")
    assert answer is not None
    assert answer["status"] == "waiting"
    assert str(answer["command"]).startswith("TOKEN: ")
    await ask(http, CALLBACK, {"command_id": 1, "status": "executed"})
    assert (await world.m2m.audit()).commands == {"replied": 1}
    assert (await world.moto.audit()).days_by_device == {SERIAL: 2}
