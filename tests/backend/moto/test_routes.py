"""The three routes as the seed's service was probed (checklist 78-92, resolutions 18-20)."""

import pytest
from aiohttp.test_utils import TestClient
from openpaygo import OpenPAYGOTokenEncoder, TokenType

STATELESS = "/api/v1/tokens/stateless/generate"
SOLARIUM = "/api/v1/tokens/solarium/generate"
STATEFUL = "/api/v1/tokens/generate"
SECRET = "00112233AABBCC"
GROUPED = "*+0-9+#+pad3 space3"
OPENPAYGO_SECRET = "dac86b1a29ab82edc5fbbc41ec9530f6"


def body(**changes: object) -> dict[str, object]:
    """A good stateless request with some members changed; `...` leaves one out."""
    members = {
        "device": "SCBLNX/A/BT/240300126005",
        "command": "unlock_relative",
        "payload": "10",
        "sequence_number": 1,
        "secret": SECRET,
        **changes,
    }
    return {name: value for name, value in members.items() if value is not ...}


async def ask(http: TestClient, path: str, request: object) -> tuple[int, object]:
    async with http.post(path, json=request) as answer:
        text = await answer.text()
        return answer.status, await answer.json() if text else ""


@pytest.mark.parametrize("path", [STATELESS, SOLARIUM])
@pytest.mark.parametrize(
    ("command", "payload", "number", "encoding", "token"),
    [
        ("unlock_relative", "10", 1, GROUPED, "*00 427 443 49#"),
        ("unlock_absolute", "365", 2, GROUPED, "*15 311 916 41#"),
        ("counter_sync", 100, 5, None, "3367721144"),
        ("unlock_relative", 30, 11, "*+0-9#", "*126870056"),
        ("unlock_relative", "30", 12, ..., "126443881"),
    ],
)
async def test_probed_tokens(
    http: TestClient,
    *,
    path: str,
    command: str,
    payload: object,
    number: int,
    encoding: object,
    token: str,
) -> None:
    request = body(command=command, payload=payload, sequence_number=number, encoding=encoding)
    assert await ask(http, path, request) == (
        200,
        {"status": "ok", "token": token, "sequence_number": number},
    )


@pytest.mark.parametrize("encoding", ["numeric", "nonsense", "", "\x00+0-9", 7, ["*"], "x" * 5000])
@pytest.mark.parametrize("path", [STATELESS, STATEFUL])
async def test_encoding_that_does_not_parse_is_an_empty_answer(
    http: TestClient, path: str, encoding: object
) -> None:
    assert await ask(http, path, body(device="M/1", encoding=encoding)) == (200, "")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        (
            {"device": ..., "command": ..., "sequence_number": ..., "secret": ...},
            "Identifier can't be blank, Command can't be blank, Sequence number can't be blank, "
            "and Secret hex can't be blank",
        ),
        ({"device": " ", "secret": ""}, "Identifier can't be blank and Secret hex can't be blank"),
        ({"device": None}, "Identifier can't be blank"),
        ({"secret": ..., "command": "set_time"}, "Secret hex can't be blank"),
        *(
            ({"command": name, "payload": "x"}, f"Unsupported command {name}")
            for name in (
                *("set_time", "disable", "payg_disable", "unlockinfinite", "free_credit"),
                *("demo_mode", "lock", "add_time"),
            )
        ),
        ({"command": 5}, "Unsupported command 5"),
        ({"payload": ...}, "Payload is invalid"),
        ({"payload": "ten"}, "Payload is invalid"),
        ({"payload": 1.5}, "Payload is invalid"),
        ({"payload": True}, "Payload is invalid"),
        ({"payload": "\u0661"}, "Payload is invalid"),
        ({"payload": [1]}, "Payload is invalid"),
        ({"payload": "-1"}, "Payload must not be negative"),
        ({"payload": -1}, "Payload must not be negative"),
        ({"payload": 238419}, "Payload is too large"),
        ({"payload": "9" * 30}, "Payload is too large"),
        ({"payload": 10**30}, "Payload is too large"),
        ({"sequence_number": "x"}, "Sequence number is invalid"),
        ({"sequence_number": -1}, "Sequence number must not be negative"),
        ({"sequence_number": 2**32}, "Sequence number is too large"),
        ({"secret": "0011zz"}, "Secret hex is invalid"),
        ({"secret": "001"}, "Secret hex is invalid"),
        ({"secret": 12}, "Secret hex is invalid"),
        ({"family": "other"}, "Family is invalid"),
        ({"family": []}, "Family is invalid"),
        ({"family": "openpaygo"}, "Secret hex is invalid"),
        ({"device": ["x"]}, "Identifier is invalid"),
    ],
)
@pytest.mark.parametrize("path", [STATELESS, SOLARIUM])
async def test_status_texts(http: TestClient, path: str, changes: dict[str, object], status: str) -> None:
    assert await ask(http, path, body(**changes)) == (200, {"status": status})


