"""The rows of the checklist on Moto (78-94), one test a row, by the bytes of its answers."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from backend.kit.errors import Unavailable
from backend.kit.keys import WRONG
from backend.kit.web import application
from backend.moto.routes import render
from backend.moto.service import MotoService
from protocols.tokens import moto
from simulator.clock import ManualClock

STATELESS = "/api/v1/tokens/stateless/generate"
SOLARIUM = "/api/v1/tokens/solarium/generate"
STATEFUL = "/api/v1/tokens/generate"
GROUPED = "*+0-9+#+pad3 space3"
SEED = {
    "device": "SCBLNX/A/BT/240300126005",
    "command": "unlock_relative",
    "payload": "10",
    "sequence_number": 1,
    "secret": "00112233AABBCC",
    "encoding": GROUPED,
}
OK = b'{"status":"ok","token":"*00 427 443 49#","sequence_number":1}'
REGISTERED = {"device": "M/1", "command": "unlock_relative", "payload": 10}


async def ask(http: TestClient, path: str, request: object, **headers: str) -> tuple[int, bytes]:
    async with http.post(path, json=request, headers=headers) as answer:
        body = await answer.read()
        assert ("Content-Type" in answer.headers) == bool(body)
        if body:
            assert answer.headers["Content-Type"] == "application/json"
        return answer.status, body


def status(text: str) -> bytes:
    return f'{{"status":"{text}"}}'.encode()


async def test_checklist_78_stateless_needs_no_registration(http: TestClient, service: MotoService) -> None:
    assert await ask(http, STATELESS, SEED) == (200, OK)
    assert (await service.audit()).devices == 2  # the two of the fixture


async def test_checklist_79_stateful_needs_a_registered_device(http: TestClient) -> None:
    assert (await ask(http, STATEFUL, REGISTERED))[0] == 200
    assert (await ask(http, STATEFUL, SEED))[0] == 404


async def test_checklist_80_the_path_of_solarium_answers_as_stateless_does(http: TestClient) -> None:
    assert await ask(http, SOLARIUM, SEED) == (200, OK)


async def test_checklist_81_the_members_of_a_request(http: TestClient) -> None:
    """All but the encoding are needed; numbers may be digits."""
    assert await ask(http, STATELESS, SEED | {"payload": 10, "sequence_number": "1"}) == (200, OK)
    for name in SEED:
        left_out = {member: value for member, value in SEED.items() if member != name}
        code, body = await ask(http, STATELESS, left_out)
        assert code == 200
        assert body.startswith(b'{"status":"ok"') == (name == "encoding")


@pytest.mark.parametrize(
    ("command", "payload", "code"),
    [("unlock_relative", "10", 1), ("unlock_absolute", "365", 0), ("counter_sync", "100", 9)],
)
async def test_checklist_82_the_supported_commands(
    http: TestClient, command: str, payload: str, code: int
) -> None:
    request = SEED | {"command": command, "payload": payload, "encoding": None}
    async with http.post(STATELESS, json=request) as answer:
        number = int((await answer.json())["token"])
    assert moto.split(number)[:2] == (code, int(payload))


@pytest.mark.parametrize("path", [STATELESS, SOLARIUM, STATEFUL])
@pytest.mark.parametrize("name", ["set_time", "disable", "payg_disable", "unlockinfinite", "free_credit"])
async def test_checklist_83_the_others_are_not_supported(http: TestClient, path: str, name: str) -> None:
    request = SEED | {"device": "M/1", "command": name}
    assert await ask(http, path, request) == (200, status(f"Unsupported command {name}"))


@pytest.mark.parametrize(
    ("command", "payload", "number", "encoding", "token"),
    [
        ("unlock_relative", "10", 1, GROUPED, "*00 427 443 49#"),
        ("unlock_absolute", "365", 2, GROUPED, "*15 311 916 41#"),
        ("counter_sync", "100", 5, None, "3367721144"),
    ],
)
async def test_checklist_84_the_seeds_answers(
    http: TestClient, *, command: str, payload: str, number: int, encoding: str | None, token: str
) -> None:
    request = SEED | {
        "command": command,
        "payload": payload,
        "sequence_number": number,
        "encoding": encoding,
    }
    answer = f'{{"status":"ok","token":"{token}","sequence_number":{number}}}'
    assert await ask(http, STATELESS, request) == (200, answer.encode())


@pytest.mark.parametrize(
    ("payload", "number", "encoding", "token"),
    [
        ("10", 1, GROUPED, "*00 427 443 49#"),
        ("30", 11, "*+0-9#", "*126870056"),
        ("30", 12, None, "126443881"),
        ("10", 1, "numeric", None),
        ("10", 1, "invalid", None),
    ],
)
async def test_checklist_85_the_encodings(
    http: TestClient, payload: str, number: int, encoding: str | None, token: str | None
) -> None:
    request = SEED | {"payload": payload, "sequence_number": number, "encoding": encoding}
    answer = f'{{"status":"ok","token":"{token}","sequence_number":{number}}}'
    assert await ask(http, STATELESS, request) == (200, answer.encode() if token else b"")


async def test_checklist_86_missing_fields_make_the_seeds_sentence(http: TestClient) -> None:
    assert await ask(http, STATELESS, {}) == (
        200,
        status(
            "Identifier can't be blank, Command can't be blank, Sequence number can't be blank, "
            "and Secret hex can't be blank"
        ),
    )
    some = {"device": "D", "command": "set_time"}  # blanks are told before the command
    assert await ask(http, STATELESS, some) == (
        200,
        status("Sequence number can't be blank and Secret hex can't be blank"),
    )


async def test_checklist_87_a_missing_or_bad_key(http: TestClient) -> None:
    for path in (STATEFUL, STATELESS, SOLARIUM):
        for key in ("", "invalid"):
            answer = await ask(http, path, REGISTERED, **{"API-KEY": key})
            assert answer == (403, status("not authorized"))


async def test_checklist_88_a_device_that_is_not_registered(http: TestClient) -> None:
    for device in ("nobody", None, ""):  # told before anything else (resolutions 19)
        request = SEED | {"device": device, "command": "set_time"}
        assert await ask(http, STATEFUL, request) == (404, status("device not found"))


async def test_checklist_89_an_unknown_endpoint_is_an_empty_404(http: TestClient) -> None:
    for path in ("/", "/api/v1/tokens", "/api/v1/tokens/generate/", "/api/v2/tokens/generate"):
        assert await ask(http, path, SEED) == (404, b"")


async def test_checklist_90_unavailable_is_a_page() -> None:
    async def away(_: web.Request) -> web.Response:
        raise Unavailable("the database is away")

    app = application([web.post(STATEFUL, away)], render=render, service="moto")
    async with TestClient(TestServer(app)) as client, client.post(STATEFUL) as answer:
        assert (answer.status, answer.content_type) == (503, "text/html")
        assert (await answer.text()).startswith("<!DOCTYPE html>")


async def test_checklist_91_what_the_fields_may_be(http: TestClient) -> None:
    """A negative payload is the one thing that is not as probed (resolutions 20)."""
    assert await ask(http, STATELESS, SEED | {"device": "any string at all"}) == (200, OK)
    for changes in ({"sequence_number": 0}, {"secret": "AA"}):
        code, body = await ask(http, STATELESS, SEED | changes)
        assert (code, body.startswith(b'{"status":"ok"')) == (200, True)
    negative = await ask(http, STATELESS, SEED | {"payload": "-10"})
    assert negative == (200, status("Payload must not be negative"))


async def test_checklist_92_the_server_tracks_the_sequence_where_it_is_stateful(http: TestClient) -> None:
    for _ in range(2):  # the client's business: the same again is the same again
        assert await ask(http, STATELESS, SEED | {"device": "M/1"}) == (200, OK)
    numbered = REGISTERED | {"sequence_number": 1, "encoding": GROUPED}
    assert await ask(http, STATEFUL, numbered) == (200, OK)
    assert await ask(http, STATEFUL, numbered) == (200, status("Sequence number already used"))
    answers = await asyncio.gather(*(ask(http, STATEFUL, REGISTERED) for _ in range(20)))
    numbers = sorted(int(body.rpartition(b":")[2].rstrip(b"}")) for _, body in answers)
    assert numbers == list(range(2, 22))


async def test_checklist_93_the_other_family_by_name(http: TestClient) -> None:
    """OpenPAYGO, for a registered device of that family and by request; what a keypad takes: nine digits."""
    order = {"device": "O/1", "command": "add_time", "payload": 30}
    code, body = await ask(http, STATEFUL, order)
    assert code == 200
    wanted = order | {"device": "x", "family": "openpaygo", "sequence_number": 2}
    secret = "dac86b1a29ab82edc5fbbc41ec9530f6"
    assert await ask(http, STATELESS, wanted | {"secret": secret}) == (200, body)


async def test_checklist_94_serials_and_secrets_are_loaded_once(http: TestClient) -> None:
    new = {"serial": "SCBLNX/A/BT/1", "market": "RW", "secret": "00112233AABBCC"}
    for _ in range(2):
        assert await ask(http, "/api/v1/devices", new) == (
            201,
            b'{"status":"ok","serial":"SCBLNX/A/BT/1"}',
        )
    assert (await ask(http, "/api/v1/devices", new | {"secret": "AA"}))[0] == 409
    order = REGISTERED | {"device": "SCBLNX/A/BT/1", "encoding": GROUPED}
    assert await ask(http, STATEFUL, order) == (200, OK)


async def test_checklist_102_a_reference_is_good_for_more_than_three_days(
    http: TestClient, clock: ManualClock
) -> None:
    order = REGISTERED | {"reference": "order-1"}
    first = await ask(http, STATEFUL, order)
    clock.advance(73 * 3600)
    assert await ask(http, STATEFUL, order) == first


async def test_checklist_103_a_key_in_the_url_is_no_key(http: TestClient) -> None:
    url = URL(STATELESS).with_query({"API-KEY": "moto-test-key", "api_key": "moto-test-key"})
    async with http.post(url, json=SEED, headers={"API-KEY": ""}) as answer:
        assert answer.status == 403


async def test_checklist_101_wrong_keys_are_limited_by_address(http: TestClient) -> None:
    asked = (ask(http, STATELESS, SEED, **{"API-KEY": f"wrong {number}"}) for number in range(WRONG + 1))
    tried = sorted(await asyncio.gather(*asked))
    assert tried[:-1] == [(403, status("not authorized"))] * WRONG
    assert tried[-1] == (429, status("over 20 requests in 10 s; slow down"))
    assert await ask(http, STATELESS, SEED) == (200, OK)
