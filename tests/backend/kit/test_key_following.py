"""A running service follows its table of API keys: rotated, revoked, allowed from some networks only."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import MetaData

from backend.kit.database import Database
from backend.kit.errors import BackendError, Unauthorized
from backend.kit.key_table import KeyTable
from backend.kit.keys import MAX_KEY, PAUSE_S, RELOAD_S, WRONG, WRONG_WINDOW_S, ApiKeys
from backend.kit.peers import behind, networks_of, within
from backend.kit.web import application, json_response
from simulator.clock import ManualClock

START_MS = 1_000_000


class Reading:
    """What ApiKeys reads from: counted, and away when it is told so."""

    def __init__(self, database: Database):
        self._database = database
        self.times = 0
        self.is_away = False

    async def read(self, work):
        self.times += 1
        if self.is_away:
            raise BackendError("away")
        return await self._database.read(work)


@pytest.fixture
async def table(database: Database) -> KeyTable:
    """What `payg keys` has in its hands: a process of its own, beside the service."""
    metadata = MetaData()
    table = KeyTable(metadata, b"pepper")
    await database.write(metadata.create_all)
    return table


async def followed(database: Database | Reading, clock: ManualClock) -> ApiKeys:
    keys = ApiKeys(MetaData(), b"pepper")
    await keys.open(database, clock)
    return keys


async def test_a_new_key_is_good_at_its_first_use_in_every_copy(database: Database, table: KeyTable) -> None:
    clock = ManualClock(START_MS)
    copies = [await followed(database, clock) for _ in range(3)]
    await database.write(lambda c: table.install(c, "new", "momo", ["UG"], START_MS))
    for keys in copies:
        assert keys.client_of("new") is None
        await keys.follow("new")
        client = keys.client_of("new")
        assert client is not None
        assert client.markets == ("UG",)


async def test_strangers_share_few_readings(database: Database, table: KeyTable) -> None:
    reading = Reading(database)
    keys = await followed(reading, ManualClock(START_MS))
    before = reading.times
    async with asyncio.timeout(10):
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(keys.follow(f"stranger {n}") for n in range(500)))
        passed_s = asyncio.get_running_loop().time() - started
    assert 1 <= reading.times - before <= 2 + passed_s / PAUSE_S


async def test_a_revoked_key_is_refused_within_seconds(database: Database, table: KeyTable) -> None:
    clock = ManualClock(START_MS)
    await database.write(lambda c: table.install(c, "old", "momo", [], START_MS))
    keys = await followed(database, clock)
    await database.write(lambda c: table.expire(c, [table.hash("old")], START_MS))
    keys._read_at_s -= RELOAD_S  # the time has passed
    await keys.follow("old")
    assert keys.client_of("old") is None


async def test_an_end_that_is_known_needs_no_reading(database: Database, table: KeyTable) -> None:
    clock = ManualClock(START_MS)
    await database.write(lambda c: table.install(c, "old", "momo", [], START_MS))
    await database.write(lambda c: table.expire(c, [table.hash("old")], START_MS + 60_000))
    keys = await followed(database, clock)
    clock.advance(59.999)
    assert keys.client_of("old") is not None
    clock.advance(0.001)
    assert keys.client_of("old") is None


async def test_an_expired_key_of_the_settings_is_not_revived(database: Database, table: KeyTable) -> None:
    clock = ManualClock(START_MS)
    await database.write(lambda c: table.install(c, "old", "momo", [], START_MS))
    await database.write(lambda c: table.expire(c, [table.hash("old")], START_MS))
    assert await database.write(lambda c: table.expire(c, [table.hash("old")], START_MS + 1)) == 0
    keys = await followed(database, clock)
    await keys.add("old", client="momo")  # as every start does
    assert keys.client_of("old") is None


async def test_a_database_that_is_away_costs_no_known_key(database: Database, table: KeyTable) -> None:
    await database.write(lambda c: table.install(c, "good", "momo", [], START_MS))
    reading = Reading(database)
    keys = await followed(reading, ManualClock(START_MS))
    reading.is_away = True
    keys._read_at_s -= RELOAD_S
    await keys.follow("good")
    assert keys.client_of("good") is not None


async def test_checklist_104_a_key_is_good_from_its_networks_only(
    database: Database, table: KeyTable
) -> None:
    await database.write(
        lambda c: table.install(c, "k", "momo", [], START_MS, allowed=["10.1.0.0/16", "2001:db8::/32"])
    )
    keys = await followed(database, ManualClock(START_MS))
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::7", "2001:db8::7%eth0"):
        assert keys.client_of("k", address) is not None
    for address in (None, "", "10.2.0.1", "::1", "no address", "10.1.2.3, 10.2.0.1"):
        assert keys.client_of("k", address) is None


@pytest.mark.parametrize(
    ("headers", "peer"),
    [
        ([], "127.0.0.1"),
        (["192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7, 127.0.0.9"], "192.0.2.7"),
        (["10.1.1.1", "192.0.2.7"], "192.0.2.7"),
        (["10.1.1.1, 192.0.2.7"], "192.0.2.7"),  # what the client itself wrote comes first
        (["nonsense"], "nonsense"),
        ([""], "127.0.0.1"),
    ],
)
async def test_a_trusted_proxy_names_the_peer(headers: list[str], peer: str) -> None:
    assert await _peer(headers, trusted="127.0.0.0/8") == peer


async def test_a_stranger_names_nobody() -> None:
    assert await _peer(["10.1.1.1"], trusted="192.0.2.0/24") == "127.0.0.1"


async def _peer(headers: list[str], *, trusted: str) -> str:
    async def peer(request: web.Request) -> web.Response:
        return web.Response(text=request.remote)

    app = web.Application(middlewares=[behind(networks_of([trusted]))])
    inner = web.Application()
    inner.add_routes([web.get("/", peer)])
    app.add_subapp("/inner", inner)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/inner/", headers=[("X-Forwarded-For", one) for one in headers])
        return await answer.text()


def test_no_address_is_in_no_network() -> None:
    assert not within("10.0.0.1", networks_of([]))
    with pytest.raises(ValueError, match="has host bits set"):
        networks_of(["10.0.0.1/8"])


def application_of(keys: ApiKeys) -> web.Application:
    async def hello(request: web.Request) -> web.Response:
        client = keys.client_of(request.headers.get("X-API-Key"), request.remote)
        if client is None:
            raise Unauthorized("no")
        return json_response({"client": client.name})

    return application(
        [web.get("/", hello)],
        render=lambda error: json_response({"error": error.detail}, status=error.status),
        service="kit",
        keys=keys,
    )


async def test_the_shell_follows_for_a_service(database: Database, table: KeyTable) -> None:
    keys = await followed(database, ManualClock(START_MS))
    async with TestClient(TestServer(application_of(keys))) as http:
        assert (await http.get("/", headers={"X-API-Key": "new"})).status == 401
        await database.write(lambda c: table.install(c, "new", "momo", [], START_MS))
        assert (await http.get("/", headers={"X-API-Key": "new"})).status == 200


async def test_a_revoked_key_behind_a_long_one_is_refused(database: Database, table: KeyTable) -> None:
    """The shell sees one header and the service judges another."""
    await database.write(lambda c: table.install(c, "old", "momo", [], START_MS))
    keys = await followed(database, ManualClock(START_MS))
    async with TestClient(TestServer(application_of(keys))) as http:
        headers = {"API-KEY": "x" * (MAX_KEY + 1), "X-API-Key": "old"}
        assert (await http.get("/", headers=headers)).status == 200
        await database.write(lambda c: table.expire(c, [table.hash("old")], START_MS))
        keys._read_at_s -= RELOAD_S
        assert (await http.get("/", headers=headers)).status == 401


async def test_checklist_101_wrong_keys_are_counted_by_address(database: Database, table: KeyTable) -> None:
    clock = ManualClock(START_MS)
    keys = await followed(database, clock)
    await keys.add("good", client="momo")
    app = application_of(keys)
    app.middlewares.insert(0, behind(networks_of(["127.0.0.0/8"])))

    async with TestClient(TestServer(app)) as http:

        async def ask(key: str, address: str = "203.0.113.7") -> tuple[int, str | None]:
            headers = {"X-API-Key": key, "X-Forwarded-For": address}
            async with http.get("/", headers=headers) as answer:
                return answer.status, answer.headers.get("Retry-After")

        tried = await asyncio.gather(*(ask(f"wrong {number}") for number in range(WRONG + 1)))
        assert sorted(tried) == [*[(401, None)] * WRONG, (429, str(WRONG_WINDOW_S))]
        assert await ask("good") == (200, None)
        assert await ask("wrong", "203.0.113.8") == (401, None)
        async with http.get("/", headers={"X-Forwarded-For": "203.0.113.7"}) as answer:
            assert answer.status == 401  # no key, no guess
        clock.advance(WRONG_WINDOW_S)
        assert await ask("wrong") == (401, None)
        subnet = await asyncio.gather(*(ask("wrong", f"2001:db8::{n + 1:x}") for n in range(WRONG + 1)))
        assert sorted(subnet) == [*[(401, None)] * WRONG, (429, str(WRONG_WINDOW_S))]
