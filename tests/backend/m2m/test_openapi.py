"""m2m keeps its own document: schemathesis asks, a real service answers. Its examples work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from backend.kit.database import open_database
from backend.kit.http import AiohttpClient
from backend.m2m.routes import make_app
from backend.m2m.service import M2mConfig, M2mService
from simulator.clock import ManualClock, SeededEntropy
from tests.backend import contract
from tests.backend.conftest import START_MS
from tests.backend.m2m.conftest import FixedResolver, Phone

KEY = "m2m-test-key"
SERIAL = "SCBLNX/A/BT/240300126005"
LOGIN = "SCBLNX%2FA%2FBT%2F240300126005:device-password"
KNOWN = {
    "identifier": SERIAL,
    "serial": SERIAL,
    "market": "UG",
    "callback_url": "http://127.0.0.1:9/",
    "command": {"name": "sync"},
    "commands": [{"identifier": SERIAL, "command": {"name": "sync"}}],
    "status": "executed",
    "msisdn": "256772100000",
    "reference": None,
    "expires_in_s": None,
}


def app_in(folder: Path) -> contract.App:
    @asynccontextmanager
    async def app() -> AsyncIterator[web.Application]:
        database = open_database(f"sqlite:///{folder}", "m2m")
        http = AiohttpClient()
        config = M2mConfig(
            master_key=bytes(32), webhook_secret=bytes(32), allowed_callback_hosts=frozenset({"127.0.0.1"})
        )
        service = M2mService(
            database=database,
            clock=ManualClock(START_MS),
            entropy=SeededEntropy(3),
            config=config,
            http=http,
            resolver=FixedResolver(),
            sms=Phone(),
        )
        await service.start()
        await service.install_key(key=KEY, client="tester")
        await service.register(serial=SERIAL, market="UG", link_key_hex="ab" * 16, password="device-password")
        yield make_app(service, service.keys)
        await service.stop()
        await http.close()
        await database.close()

    return app


def test_the_service_keeps_its_document(tmp_path: Path) -> None:
    with contract.served(app_in(tmp_path)) as url:
        headers = {"X-API-Key": KEY, "Authorization": contract.basic(LOGIN)}
        contract.run(contract.document_of(url), headers=headers, known=KNOWN)


def test_the_examples_work(tmp_path: Path) -> None:
    (image := tmp_path / "payg-0.2.0-x64.img").write_bytes(bytes(5000))
    with contract.served(app_in(tmp_path)) as url:
        variables = {"KEY": KEY, "LOGIN": LOGIN, "FILE": str(image)}
        contract.curl(url, variables, refused={"POST /v1/dead_letters/{id}/retry": 404})
