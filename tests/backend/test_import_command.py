"""`payg import` against a running solarium: errors by line, waiting for the other services, exit codes."""

import asyncio
import io

import pytest
from aiohttp.test_utils import TestServer

from backend.commands.imports import run
from backend.commands.remote import CommandError
from backend.kit.database import open_database
from backend.kit.errors import CannotStart, Conflict
from backend.solarium.operator_routes import MAX_FILE
from backend.solarium.routes import make_app
from tests.backend.solarium.fakes import API_KEY, FakePartners, make_service

HEADING = "serial;market;secret;link_key;password\n"
ROW = f"D1;UG;{'ab' * 16};{'cd' * 16};{'p' * 22}\n"


@pytest.fixture
def partners():
    return FakePartners()


@pytest.fixture
async def url(database_url, clock, entropy, partners, monkeypatch):
    database = open_database(database_url, "solarium")
    solarium = make_service(database, clock, entropy, partners)
    await solarium.start()
    await solarium.install_key(API_KEY, client="operator")
    monkeypatch.setenv("PAYG_SOLARIUM_API_KEY", API_KEY)
    async with TestServer(make_app(solarium, solarium.keys)) as server:
        yield str(server.make_url(""))
    await solarium.stop()
    await database.close()


async def command(tmp_path, url, content, *, kind="devices", dry_run=False):
    file = tmp_path / "shipment.csv"
    file.write_text(content)
    out = io.StringIO()
    code = await asyncio.to_thread(run, kind, file, dry_run=dry_run, data_dir=tmp_path, url=url, stdout=out)
    return code, out.getvalue()


async def test_a_shipment_is_checked_and_then_loaded(tmp_path, url, partners):
    code, out = await command(tmp_path, url, HEADING + ROW, dry_run=True)
    assert (code, out) == (
        0,
        "1 rows can be read, 0 imported, 0 here already, 0 errors; a dry run, nothing is written\n",
    )
    assert partners.registered == {}
    code, out = await command(tmp_path, url, HEADING + ROW)
    assert code == 0
    assert out.endswith("devices by state: 1 in_stock\n")
    assert set(partners.devices.keys) == {"D1"}


async def test_errors_are_lines_of_the_file(tmp_path, url):
    code, out = await command(tmp_path, url, HEADING + ROW + ROW + "D2;UG;zz;;\n")
    assert code == 1
    assert "shipment.csv:3: serial is twice in this file; delete one of the rows\n" in out
    assert "shipment.csv:4: secret is the token secret in hex" in out
    code, out = await command(tmp_path, url, "reference\n1\n", kind="accounts")
    assert code == 1
    assert "shipment.csv:1: business_account is a column that is missing" in out


async def test_the_authority_of_the_settings_is_what_it_trusts(tmp_path, url, monkeypatch):
    monkeypatch.setenv("PAYG_TLS_CA", str(tmp_path / "no_authority.pem"))
    with pytest.raises(CannotStart, match="PAYG_TLS_CA"):
        await command(tmp_path, url, HEADING + ROW)


async def test_devices_that_a_service_refuses_are_exit_code_1(tmp_path, url, partners):
    partners.devices.failing = [Conflict("other values")]
    code, out = await command(tmp_path, url, HEADING + ROW)
    assert code == 1
    assert "devices by state: 1 refused\n" in out


async def test_a_file_that_is_too_large_is_not_sent(tmp_path, url):
    with pytest.raises(CommandError, match="split it"):
        await command(tmp_path, url, "x" * (MAX_FILE + 1))
