"""POST /api/v1/devices: a provisioned board's token secret, once (checklist 94)."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient

from backend.kit.errors import Forbidden, NotFound
from backend.kit.http import AiohttpClient
from backend.moto.client import MotoClient
from backend.moto.service import MotoService

PATH = "/api/v1/devices"
GENERATE = "/api/v1/tokens/generate"
SECRET = "00112233aabbccdd"
NEW = {"serial": "BOARD/1", "market": "UG", "family": "moto", "secret": SECRET}
OPENPAYGO = {
    "serial": "BOARD/2",
    "market": "UG",
    "family": "openpaygo",
    "secret": "dac86b1a29ab82edc5fbbc41ec9530f6",
    "starting_code": 516959010,
    "sequence": 20,
}


async def ask(
    http: TestClient, request: object, *, path: str = PATH, key: str = "moto-test-key"
) -> tuple[int, dict[str, object]]:
    async with http.post(path, json=request, headers={"API-KEY": key}) as answer:
        assert SECRET not in await answer.text()
        return answer.status, await answer.json()


async def number(http: TestClient, device: str) -> object:
    order = {"device": device, "command": "unlock_relative", "payload": 30}
    status, answer = await ask(http, order, path=GENERATE)
    assert (status, answer["status"]) == (200, "ok")
    return answer["sequence_number"]


async def test_the_same_again_changes_nothing(http: TestClient) -> None:
    for expected in (1, 2):
        assert await ask(http, NEW) == (201, {"status": "ok", "serial": "BOARD/1"})
        assert await number(http, "BOARD/1") == expected
    assert {status for status, _ in await asyncio.gather(*(ask(http, NEW) for _ in range(5)))} == {201}


async def test_numbers_go_on_from_what_the_device_has_used(http: TestClient) -> None:
    assert (await ask(http, NEW | {"sequence": 41}))[0] == 201
    assert await number(http, "BOARD/1") == 42
    assert (await ask(http, OPENPAYGO))[0] == 201
    assert await number(http, "BOARD/2") == 22
    assert (await ask(http, OPENPAYGO))[0] == 201, "it is further on by now"


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "00112233aabbccde"},
        {"market": "RW"},
        {"starting_code": 7},
        {"sequence": 1},
        {"family": "openpaygo", "secret": OPENPAYGO["secret"]},
    ],
)
async def test_other_values_are_a_conflict(http: TestClient, changes: dict[str, object]) -> None:
    await ask(http, NEW)
    assert (await ask(http, NEW | changes))[0] == 409
    assert await number(http, "BOARD/1") == 1


async def test_a_key_is_for_its_markets(http: TestClient, service: MotoService) -> None:
    await service.install_key(key="rw-key", client="rwanda", markets=["RW"])
    assert await ask(http, NEW, key="rw-key") == (403, {"status": "not authorized"})
    assert (await ask(http, NEW | {"market": "RW"}, key="rw-key"))[0] == 201
    assert await ask(http, NEW, key="wrong") == (403, {"status": "not authorized"})
    assert (await service.audit()).devices == 3


@pytest.mark.parametrize(
    "request_body",
    [
        {},
        [],
        NEW | {"serial": ""},
        NEW | {"serial": 5},
        NEW | {"serial": "x\x00"},
        NEW | {"market": None},
        NEW | {"market": "Uganda"},
        NEW | {"family": "other"},
        NEW | {"family": ["moto"]},
        NEW | {"secret": "zz"},
        NEW | {"secret": ""},
        NEW | {"secret": "00" * 65},
        NEW | {"sequence": -1},
        NEW | {"sequence": "1"},
        NEW | {"sequence": True},
        NEW | {"sequence": 2**32},
        OPENPAYGO | {"secret": SECRET},
        OPENPAYGO | {"sequence": 10_001},
        OPENPAYGO | {"starting_code": -1},
        OPENPAYGO | {"starting_code": 10**12},
        OPENPAYGO | {"starting_code": 1.5},
    ],
)
async def test_bad_requests_change_nothing(
    http: TestClient, service: MotoService, request_body: object
) -> None:
    status, answer = await ask(http, request_body)
    assert (status, list(answer)) == (400, ["status"])
    assert (await service.audit()).devices == 2


async def test_m2m_asks_for_the_last_number_of_a_device(
    http: TestClient, service: MotoService, http_client: AiohttpClient
) -> None:
    def client(key: str) -> MotoClient:
        return MotoClient(http=http_client, base_url=str(http.make_url("")), api_key=key)

    assert (await ask(http, OPENPAYGO))[0] == 201
    assert await client("moto-test-key").last_sequence("BOARD/2") == 20
    given = await number(http, "BOARD/2")
    assert await client("moto-test-key").last_sequence("BOARD/2") == given
    with pytest.raises(NotFound):
        await client("moto-test-key").last_sequence("BOARD/3")
    await service.install_key(key="rwanda-key", client="rwanda", markets=["RW"])
    with pytest.raises(NotFound):  # as one that is nowhere (checklist 116)
        await client("rwanda-key").last_sequence("BOARD/2")
    with pytest.raises(Forbidden):
        await client("wrong").last_sequence("BOARD/2")
