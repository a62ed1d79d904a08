"""POST /v1/devices: a provisioned board's keys, once (checklist 62)."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient

from backend.m2m.service import M2mService
from protocols.magicbox import wire

PATH = "/v1/devices"
PASSWORD = "p" * 22
NEW = {"serial": "BOARD/1", "market": "UG", "link_key": "0a" * 32, "password": PASSWORD}


async def ask(http: TestClient, request: object, key: str = "m2m-test-key") -> tuple[int, object]:
    async with http.post(PATH, json=request, headers={"X-API-Key": key}) as answer:
        text = await answer.text()
        assert PASSWORD not in text
        assert "0a0a" not in text
        return answer.status, await answer.json()


async def test_the_same_again_changes_nothing(http: TestClient, service: M2mService, make_device) -> None:
    registered = {"serial": "BOARD/1", "market": "UG", "status": "registered"}
    for _ in range(2):
        assert await ask(http, NEW) == (201, registered)
    assert await asyncio.gather(*(ask(http, NEW) for _ in range(5))) == [(201, registered)] * 5
    assert await service.verify_login("BOARD%2F1", PASSWORD) == "BOARD/1"
    board = make_device("BOARD/1", bytes.fromhex("0a" * 32))
    (answer,) = await service.ingest([("BOARD/1", board.frame(board.status()))])
    assert board.read(answer.down[0])[0] == wire.Ack(1, 1)


@pytest.mark.parametrize("changes", [{"link_key": "0b" * 32}, {"password": "q" * 22}])
async def test_other_values_are_a_conflict(
    http: TestClient, service: M2mService, changes: dict[str, str]
) -> None:
    await ask(http, NEW)
    assert await ask(http, NEW | changes) == (409, {"error": "BOARD/1 is registered with other values"})
    assert await service.verify_login("BOARD%2F1", PASSWORD) == "BOARD/1"


async def test_a_key_is_for_its_markets(http: TestClient, service: M2mService) -> None:
    await service.install_key(key="rw-key", client="rwanda", markets=["RW"])
    await service.install_key(key="all-key", client="operator")
    assert (await ask(http, NEW, "rw-key"))[0] == 403
    created = {"identifier": "BOARD/1", "command": {"name": "sync"}}
    async with http.post("/v1/commands", json=created, headers={"X-API-Key": "rw-key"}) as answer:
        assert answer.status == 201
    assert await ask(http, NEW) == (403, {"error": "The device is in another market"})
    assert await service.verify_login("BOARD%2F1", PASSWORD) is None
    assert (await ask(http, NEW | {"market": "RW"}, "all-key"))[0] == 201


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_wrong_key(http: TestClient, service: M2mService, key: str) -> None:
    assert await ask(http, NEW, key) == (401, {"error": "Unauthorized"})
    assert (await service.audit()).devices == 1


@pytest.mark.parametrize(
    ("request_body", "error"),
    [
        ({}, "Missing parameters: serial, market, link_key, password"),
        (NEW | {"market": ""}, "Missing parameters: market"),
        (NEW | {"serial": 5}, "Invalid parameters: serial"),
        (NEW | {"serial": "x\x00"}, "Invalid parameters: serial"),
        (NEW | {"market": "Uganda"}, "Invalid parameters: market"),
        (NEW | {"market": "+/"}, "Invalid parameters: market"),
        (NEW | {"link_key": "0a" * 15}, "Invalid parameters: link_key"),
        (NEW | {"link_key": "0a" * 65}, "Invalid parameters: link_key"),
        (NEW | {"link_key": "0a " * 32}, "Invalid parameters: link_key"),
        (NEW | {"link_key": "z" * 64, "password": "short"}, "Invalid parameters: link_key, password"),
        (NEW | {"password": ["p"]}, "Invalid parameters: password"),
        ([], "Invalid JSON"),
    ],
)
async def test_bad_requests_change_nothing(
    http: TestClient, service: M2mService, request_body: object, error: str
) -> None:
    assert await ask(http, request_body) == (400, {"error": error})
    assert (await service.audit()).devices == 1
