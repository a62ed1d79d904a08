"""Every route of all seven services and eight sandboxes under every bad request of bad.py.

The answer is an error in the application's own documented shape, never a defect or a broken connection, and a
refused request changes nothing. What fits a schema by chance may be answered otherwise, as the document says.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import structlog.testing
from aiohttp.test_utils import TestServer
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import MetaData, select

from backend.kit.database import Database
from simulator.sandboxes import SANDBOXES
from tests.wire.bad import HTTP, LIMIT, Bad, bad, no_http, well
from tests.wire.every import SERVICES, Application, every
from tests.wire.good import DESCRIPTION, Good, routes
from tests.wire.goods import goods
from tests.wire.raw import Answer, Connection, Request

NAMES = (*SERVICES, *(f"sandbox/{name}" for name in SANDBOXES))
LIMITS = {  # bytes, of what takes more than the others
    "/v1/imports/accounts": 32 * 1024 * 1024,
    "/v1/imports/devices": 32 * 1024 * 1024,
    "/v1/firmware/{file}": 4 * 1024 * 1024,
    "/hooks/infobip/dlr/{secret}": 256 * 1024,
    "/hooks/infobip/inbound/{secret}": 256 * 1024,
}
# The errors of each application, by the members that one of them has; none: text, or nothing at all.
SHAPES: dict[str, tuple[set[str], ...]] = {
    "solarium": ({"errors"}, {"error", "error_description"}, {"Message"}, set()),
    "momo": ({"errors"}, {"error", "message"}, {"status"}, set()),
    "mese": (set(),),
    "mega": ({"error", "message", "details"},),
    "moto": ({"status"}, set()),
    "m2m": ({"error"},),
    "hub": ({"errors"}, {"error"}, {"error", "message", "details"}, set()),
    "sandbox/daraja": ({"requestId", "errorCode", "errorMessage"},),
    "sandbox/mtn": ({"code", "message"}, {"statusCode", "message"}, {"error"}),
    "sandbox/airtel": ({"status"}, {"error", "error_description"}),
    "sandbox/equity": ({"status", "code", "message"},),
    "sandbox/halopesa": ({"success", "message", "statusCode"},),
    "sandbox/africastalking": (set(),),
    "sandbox/infobip": ({"errorCode", "description"}, {"requestError"}),
    "sandbox/pindo": ({"message"},),
}
# Tables that a refused request may change, because to keep it is the point.
KEPT = {
    "attempts",  # moto: a row for every attempt to get a token
    "callbacks",  # momo: a provider's callback is stored before it is answered
}
# Providers answer 5xx by contract (Daraja a wrong password, MTN a wrong currency); a defect is in the log.
MAY_FAIL = tuple(f"sandbox/{name}" for name in SANDBOXES)


@dataclass
class Judge:
    """Says what is wrong with answers; `wrong` collects it."""

    application: Application
    operations: dict[tuple[str, str], Any]
    components: Any
    wrong: list[str] = field(default_factory=list)
    validators: dict[str, Any] = field(default_factory=dict)

    def look(self, good: Good, asked: Bad, answer: Answer) -> None:
        """Judge one answer."""
        said = self._fault(good, asked, answer)
        if said is not None:
            where = f"{self.application.name} {good.method} {good.path}, {asked.label}"
            self.wrong.append(f"{where}: {answer.status} {answer.body[:150]!r}: {said}")

    def _fault(self, good: Good, asked: Bad, answer: Answer) -> str | None:
        if asked.label.startswith(HTTP) and answer.status in (400, 404, 405, 414, 417, 431):
            return None
        told = self._told(good, asked)
        if answer.status >= 500 and self.application.name not in MAY_FAIL:
            return None if answer.status == 503 and "503" in told else "a server's error"
        if asked.request.method == b"HEAD":
            return None
        if str(answer.status) in told:
            return self._unlike(told[str(answer.status)], answer)
        if 200 <= answer.status < 400:
            return None if self.application.name in MAY_FAIL else "not in the document"
        return self._shapeless(answer)

    def _told(self, good: Good, asked: Bad) -> Any:
        route = (asked.request.method.decode("latin-1"), good.path)
        return self.operations.get(route, {"responses": {}})["responses"]

    def _unlike(self, told: Any, answer: Answer) -> str | None:
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if not answer.body:
            return None if "content" not in told or "x-may-be-empty" in told else "no body"
        if kind not in told.get("content", {}):
            return self._shapeless(answer)  # of the router: no such path
        if kind != "application/json":
            return None
        try:
            self._validator(told["content"][kind]["schema"]).validate(msgspec.json.decode(answer.body))
        except jsonschema_rs.ValidationError as error:
            return f"not as documented: {error.message}"
        return None

    def _validator(self, schema: Any) -> Any:
        """Made once for each schema: that takes longer than its use."""
        key = str(schema)
        if key not in self.validators:
            self.validators[key] = jsonschema_rs.validator_for({**schema, "components": self.components})
        return self.validators[key]

    def _shapeless(self, answer: Answer) -> str | None:
        """Whether it has the members of an error of this application."""
        shapes = SHAPES[self.application.name]
        if answer.headers.get("content-type") != "application/json":
            return None if set() in shapes else "no JSON"
        try:
            given = set(msgspec.json.decode(answer.body, type=dict[str, object]))
        except msgspec.DecodeError:
            return "no JSON object"
        return None if any(shape and shape <= given for shape in shapes) else "of no documented shape"


@dataclass
class Run:
    """What came of asking one application everything."""

    wrong: list[str]
    defects: list[Any]
    asked: int


async def run(name: str, url: str, *, sql_only: bool) -> Run:
    """Ask everything of one application, or only what may reach its database."""
    asked = 0
    async with AsyncExitStack() as stack:
        logged = stack.enter_context(structlog.testing.capture_logs())
        application = (await stack.enter_async_context(every(url, name)))[name]
        every_good = await goods(application)
        assert {(good.method, good.path) for good in every_good} == {
            route for route in routes(application.app) if route[1] not in DESCRIPTION
        }
        server = await stack.enter_async_context(TestServer(application.app))
        connection = Connection("127.0.0.1", server.port or 0)
        stack.push_async_callback(connection.close)
        judge = await _judge(application, connection)
        tables = MetaData()
        await application.database.read(tables.reflect)
        for good in every_good:
            wrongs = list(bad(good, limit=LIMITS.get(good.path, LIMIT), sql_only=sql_only))
            if good is every_good[-1] and not sql_only:
                wrongs += no_http(next((each for each in every_good if each.kind), good))
            asked += len(wrongs)
            await connection.ask(well(good))
            before = await rows(application.database, tables)
            refused = [each for each in wrongs if await _is_refused(judge, good, each, connection)]
            if await rows(application.database, tables) != before:
                judge.wrong += await _changing(application, tables, good, refused, connection)
    return Run(judge.wrong, [entry for entry in logged if entry.get("event") == "http.defect"], asked)


async def _judge(application: Application, connection: Connection) -> Judge:
    answer = await connection.ask(Request(b"GET", b"/openapi.json"))
    if answer.status != 200:
        return Judge(application, {}, {})
    document = msgspec.json.decode(answer.body)
    operations = {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    return Judge(application, operations, document["components"])


async def _is_refused(judge: Judge, good: Good, asked: Bad, connection: Connection) -> bool:
    try:
        answer = await connection.ask(asked.request)
    except (ConnectionError, asyncio.IncompleteReadError, TimeoutError) as error:
        judge.wrong.append(f"{judge.application.name} {good.method} {good.path}, {asked.label}: {error!r}")
        await connection.close()
        return False
    judge.look(good, asked, answer)
    return answer.status >= 400


async def _changing(
    application: Application, tables: MetaData, good: Good, refused: Sequence[Bad], connection: Connection
) -> list[str]:
    """Which of the refused requests change the database when they are asked again."""
    before = await rows(application.database, tables)
    for each in refused:
        await connection.ask(each.request)
    if await rows(application.database, tables) == before:
        return []
    if len(refused) == 1:
        return [
            f"{application.name} {good.method} {good.path}, {refused[0].label}: refused, but it changes rows"
        ]
    middle = len(refused) // 2
    halves = [refused[:middle], refused[middle:]]
    return [line for half in halves for line in await _changing(application, tables, good, half, connection)]


async def rows(database: Database, tables: MetaData) -> dict[str, list[str]]:
    """Every row, when what runs by itself has ended; without those that to keep is the point."""

    def dump(connection: SqlConnection) -> dict[str, list[str]]:
        return {
            name: sorted(str(row) for row in connection.execute(select(table)))
            for name, table in tables.tables.items()
            if name not in KEPT
        }

    before = await database.read(dump)
    for _ in range(50):
        await asyncio.sleep(0.005)
        after = await database.read(dump)
        if after == before:
            break
        before = after
    return before


@pytest.mark.parametrize("name", NAMES)
async def test_bad_requests_get_the_documented_error_and_change_nothing(
    name: str, database_kind: str, database_url: str
) -> None:
    done = await run(name, database_url, sql_only=database_kind == "postgresql")
    assert not done.defects, done.defects[:5]
    assert not done.wrong, f"{len(done.wrong)} of {done.asked}:\n" + "\n".join(done.wrong[:60])
    assert done.asked > 30
