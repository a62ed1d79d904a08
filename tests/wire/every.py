"""All seven services and all eight sandboxes in one process, on databases of their own: what payg up serves.

`every(url)` builds and starts them, as simulator/world.py does, with a clock that stands still and an HTTP
port that reaches nobody.
"""

import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

from aiohttp import web

from backend import build
from backend.build import Site
from backend.hub.routes import make_app as hub_app
from backend.hub.service import Partners as HubPartners
from backend.kit import rsa
from backend.kit.database import Database, open_database
from backend.kit.http import HttpAnswer, Unreachable
from backend.m2m.partner import Partner as M2mPartner
from backend.m2m.routes import make_app as m2m_app
from backend.mega.desk import Partners as MegaPartners
from backend.mega.routes import make_app as mega_app
from backend.mese.routes import make_app as mese_app
from backend.momo.routes import make_app as momo_app
from backend.moto.partner import Partner as MotoPartner
from backend.moto.routes import make_app as moto_app
from backend.solarium.orders import Partners
from backend.solarium.routes import make_app as solarium_app
from simulator.clock import ManualClock, SeededEntropy
from simulator.development import device_seeds, install
from simulator.sandboxes import SANDBOXES, Bench, build_sandbox
from tests.backend.conftest import START_MS

SEED = device_seeds(1, bytes(32))[0]
SERVICES = ("solarium", "momo", "mese", "mega", "moto", "m2m", "hub")
CLIENT = ("development", "secret-of-a-client")


class Nobody:
    """An HTTP port that reaches nobody, and a resolver that knows every name."""

    async def request(
        self, method: str, url: str, *, headers: object = None, body: bytes = b"", timeout_s: float = 10.0
    ) -> HttpAnswer:
        raise Unreachable("no connection")

    async def resolve(self, host: str) -> list[str]:
        return ["127.0.0.1"]


@dataclass(frozen=True)
class Application:
    """One of them: where it is served, its application, its database, good credentials in headers."""

    name: str
    app: web.Application
    database: Database
    credentials: dict[str, object]


def secret(name: str) -> str:
    """A secret by its name, the same in every run."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


@cache
def rsa_key(_: str) -> str:
    """One for all: making one takes a second."""
    return rsa.new_key()


@asynccontextmanager
async def every(url: str, only: str | None = None) -> AsyncIterator[dict[str, Application]]:
    """All of them by name, started. `only` one: just a sandbox, or the services that one stands on."""
    databases: dict[str, Database] = {}

    def database(name: str) -> Database:
        return databases.setdefault(name, open_database(url, name))

    clock, entropy, nobody = ManualClock(START_MS), SeededEntropy(1), Nobody()
    site = Site(
        clock=clock,
        entropy=entropy,
        http=nobody,
        callback_http=nobody,
        resolver=nobody,
        database=database,
        secret=secret,
        root_key=lambda _: bytes(32),
        rsa_key=rsa_key,
        url_of=lambda name: f"http://127.0.0.1:9/{name}",
        provider_url=lambda name: f"http://127.0.0.1:9/sandbox/{name}",
        development=True,
    )
    bench = Bench(
        clock=clock,
        entropy=entropy,
        http=nobody,
        database=database,
        secret=secret,
        rsa_key=rsa_key,
        url_of=site.url_of,
        host="127.0.0.1",
        approve_after_s=1.0,
    )
    alone = (only or "").partition("sandbox/")[2]
    services = {} if alone else _services(site)
    named = () if only in SERVICES else SANDBOXES
    sandboxes = {name: build_sandbox(name, bench) for name in named if alone in ("", name)}
    for service, _ in services.values():
        await service.start()
    if services:
        await _install({name: service for name, (service, _) in services.items()})
    for sandbox in sandboxes.values():
        await sandbox.service.start()
    yield {
        **{
            name: Application(name, app, database(name), {"api_key": secret(f"{name}_api_key")})
            for name, (_, app) in services.items()
        },
        **{
            f"sandbox/{name}": Application(
                f"sandbox/{name}", sandbox.app, database(f"sandbox_{name}"), dict(sandbox.credentials)
            )
            for name, sandbox in sandboxes.items()
        },
    }
    for service in [service for service, _ in services.values()] + [
        each.service for each in sandboxes.values()
    ]:
        await service.stop()
    for each in databases.values():
        await each.close()


def _services(site: Site) -> dict[str, tuple[object, web.Application]]:
    moto, mega = build.build_moto(site), build.build_mega(site)
    m2m = build.build_m2m(site, mega, moto)
    solarium = build.build_solarium(site, Partners(tokens=moto, devices=m2m, commands=m2m, sms=mega))
    momo = build.build_momo(site, solarium)
    mega.attend(MegaPartners(accounts=solarium.customers, payments=momo))
    mese = build.build_mese(site, momo, solarium.customers, mega)
    hub = build.build_hub(
        site,
        HubPartners(billing=solarium, commands=M2mPartner(m2m, "hub"), tokens=MotoPartner(moto, "hub")),
    )
    return {
        "moto": (moto, moto_app(moto, moto.keys)),
        "m2m": (m2m, m2m_app(m2m, m2m.keys)),
        "mega": (mega, mega_app(mega, mega.keys)),
        "solarium": (solarium, solarium_app(solarium, solarium.keys)),
        "momo": (momo, momo_app(momo, momo.keys)),
        "mese": (mese, mese_app(mese, secret=secret("mese_ussd_secret"), development=True)),
        "hub": (hub, hub_app(hub)),
    }


async def _install(services: dict[str, object]) -> None:
    for name, client in build.CALLERS.items():
        await services[name].install_key(key=secret(f"{name}_api_key"), client=client)
    await services["solarium"].install_client(*CLIENT)
    solarium, moto, m2m = (services[name] for name in ("solarium", "moto", "m2m"))
    await install([SEED], solarium=solarium, moto=moto, m2m=m2m)


def reference_id(name: str) -> str:
    """A UUID of version 4 by its name."""
    return str(uuid.UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4))
