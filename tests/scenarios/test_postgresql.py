"""From money to light on PostgreSQL: processes are killed, the server is; copies of a service share one."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from tests.postgresql import Databases, Server
from tests.scenarios.up_process import PAYG, START_S, Gone, Up, running, token_in

DAYS = 4
DAY_S = 86_400
SETTLE_S = 40.0


@pytest.fixture
def url(own_server: Server) -> Iterator[str]:
    """A database of its own, without any schema."""
    databases = Databases(own_server.url)
    made = databases.create(empty=True)
    yield made
    databases.drop(made)


async def value(url: str, query: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


async def test_killed_between_booking_and_command_it_goes_on(tmp_path: Path, url: str) -> None:
    up = Up(tmp_path / "data")
    await up.start("--database-url", url, env={"PAYG_UP_DIE_AT": "commands.create:before"})
    try:
        with contextlib.suppress(Gone):
            await up.pay(up.credentials["devices"][0], DAYS, "first")
        async with asyncio.timeout(20):
            while up.alive:
                await asyncio.sleep(0.02)
        assert await value(url, "SELECT count(*) FROM solarium.outbox WHERE attempts > 0") > 0, (
            "in dead hands"
        )
        await up.start("--database-url", url)
        await is_lit_once(up)
        assert not list(up.data_dir.glob("*.db")), "nothing is kept in files besides"
        assert await up.terminate() == 0, up.log()[-4000:]
    finally:
        await up.kill()


async def test_a_server_that_goes_away_and_comes_back(tmp_path: Path, own_server: Server, url: str) -> None:
    async with running(tmp_path / "data", "--database-url", url) as up:
        own_server.kill()
        key = {"API-KEY": up.credentials["solarium"]["api_key"]}
        question = {
            "reference": up.credentials["devices"][0]["account_reference"],
            "currency": "UGX",
            "business_account": "600100",
            "provider_key": "ug_mtn_mobilemoney",
        }
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                up.credentials["http"] + "/solarium/validate_payment", headers=key, json=question
            ) as answer,
        ):
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        own_server.start()
        await up.pay(up.credentials["devices"][0], DAYS, "first")
        await is_lit_once(up)
        assert await up.terminate() == 0, up.log()[-4000:]


async def is_lit_once(up: Up) -> None:
    """What was paid has arrived, once."""
    device = up.credentials["devices"][0]
    lit = await up.wait_for_light(device["serial"], timeout_s=SETTLE_S)
    assert (DAYS - 1) * DAY_S < lit["credit_s"] <= DAYS * DAY_S
    texts = await up.wait_for_sms(device["msisdn"], timeout_s=SETTLE_S)
    assert len({token_in(text) for text in texts}) == 1
    again = await up.type_keys(device["serial"], token_in(texts[0]))
    assert (again["result"], again["credit_s"] <= DAYS * DAY_S) == ("already_used", True)


@asynccontextmanager
async def served(data_dir: Path, url: str) -> AsyncIterator[str]:
    """`payg serve moto` as a process; its address."""
    arguments = ("serve", "moto", "--port", "0", "--data-dir", str(data_dir), "--database-url", url)
    process = await asyncio.create_subprocess_exec(str(PAYG), *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            while b" listens on " not in (line := await process.stdout.readline()):
                assert line, "it ended"
        yield line.decode().split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_two_copies_of_a_service_start_together_and_share_a_database(tmp_path: Path, url: str) -> None:
    async with (
        served(tmp_path, url) as first,
        served(tmp_path, url) as second,
        aiohttp.ClientSession() as session,
    ):
        secrets = json.loads((tmp_path / "secrets.json").read_text())
        headers = {"API-KEY": secrets["moto_api_key"]}
        device = {"serial": "M/1", "secret": "00112233AABBCC", "family": "moto", "market": "UG"}
        async with session.post(first + "/api/v1/devices", headers=headers, json=device) as answer:
            assert answer.status in (200, 201), await answer.text()
        wanted = {"device": "M/1", "command": "unlock_relative", "payload": 1}

        async def token(base: str) -> int:
            path = "/api/v1/tokens/generate"
            async with session.post(base + path, headers=headers, json=wanted) as answer:
                return json.loads(await answer.text())["sequence_number"]

        numbers = await asyncio.gather(*(token((first, second)[n % 2]) for n in range(40)))
        assert sorted(numbers) == list(range(min(numbers), min(numbers) + 40))


@pytest.mark.parametrize("command", ["serve", "up"])
async def test_no_server_at_the_start_is_told(command: str, tmp_path: Path) -> None:
    nowhere = "postgresql://payg:hunter2@127.0.0.1:1/payg"
    ports = ("--http-port", "0", "--mqtt-port", "0", "--ws-port", "0")
    service = ("moto", "--port", "0") if command == "serve" else ports
    process = await asyncio.create_subprocess_exec(
        *(str(PAYG), command, *service, "--data-dir", str(tmp_path), "--database-url", nowhere),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(START_S):
        _, told = await process.communicate()
    last = told.decode().splitlines()[-1]
    assert process.returncode == 2
    assert last.startswith("payg: --database-url: no database answers there: ")
    assert "refused" in last
    assert "hunter2" not in told.decode()
