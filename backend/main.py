"""`payg serve`: one service in a process of its own, at the root path; the others are reached over HTTP.

build.py says what a service is made of; `payg up` (simulator/world.py) builds all of them in one process.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import uvloop
from aiohttp import web

from backend import build
from backend.build import Site
from backend.data_dir import DataDir
from backend.hub.routes import make_app as hub_app
from backend.hub.service import Partners as HubPartners
from backend.kit import collector, listener, master, webhooks
from backend.kit.database import Database, open_database, sqlite_folder
from backend.kit.errors import CannotStart
from backend.kit.http import AiohttpClient
from backend.kit.peers import only_from
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.kit.tls import Tls
from backend.m2m.client import M2mClient
from backend.m2m.ports import SystemResolver
from backend.m2m.routes import make_app as m2m_app
from backend.mega.client import MegaClient
from backend.mega.desk import Partners as MegaPartners
from backend.mega.routes import make_app as mega_app
from backend.mese.routes import make_app as mese_app
from backend.momo.client import MomoClient
from backend.momo.routes import make_app as momo_app
from backend.moto.client import MotoClient
from backend.moto.routes import make_app as moto_app
from backend.process import configured, exit_code
from backend.settings import ServeSettings
from backend.solarium.client import SolariumClient
from backend.solarium.orders import Partners
from backend.solarium.routes import make_app as solarium_app
from backend.sources import sources_of


class Service(Protocol):
    """What every service offers to a composition root."""

    async def start(self) -> None:
        """Migrate, load, take up what was left."""
        ...

    async def stop(self) -> None:
        """Stop at once."""
        ...


class Keyed(Service, Protocol):
    """A service whose callers have API keys."""

    def install_key(self, *, key: str, client: str) -> Awaitable[None]:
        """Make a key valid."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """A service and its application; `keyed` is the service again, if it takes API keys."""

    service: Service
    app: web.Application
    keyed: Keyed | None


@dataclass(frozen=True, slots=True)
class _Serving:
    """What to serve, where, on which database."""

    service: str
    port: int
    url: str
    settings: ServeSettings
    tls: Tls


def run(service: str, *, port: int, data_dir: Path, database_url: str | None) -> int:
    """Serve until SIGTERM or Ctrl-C. 0; 2: it can't start, and why is printed."""

    def command() -> int:
        settings = configured()
        tls = settings.tls(settings.host)
        url = database_url or f"sqlite:///{data_dir}"
        files = sqlite_folder(url)
        folder = DataDir(data_dir, () if files is None else (service,), SystemEntropy(), database=files)
        return uvloop.run(_serve(_Serving(service, port, url, settings, tls), folder))

    return exit_code(command)


async def _serve(serving: _Serving, folder: DataDir) -> int:
    service, settings, tls = serving.service, serving.settings, serving.tls
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    http = AiohttpClient(tls=tls.client)
    public = AiohttpClient(tls=tls.client, may_connect=webhooks.is_public)
    callback_hosts = settings.may_call_back()
    database = open_database(serving.url, service)
    try:
        root = await _root_key(serving, folder, database)
    except CannotStart:
        await database.close()
        raise
    site = Site(
        clock=SystemClock(),
        entropy=SystemEntropy(),
        http=http,
        callback_http=webhooks.CallbackHttp(public=public, private=http, allowed_hosts=callback_hosts),
        callback_hosts=callback_hosts,
        resolver=SystemResolver(),
        database=lambda _: database,
        root_key=lambda _: root,
        secret=lambda name: settings.secret_of(name) or folder.current(name),
        rsa_key=lambda name: settings.secret_of(name) or folder.rsa_key(name),
        url_of=settings.url_of,
        provider_url=settings.provider_url,
        biller=settings.biller(),
        sms=settings.sms(),
        reconcile=settings.reconcile(),
        development=settings.development,
    )
    served = _build(service, site)
    served.app.middlewares.insert(0, settings.proxies())  # before the shell, which counts wrong keys by peer
    served.app.middlewares.append(only_from(sources_of(settings.callback_ips)))
    runner = listener.runner_of(served.app)
    try:
        await served.service.start()
        if served.keyed is not None:
            await served.keyed.install_key(
                key=site.secret(f"{service}_api_key"), client=build.CALLERS[service]
            )
        await runner.setup()
        await listener.listen(runner, listener.bound(settings.host, serving.port), tls.server)
        collector.settle()
        host, real_port = runner.addresses[0][:2]
        url = f"{tls.http}://{host}:{real_port}"
        print(f"{service} listens on {url}", flush=True)
        print(f"its API: {url}/docs", flush=True)
        if served.keyed is not None:
            print(
                f"its API key: {service}_api_key in {folder.secrets_file}, unless the environment set it",
                flush=True,
            )
        await stop.wait()
    finally:
        await runner.cleanup()
        await served.service.stop()
        await http.close()
        await public.close()
        await database.close()
    return 0


