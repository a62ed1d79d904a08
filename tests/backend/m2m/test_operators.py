"""What operators see of commands and create at once: lists, bulks, and whose they are."""

import pytest
from aiohttp.test_utils import TestClient

from backend.m2m.service import M2mService
from tests.backend.m2m.operators import NO_COMMAND, SERIAL, UNLOCK, ask, create


async def test_a_created_command_can_be_had_as_it_is_shown(http: TestClient) -> None:
    body = {"identifier": SERIAL, "command": UNLOCK}
    async with http.post("/v1/commands", json=body, headers={"Prefer": "return=representation"}) as answer:
        assert answer.status == 201
        assert await answer.json() == {
            "id": 1,
            "identifier": SERIAL,
            "command": "TOKEN: 123456789",
            "status": "created",
            "created_at": "2025-12-01T10:10:00Z",
            "expires_at": "2025-12-31T10:10:00Z",
            "callback": "none",
        }


async def test_pages(http: TestClient) -> None:
    numbers = [await create(http) for _ in range(5)]
    other = await create(http, identifier="OTHER")
    await ask(http, "POST", f"/v1/commands/{numbers[0]}/cancel")
    found: list[int] = []
    before = ""
    while True:
        _, page = await ask(
            http, "GET", "/v1/commands", params={"limit": "2", "identifier": SERIAL} | before_of(before)
        )
        found += [view["id"] for view in page["commands"]]
        if page["next"] is None:
            break
        before = str(page["next"])
    assert found == numbers[::-1]
    _, page = await ask(http, "GET", "/v1/commands", params={"status": "cancelled"})
    assert [view["id"] for view in page["commands"]] == [numbers[0]]
    _, page = await ask(http, "GET", "/v1/commands", params={"identifier": "OTHER"})
    assert [(view["id"], view["command"]) for view in page["commands"]] == [(other, "TOKEN: 123456789")]


def before_of(before: str) -> dict[str, str]:
    return {"before": before} if before else {}


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"limit": "0"}, "Invalid parameters: limit"),
        ({"limit": "201"}, "Invalid parameters: limit"),
        ({"limit": "x"}, "Invalid parameters: limit"),
        ({"before": "-1"}, "Invalid parameters: before"),
        ({"before": "9" * 19}, "Invalid parameters: before"),
        ({"identifier": "a\x00"}, "Invalid parameters: identifier"),
        ({"status": "lost"}, "A status is one of created, sent, replied, expired, cancelled"),
    ],
)
async def test_bad_queries(http: TestClient, query: dict[str, str], error: str) -> None:
    assert await ask(http, "GET", "/v1/commands", params=query) == (400, {"error": error})


@pytest.mark.parametrize("number", ["0", "77", "x", "9" * 30, "%00"])
async def test_commands_that_are_none(http: TestClient, number: str) -> None:
    assert await ask(http, "GET", f"/v1/commands/{number}") == NO_COMMAND
    assert await ask(http, "POST", f"/v1/commands/{number}/cancel") == NO_COMMAND
    assert await ask(http, "POST", f"/v1/dead_letters/{number}/retry") == NO_COMMAND


async def test_checklist_116_a_key_sees_and_changes_its_markets_only(
    http: TestClient, service: M2mService
) -> None:
    await service.install_key(key="rw-key", client="rwanda", markets=["RW"])
    await service.install_key(key="all-key", client="everywhere")
    number = await create(http)
    stranger = {"X-API-Key": "rw-key"}
    for method, path in (
        ("GET", f"/v1/commands/{number}"),
        *(("POST", f"/v1/commands/{number}/{verb}") for verb in ("cancel", "retry")),
        ("GET", "/v1/devices/SCBLNX%2FA%2FBT%2F240300126005/statuses"),
    ):
        assert await ask(http, method, path, headers=stranger) == NO_COMMAND
    report = {"headers": stranger, "json": {"status": "executed"}}
    assert await ask(http, "POST", f"/v1/commands/{number}/report", **report) == NO_COMMAND
    assert (await ask(http, "GET", "/v1/commands", headers=stranger))[1]["commands"] == []
    assert (await service.audit()).commands == {"created": 1}
    everywhere = {"X-API-Key": "all-key"}
    for markets, status in (("UG", 200), ("RW, UG", 200), ("RW", 404), ("", 403)):
        asked = everywhere | {"Payg-Markets": markets}
        assert (await ask(http, "GET", f"/v1/commands/{number}", headers=asked))[0] == status
    widened = stranger | {"Payg-Markets": "UG"}
    assert (await ask(http, "GET", f"/v1/commands/{number}", headers=widened))[0] == 403


async def test_operators_need_a_key(http: TestClient) -> None:
    for method, path in (
        *(("GET", path) for path in ("/v1/commands", "/v1/commands/1", "/v1/dead_letters")),
        *(("POST", f"/v1/commands/1/{verb}") for verb in ("cancel", "retry", "report")),
        *(("POST", path) for path in ("/v1/commands/bulk", "/v1/dead_letters/1/retry")),
        *(("GET", f"/v1/devices/D/{what}") for what in ("statuses", "logs")),
    ):
        answer = await ask(http, method, path, headers={"X-API-Key": "wrong"})
        assert answer == (401, {"error": "Unauthorized"})


# Many at once


async def test_bulk_commands_are_decided_one_by_one(http: TestClient, service: M2mService) -> None:
    commands = [
        {"identifier": "A", "command": UNLOCK, "reference": "a"},
        {"identifier": "B", "command": {"name": "dance"}},
        {"identifier": "A", "command": {"name": "sync"}, "reference": "a"},
        {"identifier": "C", "command": {"name": "sync"}, "callback_url": "http://inside.example/x"},
        {"identifier": {"kind": "imei", "value": "123"}, "command": {"name": "sync"}},
    ]
    status, answer = await ask(http, "POST", "/v1/commands/bulk", json={"commands": commands})
    assert (status, answer["created"], answer["refused"]) == (207, 3, 2)
    first, second, third, fourth, fifth = answer["commands"]
    assert first == third == {"identifier": "A", "command": "TOKEN: 123456789", "status": "waiting", "id": 1}
    assert second == {"error": "Unsupported command: dance"}
    assert fourth == {"error": "Callback URL is not allowed: it leads to a private address"}
    assert (fifth["identifier"], fifth["command"]) == ("123", "SYNC")
    assert (await service.audit()).commands == {"created": 2}


@pytest.mark.parametrize("size", [0, 501])
async def test_bulks_that_are_too_small_or_large(http: TestClient, size: int) -> None:
    body = {"commands": [{"identifier": "A"}] * size}
    assert await ask(http, "POST", "/v1/commands/bulk", json=body) == (
        400,
        {"error": "A bulk has 1 to 500 commands"},
    )