async def test_small_secrets_and_number_zero_are_fine(http: TestClient) -> None:
    status, answer = await ask(http, STATELESS, body(secret="aa", sequence_number="0", device=5))
    assert (status, answer["status"], answer["sequence_number"]) == (200, "ok", 0)


@pytest.mark.parametrize("path", [STATELESS, SOLARIUM, STATEFUL])
@pytest.mark.parametrize("key", [None, "", "wrong", "k" * 5000])
async def test_wrong_key(http: TestClient, path: str, key: str | None) -> None:
    headers = {} if key is None else {"API-KEY": key}
    async with TestClient(http.server) as stranger, stranger.post(path, data=b"{", headers=headers) as answer:
        assert (answer.status, await answer.json()) == (403, {"status": "not authorized"})


@pytest.mark.parametrize("path", ["/", "/api/v1/tokens", "/api/v1/tokens/other/generate"])
async def test_unknown_path_is_an_empty_404(http: TestClient, path: str) -> None:
    async with http.post(path) as answer:
        assert (answer.status, await answer.read()) == (404, b"")


@pytest.mark.parametrize("path", [STATELESS, STATEFUL])
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"device": "\xff"}', 400),
        (b'{"device": "\\ud800"}', 400),
        (b'{"payload": ' + b"1" * 5000 + b"}", 400),
        (b'{"payload": 1e999}', 400),
        (b'{"device": ' + b"[" * 30000 + b"]" * 30000 + b"}", 400),
        (b" " * 65537, 413),
    ],
)
async def test_malformed_bodies(http: TestClient, path: str, data: bytes, status: int) -> None:
    async with http.post(path, data=data) as answer:
        assert answer.status == status
        assert (await answer.json())["status"].startswith("Request is ")


async def test_empty_body_has_no_members(http: TestClient) -> None:
    async with http.post(STATELESS) as answer:
        assert answer.status == 200
        assert (await answer.json())["status"].startswith("Identifier can't be blank, ")
    assert await ask(http, STATEFUL, {}) == (404, {"status": "device not found"})


async def test_stateful_numbers_follow_one_another(http: TestClient) -> None:
    request = {"device": "M/1", "command": "unlock_relative", "payload": 10}
    first = await ask(http, STATEFUL, request)
    assert first == (200, {"status": "ok", "token": "42744349", "sequence_number": 1})
    assert await ask(http, STATEFUL, {**request, "encoding": "numeric"}) == (200, "")
    assert (await ask(http, STATEFUL, request))[1]["sequence_number"] == 2
    assert (await ask(http, STATEFUL, {**request, "sequence_number": 12, "payload": 30}))[1] == {
        "status": "ok",
        "token": "126443881",
        "sequence_number": 12,
    }
    for used in (0, 2, 12, "12"):
        assert await ask(http, STATEFUL, {**request, "sequence_number": used}) == (
            200,
            {"status": "Sequence number already used"},
        )
    assert (await ask(http, STATEFUL, request))[1]["sequence_number"] == 13


