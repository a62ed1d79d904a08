"""The command routes: answers and error texts (checklist 60-69, resolutions 12-15)."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st

from backend.kit.errors import BadRequest, Unauthorized
from backend.kit.http import AiohttpClient
from backend.m2m import commands
from backend.m2m.client import M2mClient
from backend.m2m.schemas import CommandRequest
from backend.m2m.service import M2mService

KEY = "m2m-test-key"
SERIAL = "SCBLNX/A/BT/240300126005"
V1 = "/v1/commands"
M2M = "/m2m/command"
UNLOCK = {"name": "unlock_token", "details": {"unlock_code": "123456789"}}
OPERATIONS_THAT_ARE_NONE = (
    *(
        "set Joy",
        "name",
        "name ",
        "name  Joy",
        "name Joy ",
        "name " + "x" * 33,
        "name \u00e9" + "\u00e9" * 16,
    ),
    *("name a\tb", "language", "language SW", "language swa", "pin", "pin 123", "pin 1234567", "pin 12a4"),
    *("pin \u0661\u0661\u0661\u0661", "clear all", "clear ", "clear everything", "NAME Joy", "\x00"),
)
GOOD = {"identifier": SERIAL, "callback_url": "https://public.example/webhook/m2m", "command": UNLOCK}


async def ask(http: TestClient, path: str, request: object) -> tuple[int, object]:
    async with http.post(path, json=request) as answer:
        return answer.status, await answer.json()


async def test_created(http: TestClient) -> None:
    assert await ask(http, M2M, GOOD) == (
        201,
        {
            "identifier": SERIAL,
            "command": "TOKEN: 123456789",
            "status": "created",
            "created_at": "2025-12-01T10:10:00Z",
        },
    )


async def test_waiting(http: TestClient) -> None:
    request = {"identifier": SERIAL, "command": {"name": "sync"}}
    assert await ask(http, V1, request) == (
        201,
        {"identifier": SERIAL, "command": "SYNC", "status": "waiting"},
    )


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (UNLOCK, "TOKEN: 123456789"),
        ({"name": "unlock_token", "details": {"unlock_code": 42744349}}, "TOKEN: 42744349"),
        ({"name": "unlock_token", "details": {"unlock_code": "*00 427 443 49#"}}, "TOKEN: 0042744349"),
        ({"name": "sync", "details": None}, "SYNC"),
        ({"name": "synciv", "details": {}}, "SYNCIV"),
        ({"name": "reset"}, "RESET"),
        ({"name": "reset", "details": {"kind": "soft"}}, "RESET"),
        ({"name": "reset", "details": {"kind": "factory", "signature": "0123456789ABCDEF"}}, "RESET"),
        ({"name": "useracct", "details": {"operation": "name Joy A"}}, "USERACCT: name Joy A"),
        ({"name": "useracct", "details": {"operation": "pin 1234"}}, "USERACCT: pin ****"),
        ({"name": "useracct", "details": {"operation": "clear pin"}}, "USERACCT: clear pin"),
        (
            {"name": "config", "details": {"key": "status_interval_s", "value": 900}},
            "CONFIG: status_interval_s 900",
        ),
        ({"name": "config", "details": {"key": "links", "value": ""}}, "CONFIG: links"),
    ],
)
async def test_text_forms(http: TestClient, command: object, text: str) -> None:
    status, answer = await ask(http, M2M, GOOD | {"command": command})
    assert (status, answer["command"]) == (201, text)


@pytest.mark.parametrize("kind", ["serial", "imei"])
async def test_identifier_as_an_object(http: TestClient, kind: str) -> None:
    status, answer = await ask(http, M2M, GOOD | {"identifier": {"kind": kind, "value": "DEVICE123"}})
    assert (status, answer["identifier"]) == (201, "DEVICE123")


@pytest.mark.parametrize(
    ("path", "request_body", "missing"),
    [
        (M2M, {}, "identifier, callback_url, command, name, kind"),
        (V1, {}, "identifier, command, name, kind"),
        (M2M, {"command": UNLOCK}, "identifier, callback_url"),
        (M2M, {"identifier": SERIAL}, "callback_url, command, name"),
        (M2M, GOOD | {"command": {}}, "name"),
        (M2M, GOOD | {"command": "sync"}, "command, name"),
        (M2M, GOOD | {"identifier": {"value": "X"}}, "kind"),
        (M2M, GOOD | {"identifier": {"kind": "serial"}}, "identifier"),
        (M2M, GOOD | {"identifier": {}}, "identifier, kind"),
        (M2M, GOOD | {"identifier": ""}, "identifier"),
        (M2M, GOOD | {"callback_url": ""}, "callback_url"),
        (
            M2M,
            {"identifier": {"kind": "serial", "value": "DEVICE123"}, "command": {"name": "unlock_token"}},
            "callback_url",
        ),
        (
            V1,
            {"identifier": {"kind": "serial", "value": "DEVICE123"}, "command": {"name": "unlock_token"}},
            "unlock_code",
        ),
        (M2M, GOOD | {"command": {"name": "unlock_token", "details": []}}, "unlock_code"),
        (M2M, GOOD | {"command": {"name": "useracct"}}, "operation"),
        (M2M, GOOD | {"command": {"name": "reset", "details": {"kind": "factory"}}}, "signature"),
        (M2M, GOOD | {"command": {"name": "update"}}, "file"),
        (M2M, GOOD | {"command": {"name": "config"}}, "key"),
        (M2M, GOOD | {"command": {"name": "config", "details": {"key": "links"}}}, "value"),
    ],
)
async def test_missing_parameters(http: TestClient, path: str, request_body: object, missing: str) -> None:
    assert await ask(http, path, request_body) == (400, {"error": f"Missing parameters: {missing}"})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"command": {"name": "invalid_cmd"}}, "Unsupported command: invalid_cmd"),
        ({"command": {"name": 7}}, "Unsupported command: 7"),
        (
            {"command": {"name": "unlock_token", "details": {"unlock_code": "12a"}}},
            "Invalid parameters: unlock_code",
        ),
        (
            {"command": {"name": "unlock_token", "details": {"unlock_code": "#"}}},
            "Invalid parameters: unlock_code",
        ),
        (
            {"command": {"name": "unlock_token", "details": {"unlock_code": "1" * 21}}},
            "Invalid parameters: unlock_code",
        ),
        (
            {"command": {"name": "unlock_token", "details": {"unlock_code": -5}}},
            "Invalid parameters: unlock_code",
        ),
        (
            {"command": {"name": "unlock_token", "details": {"unlock_code": ["1"]}}},
            "Invalid parameters: unlock_code",
        ),
        (
            {"command": {"name": "useracct", "details": {"operation": "a\nSYNC"}}},
            "Invalid parameters: operation",
        ),
        *(
            ({"command": {"name": name, "details": details}}, f"Invalid parameters: {member}")
            for name, details, member in (
                *(("useracct", {"operation": text}, "operation") for text in OPERATIONS_THAT_ARE_NONE),
                ("reset", {"kind": "hard"}, "kind"),
                ("reset", {"kind": ["soft"]}, "kind"),
                ("reset", {"kind": "factory", "signature": "0123"}, "signature"),
                ("update", {"file": "../etc/passwd"}, "file"),
                ("update", {"file": "x" * 65}, "file"),
                ("update", {"file": ["a"]}, "file"),
                ("config", {"key": "link_key", "value": "1"}, "key"),
                ("config", {"key": "status_interval_s", "value": "ten"}, "value"),
                ("config", {"key": "status_interval_s", "value": -1}, "value"),
                ("config", {"key": "links", "value": "mqtt http"}, "value"),
                ("config", {"key": "links", "value": "x" * 65}, "value"),
            )
        ),
        ({"command": {"name": "update", "details": {"file": "no.img"}}}, "Unknown firmware file: no.img"),
        ({"identifier": {"kind": "phone", "value": "X"}}, "Invalid parameters: kind"),
        ({"identifier": {"kind": ["imei"], "value": "X"}}, "Invalid parameters: kind"),
        ({"identifier": 5}, "Invalid parameters: identifier"),
        ({"identifier": "x" * 201}, "Invalid parameters: identifier"),
        ({"identifier": "x\x00"}, "Invalid parameters: identifier"),
        ({"reference": 5}, "Invalid parameters: reference"),
        ({"callback_url": 5}, "Invalid parameters: callback_url"),
        ({"callback_url": "ftp://public.example/"}, "Invalid parameters: callback_url"),
        ({"callback_url": "https://"}, "Invalid parameters: callback_url"),
        ({"callback_url": "https://[::1"}, "Invalid parameters: callback_url"),
        ({"callback_url": "https://public.example:99999/"}, "Invalid parameters: callback_url"),
        ({"callback_url": "https://u:p@public.example/"}, "Invalid parameters: callback_url"),
        ({"callback_url": "https://public.example/\r\nX: y"}, "Invalid parameters: callback_url"),
        ({"callback_url": "https://public.example/" + "x" * 2000}, "Invalid parameters: callback_url"),
    ],
)
@pytest.mark.parametrize("path", [V1, M2M])
async def test_refused_requests_change_nothing(
    http: TestClient, service: M2mService, path: str, changes: dict[str, object], error: str
) -> None:
    assert await ask(http, path, GOOD | {"identifier": "NEW"} | changes) == (400, {"error": error})
    audit = await service.audit()
    assert (audit.devices, audit.commands) == (1, {})


@pytest.mark.parametrize(
    "host",
    [
        *("10.1.2.3", "192.168.0.1", "172.16.9.9", "127.0.0.2", "169.254.169.254", "100.64.0.1", "0.0.0.0"),  # noqa: S104
        *("[::1]", "[fe80::1]", "[fc00::1]", "[::ffff:10.0.0.1]", "224.0.0.1", "inside.example"),
        *("[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[2002:7f00:1::]", "[2002:a00:1::1]"),
    ],
)
async def test_callbacks_to_inside_addresses_are_refused(http: TestClient, host: str) -> None:
    status, answer = await ask(http, M2M, GOOD | {"callback_url": f"http://{host}:8080/x"})
    assert (status, answer) == (400, {"error": "Callback URL is not allowed: it leads to a private address"})


@pytest.mark.parametrize("host", ["public.example", "unknown.example", "8.8.8.8", "127.0.0.1:1"])
async def test_other_callbacks_are_taken(http: TestClient, host: str) -> None:
    """Public, not resolving now, or allowed by configuration."""
    assert (await ask(http, M2M, GOOD | {"callback_url": f"http://{host}/x"}))[0] == 201


@pytest.mark.parametrize("path", [V1, M2M])
@pytest.mark.parametrize("key", [None, "", "wrong"])
async def test_wrong_key(http: TestClient, path: str, key: str | None) -> None:
    headers = {} if key is None else {"X-API-Key": key}
    async with TestClient(http.server) as stranger, stranger.post(path, data=b"{", headers=headers) as answer:
        assert (answer.status, await answer.json()) == (401, {"error": "Unauthorized"})


@pytest.mark.parametrize("path", [V1, M2M])
@pytest.mark.parametrize(
    ("data", "status", "error"),
    [
        (b"{", 400, "Invalid JSON"),
        (b"[]", 400, "Invalid JSON"),
        (b'{"identifier": "\xff"}', 400, "Invalid JSON"),
        (b'{"identifier": ' + b"[" * 30000 + b"]" * 30000 + b"}", 400, "Invalid JSON"),
        (b'{"identifier": ' + b"1" * 5000 + b"}", 400, "Invalid JSON"),
        (b" " * 65537, 413, "Request too large"),
    ],
)
async def test_malformed_bodies(http: TestClient, path: str, data: bytes, status: int, error: str) -> None:
    async with http.post(path, data=data) as answer:
        assert (answer.status, await answer.json()) == (status, {"error": error})


async def test_an_empty_body_misses_everything(http: TestClient) -> None:
    async with http.post(V1) as answer:
        assert await answer.json() == {"error": "Missing parameters: identifier, command, name, kind"}


async def test_a_body_without_content_type_is_json(http: TestClient) -> None:
    async with http.post(V1, data=b'{"identifier":"D","command":{"name":"sync"}}') as answer:
        assert answer.status == 201


async def test_unknown_paths_and_methods(http: TestClient) -> None:
    assert await ask(http, "/v1/other", {}) == (404, {"error": "Not found"})
    async with http.get(M2M) as answer:
        assert (answer.status, await answer.json()) == (405, {"error": "Method not allowed"})
    async with http.get("/v1/ping") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_reference_makes_it_idempotent(http: TestClient, service: M2mService) -> None:
    first = await ask(http, M2M, GOOD | {"reference": "order-1"})
    again = [
        ask(http, M2M, GOOD | {"reference": "order-1", "command": {"name": "sync"}}),
        ask(http, M2M, GOOD | {"reference": "order-1"}),
    ]
    assert await asyncio.gather(*again) == [first, first]
    assert (await service.audit()).commands == {"created": 1}


async def test_a_device_has_so_many_open_commands(http: TestClient) -> None:
    request = {"identifier": "NEVER-HEARD", "command": {"name": "sync"}}
    answers = await asyncio.gather(*(ask(http, V1, request) for _ in range(201)))
    assert sorted(status for status, _ in answers) == [201] * 200 + [429]


async def test_client_does_what_the_service_does(
    http: TestClient, service: M2mService, http_client: AiohttpClient
) -> None:
    client = M2mClient(http=http_client, base_url=str(http.make_url("/")), api_key=KEY)
    command = {"identifier": SERIAL, "name": "unlock_token", "callback_url": None, "reference": "r"}
    for each in (client, client, service):
        assert await each.create(**command, details={"unlock_code": "123456789"}) == "TOKEN: 123456789"
        with pytest.raises(BadRequest, match="Missing parameters: unlock_code"):
            await each.create(**command, details={})
    stranger = M2mClient(http=http_client, base_url=str(http.make_url("/")), api_key="wrong")
    with pytest.raises(Unauthorized):
        await stranger.create(**command, details={})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "value", "name", "details", "unlock_code"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@given(st.lists(JSON, min_size=4, max_size=4), st.booleans(), st.sampled_from([*commands.VERBS, None]))
def test_any_json_is_a_command_or_a_bad_request(
    values: list[object], required: bool, name: str | None
) -> None:
    command = values[2] if name is None else {"name": name, "details": values[2]}
    request = CommandRequest(values[0], values[1], command, values[3])
    try:
        wanted = commands.check(request, callback_required=required)
    except BadRequest:
        return
    assert wanted.text.partition(":")[0] == commands.VERBS[wanted.name]
    assert wanted.serial


async def test_a_key_is_for_its_markets(http: TestClient, service: M2mService) -> None:
    await service.install_key(key="rw-key", client="rwanda", markets=["RW"])
    await service.install_key(key="ug-key", client="uganda", markets=["UG"])
    body = {"identifier": SERIAL, "command": {"name": "sync"}}
    answer = await http.post("/v1/commands", json=body, headers={"X-API-Key": "rw-key"})
    assert (answer.status, await answer.json()) == (403, {"error": "The device is in another market"})
    assert (await service.audit()).commands == {}
    answer = await http.post("/v1/commands", json=body, headers={"X-API-Key": "ug-key"})
    assert answer.status == 201


async def test_a_reference_shows_no_command_of_another_market_to_the_clients_other_key(
    http: TestClient, service: M2mService
) -> None:
    """A client's references are one set; each of its keys sees its own markets only."""
    for market in ("UG", "RW"):
        await service.install_key(key=f"acme-{market}", client="acme", markets=[market])

    async def create(market: str, serial: str) -> tuple[int, object]:
        command = {"name": "unlock_token", "details": {"unlock_code": "123456789"}}
        body = {"identifier": serial, "command": command, "reference": "order"}
        async with http.post("/v1/commands", json=body, headers={"X-API-Key": f"acme-{market}"}) as answer:
            return answer.status, await answer.json()

    first = await create("UG", SERIAL)
    assert first[0] == 201
    for serial in (SERIAL, "R/1"):
        assert await create("RW", serial) == (403, {"error": "The device is in another market"})
    assert await create("UG", SERIAL) == await create("UG", "U/1") == first
