"""Whose device it is, whether it was reported, and what is noted (checklist 116, ownership.py)."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import Forbidden
from backend.kit.http import AiohttpClient
from backend.moto import ownership
from backend.moto.client import MotoClient
from backend.moto.service import MotoService

STATEFUL = "/api/v1/tokens/generate"
STATELESS = ["/api/v1/tokens/stateless/generate", "/api/v1/tokens/solarium/generate"]
ROUTES = [STATEFUL, *STATELESS]
STATE = "/api/v1/devices/M%2F1/state"
ASKED = {"device": "M/1", "command": "unlock_relative", "payload": 5, "secret": "00112233AABBCC"}
OTHERS = {"API-KEY": "rw-key"}
NOT_AUTHORIZED = (403, {"status": "not authorized"})


@pytest.fixture(autouse=True)
async def rwanda(service: MotoService) -> None:
    await service.install_key(key="rw-key", client="rwanda", markets=["RW"])


async def ask(http: TestClient, method: str, path: str, **given: object) -> tuple[int, dict]:
    async with http.request(method, path, **given) as answer:
        return answer.status, await answer.json()


async def generate(http: TestClient, path: str, number: int, **given: object) -> tuple[int, str]:
    status, answer = await ask(http, "POST", path, json=ASKED | {"sequence_number": number}, **given)
    return status, answer["status"]


async def noted(http: TestClient, **query: str) -> list[tuple[str, str, str, int | None, str]]:
    """Oldest first."""
    _, page = await ask(http, "GET", "/api/v1/attempts", params=query)
    return [
        (row["client"], row["route"], row["command"], row["sequence_number"], row["outcome"])
        for row in page["attempts"][::-1]
    ]


async def test_checklist_116_a_key_gets_tokens_of_its_markets_on_every_route(http: TestClient) -> None:
    for path in ROUTES:
        assert await generate(http, path, 1, headers=OTHERS) == (403, "not authorized")
    for number, path in enumerate(ROUTES, start=1):
        assert await generate(http, path, number) == (200, "ok")
    narrowed = {"headers": {"Payg-Markets": "RW"}}  # the key is of all markets, who calls with it is not
    assert await generate(http, STATEFUL, 9, **narrowed) == (403, "not authorized")


@pytest.mark.parametrize("state", ["stolen", "lost"])
async def test_a_reported_device_gives_no_token_until_it_is_found(http: TestClient, state: str) -> None:
    assert await ask(http, "PUT", STATE, json={"state": state}) == (
        200,
        {"status": "ok", "serial": "M/1", "state": state},
    )
    for path in ROUTES:
        assert await generate(http, path, 1) == (403, f"device is reported {state}")
    await ask(http, "PUT", STATE, json={"state": "active"})
    for number, path in enumerate(ROUTES, start=1):
        assert await generate(http, path, number) == (200, "ok")


async def test_a_refusal_consumes_no_number_and_gives_nothing_again(http: TestClient) -> None:
    """A token that was given before is not given once more while the device is stolen."""
    body = {"device": "M/1", "command": "unlock_relative", "payload": 1, "reference": "order"}
    first = await ask(http, "POST", STATEFUL, json=body)
    await ask(http, "PUT", STATE, json={"state": "stolen"})
    for reference in ("order", "other"):
        status, _ = await ask(http, "POST", STATEFUL, json=body | {"reference": reference})
        assert status == 403
    await ask(http, "PUT", STATE, json={"state": "active"})
    assert await ask(http, "POST", STATEFUL, json=body) == first
    _, other = await ask(http, "POST", STATEFUL, json=body | {"reference": "other"})
    assert other["sequence_number"] == first[1]["sequence_number"] + 1


async def test_an_order_for_a_stolen_device_may_be_asked_again(
    http: TestClient, service: MotoService, http_client: AiohttpClient
) -> None:
    """Forbidden, in the process and over HTTP: not one of the errors for which an order is given up."""
    client = MotoClient(http=http_client, base_url=str(http.make_url("/")), api_key="moto-test-key")
    await ask(http, "PUT", STATE, json={"state": "lost"})
    for each in (service, client):
        with pytest.raises(Forbidden):
            await each.order(device="M/1", command="unlock_relative", payload=1, reference="r")


async def test_every_attempt_is_noted_with_its_outcome(http: TestClient) -> None:
    await generate(http, STATEFUL, 1)
    await generate(http, STATEFUL, 1)
    await generate(http, STATELESS[0], 7)
    await generate(http, STATELESS[1], 8)
    for changes in ({"encoding": "numeric"}, {"command": "disable"}, {"device": None}, {"reference": []}):
        async with http.post(STATEFUL, json=ASKED | {"sequence_number": 9} | changes) as answer:
            await answer.read()
    await generate(http, STATEFUL, 2, headers=OTHERS)
    await ask(http, "PUT", STATE, json={"state": "stolen"})
    await generate(http, STATELESS[0], 3)
    everything = await noted(http)
    assert everything == [
        ("tester", "generate", "unlock_relative", 1, "ok"),
        ("tester", "generate", "unlock_relative", None, "Sequence number already used"),
        ("tester", "stateless", "unlock_relative", 7, "ok"),
        ("tester", "solarium", "unlock_relative", 8, "ok"),
        ("tester", "generate", "unlock_relative", 9, "no such encoding"),
        ("tester", "generate", "disable", None, "Unsupported command disable"),
        ("tester", "generate", "unlock_relative", None, "device not found"),
        ("tester", "generate", "unlock_relative", None, "Reference is invalid"),
        ("rwanda", "generate", "unlock_relative", None, "not authorized"),
        ("tester", "state", "stolen", None, "ok"),
        ("tester", "stateless", "unlock_relative", None, "device is reported stolen"),
    ]
    assert len(await noted(http, device="M/1")) == len(everything) - 1
    assert await noted(http, device="O/1") == []


async def test_attempts_come_in_pages_and_by_market(http: TestClient) -> None:
    for number in range(5):
        await generate(http, STATELESS[0], number)
    _, first = await ask(http, "GET", "/api/v1/attempts", params={"limit": "3"})
    _, last = await ask(http, "GET", "/api/v1/attempts", params={"limit": "3", "before": str(first["next"])})
    assert [row["sequence_number"] for row in first["attempts"] + last["attempts"]] == [4, 3, 2, 1, 0]
    assert last["next"] is None
    _, others = await ask(http, "GET", "/api/v1/attempts", headers=OTHERS)
    assert others == {"attempts": [], "next": None}


async def test_nothing_secret_is_noted(http: TestClient, database: Database) -> None:
    _, given = await ask(http, "POST", STATELESS[0], json=ASKED | {"sequence_number": 1})

    def rows(connection: Connection) -> str:
        return str(connection.exec_driver_sql("SELECT * FROM attempts").all())

    kept = await database.read(rows)
    assert "M/1" in kept
    assert given["token"] not in kept
    assert "00112233" not in kept


async def test_who_may_report(http: TestClient) -> None:
    body = {"json": {"state": "stolen"}}
    assert await ask(http, "PUT", STATE, **body, headers={"API-KEY": "no"}) == NOT_AUTHORIZED
    for serial in ("NOBODY", "%00", "x" * 300):
        answer = await ask(http, "PUT", f"/api/v1/devices/{serial}/state", **body)
        assert answer == (404, {"status": "device not found"})
    for state in ("found", None, ["stolen"], 1):
        status, answer = await ask(http, "PUT", STATE, json={"state": state})
        assert (status, answer["status"]) == (
            400,
            "Request is invalid: state is one of active, stolen, lost",
        )
    assert await generate(http, STATEFUL, 1) == (200, "ok")
    for query in ({"before": "x"}, {"limit": "-1"}):
        assert (await ask(http, "GET", "/api/v1/attempts", params=query))[0] == 400


async def test_many_attempts_at_once_are_all_noted(http: TestClient, service: MotoService) -> None:
    answers = await asyncio.gather(*(generate(http, STATELESS[0], number) for number in range(100)))
    assert answers == [(200, "ok")] * 100
    page = await service.registry.attempts(markets=(), device="M/1", before=None, limit=200)
    assert sorted(row.sequence_number or 0 for row in page.attempts) == list(range(100))


@given(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.integers())
    | st.just("\ud800")
)
def test_anything_can_be_noted(value: object) -> None:
    text = ownership.noted(value)
    assert len(text) <= ownership.MAX_NOTED
    assert "\x00" not in text
    text.encode()


async def test_a_reference_gives_no_token_of_another_market_to_the_clients_other_key(
    http: TestClient, service: MotoService
) -> None:
    """A client's references are one set; each of its keys sees its own markets only."""
    await service.install_key(key="acme-ug", client="acme", markets=["UG"])
    await service.install_key(key="acme-rw", client="acme", markets=["RW"])
    await service.register(
        serial="R/1", secret_hex="00112233AABBCC", family="moto", market="RW", starting_code=None
    )
    body = {"device": "M/1", "command": "unlock_relative", "payload": 1, "reference": "order"}
    first = await ask(http, "POST", STATEFUL, json=body, headers={"API-KEY": "acme-ug"})
    assert first[0] == 200
    for device in ("M/1", "R/1", "nobody"):
        other = await ask(
            http, "POST", STATEFUL, json=body | {"device": device}, headers={"API-KEY": "acme-rw"}
        )
        assert other == NOT_AUTHORIZED
    assert await ask(http, "POST", STATEFUL, json=body, headers={"API-KEY": "acme-ug"}) == first


async def test_operators_of_another_market_are_told_nothing_of_a_device(http: TestClient) -> None:
    unknown = (404, {"status": "device not found"})
    for serial in ("M%2F1", "nobody"):
        path = f"/api/v1/devices/{serial}"
        stolen = await ask(http, "PUT", f"{path}/state", json={"state": "stolen"}, headers=OTHERS)
        assert stolen == await ask(http, "GET", f"{path}/sequence", headers=OTHERS) == unknown
    assert await generate(http, STATEFUL, 1) == (200, "ok")
