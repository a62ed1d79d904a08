"""`payg letters`: an operator sees what never left, mends the cause, and sends it again."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData

from backend.kit.database import open_database
from backend.kit.dispatcher import LATE
from backend.kit.migrations import migrate
from backend.kit.outbox import Leased, Outbox, Outgoing
from tests.backend.served import payg

AT_MS = 1_764_583_800_000


async def undelivered(url: str, service: str, kinds: list[str]) -> None:
    """Of the first kind an order that was given up, one that is tried still, and one that is new."""
    database, outbox = open_database(url, service), Outbox(MetaData())
    await migrate(database, service)

    def put(connection: Connection) -> None:
        rows = [Outgoing(kinds[0], key, {"digits": "123456789"}) for key in ("dead", "late", "new")]
        outbox.put(connection, [*rows, Outgoing(kinds[1], "dead", {})], AT_MS)
        for row in outbox.lease(connection, kinds, 9, AT_MS):
            give_up(connection, row)

    def give_up(connection: Connection, row: Leased) -> None:
        if row.key == "dead":
            outbox.bury(connection, row, "bad_request: no such number")
        elif row.key == "late":
            outbox.again(connection, row, "forbidden: stolen", AT_MS, free=False)
            table = outbox.table
            connection.execute(table.update().where(table.c.key == "late").values(attempts=LATE))

    await database.write(put)
    await database.close()


async def listed(place: list[str], service: str) -> list[tuple[str, ...]]:
    """(id, state, kind, key) of each line; the digits are in none."""
    code, output, _ = await payg("letters", "list", service, *place)
    assert (code, "123456789" in output) == (0, False)
    return [tuple(line.split()[:4]) for line in output.splitlines()]


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> list[str]:
    return ["--data-dir", str(tmp_path), "--database-url", database_url]


async def test_an_operator_sends_dead_letters_again(place: list[str]) -> None:
    await undelivered(place[-1], "solarium", ["send_command", "send_sms"])
    assert await listed(place, "solarium") == [
        ("1", "dead", "send_command", "dead"),
        ("2", "late", "send_command", "late"),
        ("4", "dead", "send_sms", "dead"),
    ]
    for wrong in (["1", "2"], ["99"], []):  # all of them, or none
        code, _, errors = await payg("letters", "retry", "solarium", *wrong, *place)
        assert (code, "payg: " in errors) == (2, True)
    assert (await payg("letters", "retry", "solarium", "1", *place))[:2] == (0, "sent again: 1\n")
    assert [line[0] for line in await listed(place, "solarium")] == ["2", "4"]
    assert (await payg("letters", "retry", "solarium", "--all", *place))[:2] == (0, "sent again: 1\n")
    assert [line[0] for line in await listed(place, "solarium")] == ["2"]


async def test_a_short_message_whose_client_was_told_is_not_sent_again(place: list[str]) -> None:
    await undelivered(place[-1], "mega", ["send", "callback"])
    assert (await payg("letters", "retry", "mega", "--all", *place))[:2] == (0, "sent again: 1\n")
    assert [line[:3] for line in await listed(place, "mega")] == [
        ("1", "dead", "send"),
        ("2", "late", "send"),
    ]