async def test_counter_sync_moves_the_registry_on(http: TestClient) -> None:
    sync = {"device": "M/1", "command": "counter_sync", "payload": 100, "sequence_number": 5}
    assert (await ask(http, STATEFUL, sync))[1]["token"] == "3367721144"
    after = await ask(http, STATEFUL, {"device": "M/1", "command": "unlock_relative", "payload": 1})
    assert after[1]["sequence_number"] == 101


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"device": "nobody"}, (404, {"status": "device not found"})),
        ({"device": ...}, (404, {"status": "device not found"})),
        ({"device": "M/1\x00"}, (404, {"status": "device not found"})),
        ({"device": ["M/1"]}, (404, {"status": "device not found"})),
        ({"device": "nobody", "command": "set_time"}, (404, {"status": "device not found"})),
        ({"command": ...}, (200, {"status": "Command can't be blank"})),
        ({"command": "disable"}, (200, {"status": "Unsupported command disable"})),
        ({"payload": -1}, (200, {"status": "Payload must not be negative"})),
        ({"payload": 10**9}, (200, {"status": "Payload is too large"})),
        ({"secret": "xyz"}, (200, {"status": "Secret hex is invalid"})),
        ({"reference": 5}, (200, {"status": "Reference is invalid"})),
        ({"reference": "x" * 201}, (200, {"status": "Reference is invalid"})),
        ({"family": "openpaygo"}, (200, {"status": "Family is invalid"})),
    ],
)
async def test_stateful_refusals_consume_nothing(
    http: TestClient, changes: dict[str, object], expected: tuple[int, object]
) -> None:
    request = body(**{"device": "M/1", "secret": ..., "sequence_number": ...} | changes)
    assert await ask(http, STATEFUL, request) == expected
    good = await ask(http, STATEFUL, {"device": "M/1", "command": "unlock_relative", "payload": 1})
    assert good[1]["sequence_number"] == 1


async def test_same_reference_again_is_the_first_answer(http: TestClient) -> None:
    request = {"device": "M/1", "command": "unlock_relative", "payload": 3, "reference": "order-1"}
    first = await ask(http, STATEFUL, {**request, "encoding": GROUPED})
    assert await ask(http, STATEFUL, {**request, "payload": 9}) == first
    assert (await ask(http, STATEFUL, {**request, "reference": "order-2"}))[1]["sequence_number"] == 2


async def test_openpaygo_counts_go_by_parity(http: TestClient) -> None:
    """Each token is the one that the `openpaygo` package makes of the count before."""
    last = 0
    for command, kind, value in (
        ("unlock_relative", TokenType.ADD_TIME, 30),
        ("add_time", TokenType.ADD_TIME, 30),
        ("set_time", TokenType.SET_TIME, 30),
        ("disable_payg", TokenType.DISABLE_PAYG, None),
        ("add_time", TokenType.ADD_TIME, 30),
        ("counter_sync", TokenType.COUNTER_SYNC, None),
    ):
        last, token = OpenPAYGOTokenEncoder.generate_token(
            OPENPAYGO_SECRET, last, value=value, token_type=kind
        )
        request = {"device": "O/1", "command": command, "payload": 30}
        assert await ask(http, STATEFUL, request) == (
            200,
            {"status": "ok", "token": token, "sequence_number": last},
        )
    assert last == 9


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"command": "add_time", "sequence_number": 12}, {"token": "541074856"}),
        ({"command": "set_time", "payload": 0, "sequence_number": 11}, {"token": "720729826"}),
        ({"command": "add_time", "sequence_number": 11}, "Sequence number must be even and at least 1"),
        ({"command": "set_time", "sequence_number": 12}, "Sequence number must be odd and at least 1"),
        ({"command": "add_time", "sequence_number": 0}, "Sequence number must be even and at least 1"),
        ({"command": "add_time", "sequence_number": 10_002}, "Sequence number is too large: at most 10000"),
        ({"command": "add_time", "payload": 996, "sequence_number": 2}, "Payload is too large"),
        ({"command": "unlock_absolute"}, "Unsupported command unlock_absolute"),
        ({"command": "add_time", "starting_code": 10**9}, "Starting code is invalid"),
        ({"command": "add_time", "encoding": "*+0-9#", "sequence_number": 2}, ""),
    ],
)
async def test_stateless_openpaygo(http: TestClient, changes: dict[str, object], expected: object) -> None:
    given = {"family": "openpaygo", "secret": OPENPAYGO_SECRET, "payload": 30, "sequence_number": 2}
    request = body(**given | changes)
    status, answer = await ask(http, STATELESS, request)
    assert status == 200
    if isinstance(expected, dict):
        assert answer | expected == answer
        assert answer["status"] == "ok"
    else:
        assert answer == (expected and {"status": expected})


async def test_starting_code_of_a_request(http: TestClient) -> None:
    request = body(
        family="openpaygo",
        secret="bc41ec9530f6dac86b1a29ab82edc5fb",
        starting_code="516959010",
        command="add_time",
        payload=1,
        sequence_number=2,
    )
    assert (await ask(http, STATELESS, request))[1]["token"] == "588224011"


async def test_wrong_method(http: TestClient) -> None:
    async with http.get(STATEFUL) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
