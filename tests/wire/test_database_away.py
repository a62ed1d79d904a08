"""Every route of every service while the database is away: what it answers is in its document (503)."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
from aiohttp.test_utils import TestServer

from backend.kit.errors import DatabaseAway
from backend.kit.sqlite import SqliteDatabase
from tests.wire.bad import well
from tests.wire.every import SERVICES, every
from tests.wire.goods import goods
from tests.wire.raw import Connection, Request


class Switch:
    """Every database, here or away."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.is_away = False
        for name in ("read", "write"):
            patch.setattr(SqliteDatabase, name, self._switched(getattr(SqliteDatabase, name)))

    def _switched(self, method: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def switched(database: object, work: object) -> object:
            if self.is_away:
                raise DatabaseAway("the server does not answer")
            return await method(database, work)

        return switched


@pytest.mark.parametrize("name", SERVICES)
async def test_what_is_answered_without_a_database_is_documented(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = Switch(monkeypatch)
    async with AsyncExitStack() as stack:
        application = (await stack.enter_async_context(every(f"sqlite:///{tmp_path}", name)))[name]
        asked = await goods(application)
        server = await stack.enter_async_context(TestServer(application.app))
        connection = Connection("127.0.0.1", server.port or 0)
        stack.push_async_callback(connection.close)
        document = msgspec.json.decode((await connection.ask(Request(b"GET", b"/openapi.json"))).body)
        wrong, refused = [], 0
        switch.is_away = True
        for good in asked:
            answer = await connection.ask(well(good))
            told = document["paths"][good.path][good.method.lower()]["responses"].get(str(answer.status))
            refused += answer.status == 503
            if told is None or bool(answer.body) != ("content" in told):
                wrong.append((good.method, good.path, answer.status, answer.body[:100]))
            elif "application/json" in told.get("content", {}):
                schema = {
                    **told["content"]["application/json"]["schema"],
                    "components": document["components"],
                }
                jsonschema_rs.validate(schema, msgspec.json.decode(answer.body))
        switch.is_away = False
    assert not wrong, "\n".join(map(str, wrong))
    assert refused > len(asked) // 2