async def _root_key(serving: _Serving, folder: DataDir, database: Database) -> bytes:
    text = serving.settings.secret_of("master_key") or folder.secret("master_key")
    return await master.root_key(database, serving.service, master.master_key_of(text), SystemEntropy())


def _build(service: str, site: Site) -> Served:
    def key(name: str) -> Callable[[], str]:
        return partial(site.secret, f"{name}_api_key")

    match service:
        case "moto":
            moto = build.build_moto(site)
            return Served(moto, moto_app(moto, moto.keys), moto)
        case "m2m":
            sms = MegaClient(http=site.http, base_url=site.url_of("mega"), api_key=key("mega"))
            counts = MotoClient(http=site.http, base_url=site.url_of("moto"), api_key=key("moto"))
            m2m = build.build_m2m(site, sms, counts)
            return Served(m2m, m2m_app(m2m, m2m.keys), m2m)
        case "mega":
            mega = build.build_mega(site)
            mega.attend(
                MegaPartners(
                    accounts=SolariumClient(
                        http=site.http, base_url=site.url_of("solarium"), api_key=key("solarium")
                    ),
                    payments=MomoClient(http=site.http, base_url=site.url_of("momo"), api_key=key("momo")),
                )
            )
            return Served(mega, mega_app(mega, mega.keys), mega)
        case "solarium":
            m2m = M2mClient(http=site.http, base_url=site.url_of("m2m"), api_key=key("m2m"))
            partners = Partners(
                tokens=MotoClient(http=site.http, base_url=site.url_of("moto"), api_key=key("moto")),
                devices=m2m,
                commands=m2m,
                sms=MegaClient(http=site.http, base_url=site.url_of("mega"), api_key=key("mega")),
            )
            solarium = build.build_solarium(site, partners)
            return Served(solarium, solarium_app(solarium, solarium.keys), solarium)
        case "momo":
            billing = SolariumClient(
                http=site.http, base_url=site.url_of("solarium"), api_key=key("solarium")
            )
            momo = build.build_momo(site, billing)
            return Served(momo, momo_app(momo, momo.keys), momo)
        case "mese":
            payments = MomoClient(http=site.http, base_url=site.url_of("momo"), api_key=key("momo"))
            accounts = SolariumClient(
                http=site.http, base_url=site.url_of("solarium"), api_key=key("solarium")
            )
            sms = MegaClient(http=site.http, base_url=site.url_of("mega"), api_key=key("mega"))
            mese = build.build_mese(site, payments, accounts, sms)
            app = mese_app(mese, secret=site.secret("mese_ussd_secret"), development=site.development)
            return Served(mese, app, None)
        case "hub":
            partners = HubPartners(
                billing=SolariumClient(
                    http=site.http, base_url=site.url_of("solarium"), api_key=key("solarium")
                ),
                commands=M2mClient(http=site.http, base_url=site.url_of("m2m"), api_key=key("m2m")),
                tokens=MotoClient(http=site.http, base_url=site.url_of("moto"), api_key=key("moto")),
            )
            hub = build.build_hub(site, partners)
            return Served(hub, hub_app(hub), hub)
        case _:
            raise ValueError(f"no service {service!r}")
