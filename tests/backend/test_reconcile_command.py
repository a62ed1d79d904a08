"""`payg reconcile` against a running momo: what it prints, its exit codes, where it finds address and key."""

import asyncio
import io
import json

import pytest
from aiohttp.test_utils import TestServer

from backend.commands.reconcile import run
from backend.commands.remote import CommandError
from backend.kit.database import open_database
from backend.kit.errors import Unavailable
from backend.kit.runtime import iso
from backend.momo.ports import StatementLine
from backend.momo.routes import make_app
from simulator.clock import ManualClock
from tests.backend.conftest import START_MS
from tests.backend.momo.conftest import BillingFake, make_momo, running
from tests.backend.momo.provider import ProviderFake

DAY_S = 86_400


@pytest.fixture
def billing():
    return BillingFake()


class Provider(ProviderFake):
    away = False

    async def statement(self, first_ms, last_ms):
        if self.away:
            raise Unavailable("it does not answer")
        return await super().statement(first_ms, last_ms)


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
async def server(database_url, clock, entropy, billing, provider):
    database = open_database(database_url, "momo")
    provider.lines = [
        StatementLine("TX9", 100_00, "KES", paid_at_ms=START_MS, reference="254543"),
        StatementLine("TX8", 250_50, "KES", paid_at_ms=START_MS, reference="254543"),
    ]
    momo = make_momo(
        database=database,
        clock=clock,
        entropy=entropy,
        billing=billing,
        providers={"ke_safaricom_mpesa": provider, "ke_equity_eazzypay": provider},
        statements={"ke_safaricom_mpesa": provider},
    )
    async with running(momo), TestServer(make_app(momo, momo.keys)) as server:
        yield server
    await database.close()


async def command(tmp_path, clock, url, providers=(), day=None):
    """In a thread of its own, as it runs its own loop."""
    out = io.StringIO()
    code = await asyncio.to_thread(
        run, providers, day, settle=True, data_dir=tmp_path, url=url, clock=clock, stdout=out
    )
    return code, out.getvalue()


async def test_differences_are_printed_and_the_exit_code_tells(server, tmp_path, clock, monkeypatch):
    monkeypatch.setenv("PAYG_MOMO_API_KEY", "key")
    clock.advance(DAY_S)
    code, out = await command(tmp_path, clock, str(server.make_url("")))
    day = iso(START_MS)[:10]
    assert code == 1
    assert f"ke_equity_eazzypay {day}: 0 of 0 matched (by status)" in out
    assert f"ke_safaricom_mpesa {day}: 0 of 2 matched (by statement); 2 differences, 2 of them new" in out
    assert "    TX8  KES 250.50\n" in out
    code, out = await command(tmp_path, clock, str(server.make_url("")), ["ke_equity_eazzypay"])
    assert (code, out.count("\n")) == (0, 1)


async def test_one_that_cannot_be_reconciled_is_exit_code_2(server, provider, tmp_path, clock, monkeypatch):
    monkeypatch.setenv("PAYG_MOMO_API_KEY", "key")
    provider.away = True
    clock.advance(DAY_S)
    code, out = await command(tmp_path, clock, str(server.make_url("")))
    assert (code, out.count("\n")) == (2, 2)
    assert f"ke_safaricom_mpesa {iso(START_MS)[:10]}: not reconciled: momo answered HTTP 503" in out


async def test_address_and_key_come_from_the_data_dir_of_payg_up(server, tmp_path, clock):
    http = str(server.make_url("")).rstrip("/")
    known = {"http": http, "momo": {"api_key": "key"}}
    (tmp_path / "credentials.json").write_text(json.dumps(known))
    with pytest.raises(CommandError, match="HTTP 404"):  # this one is at the root, not under /momo
        await command(tmp_path, clock, None)
    (tmp_path / "secrets.json").write_text(json.dumps({"momo_api_key": "key"}))
    assert (await command(tmp_path, clock, http, ["ke_equity_eazzypay"]))[0] == 0


def test_without_a_key_or_a_service_it_says_what_to_do(tmp_path):
    def call(url):
        clock = ManualClock(START_MS)
        return run((), None, settle=True, data_dir=tmp_path, url=url, clock=clock, stdout=io.StringIO())

    with pytest.raises(CommandError, match="PAYG_MOMO_API_KEY"):
        call(None)
    (tmp_path / "secrets.json").write_text(json.dumps({"momo_api_key": "key"}))
    with pytest.raises(CommandError, match="is it running"):
        call("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ({"day": "soon"}, "--day: 'soon' is no date; write it like 20"),
        ({"day": "2999-01-01"}, "--day: 2999-01-01 has not begun; the last whole day is 20"),
        ({"providers": ["visa"]}, "--provider: visa is none of ke_equity_eazzypay, ke_safaricom_mpesa"),
    ],
)
async def test_a_wrong_day_or_provider_is_one_line(server, tmp_path, clock, named, says):
    (tmp_path / "secrets.json").write_text('{"momo_api_key": "key"}')
    with pytest.raises(CommandError, match=says):
        await command(tmp_path, clock, str(server.make_url("/")), **named)
