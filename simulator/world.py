"""A whole world in one process: broker, services, bridge, provider sandboxes, devices. `payg up` runs it.

The composition root: the services get one another as their ports, through `faults`, which can die between any
two of them. Clock, entropy and HTTP are arguments of everything that is built here.
"""

import hmac
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Literal

import structlog
from aiohttp import web

from backend import build
from backend.build import Site
from backend.data_dir import DataDir
from backend.hub.routes import make_app as hub_app
from backend.hub.service import Partners as HubPartners
from backend.kit import listener
from backend.kit.database import Database
from backend.kit.http import HttpClient
from backend.kit.runtime import Clock, Entropy
from backend.kit.tls import Tls
from backend.kit.web import MAX_BODY
from backend.kit.webhooks import LOOPBACK, CallbackHttp
from backend.m2m.partner import Partner as M2mPartner
from backend.m2m.ports import Resolver
from backend.m2m.routes import make_app as m2m_app
from backend.m2m.service import M2mService
from backend.mega.desk import Partners as MegaPartners
from backend.mega.routes import make_app as mega_app
from backend.mese.routes import make_app as mese_app
from backend.momo.routes import make_app as momo_app
from backend.moto.partner import Partner as MotoPartner
from backend.moto.routes import make_app as moto_app
from backend.solarium.orders import Partners
from backend.solarium.routes import make_app as solarium_app
from bridge.bridge import Bridge
from edge.broker import EmbeddedBroker, Login
from edge.panel.app import make_app as panel_app
from simulator import front_page, invariants
from simulator.development import EVERY_PROVIDER, MARKETS, DeviceSeed, device_seeds, install
from simulator.diary import Diary
from simulator.faults import Faults
from simulator.fleet import Fleet
from simulator.invariants import Picture, Verdict
from simulator.ports import Ports
from simulator.sandboxes import SANDBOXES, Bench, build_sandbox
from simulator.settings import UpSettings

OPS: Literal["ops"] = "ops"
BRIDGE: Literal["bridge"] = "bridge"
CLIENT_ID = "development"  # of Solarium's external API
HTTP_GRACE_S = 1.0  # for requests that are being answered when everything stops


class World:
    """Everything, built and wired; `start` makes it listen, `stop` ends it within a few seconds."""

    def __init__(
        self,
        *,
        data_dir: DataDir,
        open_database: Callable[[str], Database],
        root_keys: Mapping[str, bytes],
        http: HttpClient,
        public_http: HttpClient,
        resolver: Resolver,
        devices: int,
        seed: int,
        settings: UpSettings,
        ports: Ports,
        tls: Tls,
        faults: Faults,
        clock: Clock,
        entropy: Entropy,
    ):
        self._data_dir = data_dir
        self._settings = settings
        self._ports = ports
        self._tls = tls
        brokers_tls = None if tls.server is None else tls.client
        self._databases: dict[str, Database] = {}
        self._open_database = open_database
        self._root_keys = root_keys
        self._http = http
        self._public_http = public_http
        self._resolver = resolver
        self._base = f"{tls.http}://{ports.host}:{ports.http}"
        self._seeds = _seeds(devices, data_dir)
        self._log = structlog.get_logger()
        self._diary = Diary(data_dir.path)
        self._build_sandboxes(clock, entropy)
        self._build_services(faults, clock, entropy)
        self.broker = EmbeddedBroker(
            logins=_Logins(self.m2m, {OPS: self._secret("ops"), BRIDGE: self._secret("bridge")}),
            log=self._log,
            host=ports.host,
            mqtt_port=ports.mqtt,
            ws_port=ports.ws,
            tls=tls.server,
        )
        self.bridge = Bridge(
            host=ports.host,
            port=ports.mqtt,
            username=BRIDGE,
            password=self._secret("bridge"),
            client_id="payg-bridge",
            ingest=faults.tap(self.m2m, "ingest"),
            feeds=[faults.tap(self.m2m.feed, "m2m_feed"), faults.tap(self.solarium.feed, "payment_feed")],
            log=self._log,
            tls=brokers_tls,
        )
        self.fleet = Fleet(
            seeds=self._seeds,
            folder=data_dir.path / "devices",
            host=ports.host,
            port=ports.mqtt,
            status_interval_s=settings.status_interval_s,
            clock=clock,
            rng=random.Random(seed),  # noqa: S311 - weather and jitter of a simulation
            tls=brokers_tls,
        )
        self._runner = listener.runner_of(self._application(), grace_s=HTTP_GRACE_S)

    async def start(self) -> None:
        """Open everything, in the order in which the parts need one another."""
        for service in self._services:
            await service.start()
        await self._install()
        if self._ports.last_http not in (0, self._ports.http):
            await self.m2m.move_callbacks(
                f"{self._tls.http}://{self._ports.host}:{self._ports.last_http}/", f"{self._base}/"
            )
        await self._runner.setup()
        await listener.listen(self._runner, [self._ports.http_socket], self._tls.server)
        for sandbox in self._sandboxes.values():  # what they owe is told once: when we listen
            await sandbox.service.start()
        await self.broker.start()
        await self.bridge.start()
        await self.bridge.ready()
        await self.fleet.start()
        self._diary.started()

    async def stop(self) -> None:
        """Close everything, the devices first; whatever is under way goes on at the next start."""
        for stop in (self.fleet.stop, self.bridge.stop, self.broker.stop, self._runner.cleanup):
            await self._stopped(stop)
        sandboxes = [sandbox.service for sandbox in self._sandboxes.values()]
        for service in (*self._services, *sandboxes):
            await self._stopped(service.stop)
        for database in self._databases.values():
            await database.close()
        self._diary.stopped()

    async def check(self) -> list[Verdict]:
        """The invariants."""
        return await invariants.check(self)

    async def picture(self) -> Picture:
        """See invariants.Witness."""
        before = (await self.solarium.audit()).days_by_device
        lamps = self.fleet.lamps()
        return Picture(
            replied_days={serial: replied for serial, (_, replied) in before.items()},
            m2m=await self.m2m.audit(),
            solarium=await self.solarium.audit(),
            momo=await self.momo.audit(),
            mega=await self.mega.audit(),
            lamps=lamps,
            broker=self.broker.counters,
            starts=self._diary.starts,
            clean_stops=self._diary.clean_stops,
        )

    def credentials(self) -> dict[str, object]:
        """What credentials.json holds: addresses and development secrets."""
        return {
            "http": self._base,
            "tls": self._tls.server is not None,
            "ca": None if self._tls.ca is None else str(self._tls.ca),
            "mqtt": {
                "host": self._ports.host,
                "port": self._ports.mqtt,
                "ws_port": self._ports.ws,
                "ops": {"username": OPS, "password": self._secret("ops")},
                "bridge": {"username": BRIDGE, "password": self._secret("bridge")},
            },
            "solarium": {
                "api_key": self._secret("solarium_api_key"),
                "client_id": CLIENT_ID,
                "client_secret": self._secret("solarium_client_secret"),
            },
            **{
                name: {"api_key": self._secret(f"{name}_api_key")}
                for name in ("momo", "moto", "m2m", "mega", "hub")
            },
            "panel": {"api_key": self._secret("panel_api_key")},
            "sandbox": {
                name: {"base_url": f"{self._base}/sandbox/{name}", **sandbox.credentials}
                for name, sandbox in self._sandboxes.items()
            },
            "devices": [asdict(seed) for seed in self._seeds],
        }

    def _secret(self, name: str) -> str:
        given = self._settings.m2m_api_key if name == "m2m_api_key" else None
        return self._data_dir.secret(name) if given is None else given.get_secret_value()

    def _url_of(self, service: str) -> str:
        return f"{self._base}/{service}"

    def _database(self, name: str) -> Database:
        if name not in self._databases:
            self._databases[name] = self._open_database(name)
        return self._databases[name]

    def _build_sandboxes(self, clock: Clock, entropy: Entropy) -> None:
        bench = Bench(
            clock=clock,
            entropy=entropy,
            http=self._http,
            database=self._database,
            secret=self._secret,
            rsa_key=self._data_dir.rsa_key,
            url_of=self._url_of,
            host=self._ports.host,
            approve_after_s=self._settings.approve_after_s,
        )
        self._sandboxes = {name: build_sandbox(name, bench) for name in SANDBOXES}

    def _build_services(self, faults: Faults, clock: Clock, entropy: Entropy) -> None:
        def site(name: str) -> Site:
            return self._site(faults.tap_http(self._http, name), clock, entropy)

        self.moto = build.build_moto(site("moto"))
        self.mega = build.build_mega(site("aggregator"))
        self.m2m = build.build_m2m(site("callback"), faults.tap(self.mega, "device_sms"), self.moto)
        self.solarium = build.build_solarium(
            site("solarium"),
            Partners(
                tokens=faults.tap(self.moto, "tokens"),
                devices=self.m2m,
                commands=faults.tap(self.m2m, "commands"),
                sms=faults.tap(self.mega, "sms"),
            ),
        )
        self.momo = build.build_momo(site("provider"), faults.tap(self.solarium, "billing"))
        self.mese = build.build_mese(
            site("mese"), faults.tap(self.momo, "payments"), self.solarium.customers, self.mega
        )
        self.mega.attend(
            MegaPartners(accounts=self.solarium.customers, payments=faults.tap(self.momo, "sms_payments"))
        )
        self.hub = build.build_hub(
            site("hub"),
            HubPartners(
                billing=self.solarium,
                commands=M2mPartner(self.m2m, "hub"),
                tokens=MotoPartner(self.moto, "hub"),
            ),
        )
        self._services = (self.moto, self.m2m, self.mega, self.solarium, self.momo, self.mese, self.hub)

    def _site(self, http: HttpClient, clock: Clock, entropy: Entropy) -> Site:
        return Site(
            clock=clock,
            entropy=entropy,
            http=http,
            callback_http=CallbackHttp(public=self._public_http, private=http, allowed_hosts=LOOPBACK),
            resolver=self._resolver,
            database=self._database,
            root_key=self._root_keys.__getitem__,
            secret=self._secret,
            rsa_key=self._data_dir.rsa_key,
            url_of=self._url_of,
            provider_url=lambda name: f"{self._base}/sandbox/{name.removesuffix('_auth')}",
            development=True,
        )

    def _application(self) -> web.Application:
        root = web.Application(client_max_size=MAX_BODY)
        for path, app in (
            ("/solarium", solarium_app(self.solarium, self.solarium.keys)),
            ("/momo", momo_app(self.momo, self.momo.keys)),
            ("/mese", mese_app(self.mese, secret=self._secret("mese_ussd_secret"), development=True)),
            ("/mega", mega_app(self.mega, self.mega.keys)),
            ("/moto", moto_app(self.moto, self.moto.keys)),
            ("/m2m", m2m_app(self.m2m, self.m2m.keys)),
            ("/hub", hub_app(self.hub)),
            *((f"/sandbox/{name}", sandbox.app) for name, sandbox in self._sandboxes.items()),
            ("/panel", panel_app(self.fleet.devices, self._secret("panel_api_key"))),
        ):
            root.add_subapp(path, app)
        root.router.add_get("/", front_page.make_handler(self.credentials()))
        return root

    async def _install(self) -> None:
        """Keys, clients, accounts and devices; what is there already stays as it is."""
        for name, service in (
            ("solarium", self.solarium),
            ("momo", self.momo),
            ("moto", self.moto),
            ("m2m", self.m2m),
            ("mega", self.mega),
            ("hub", self.hub),
        ):
            await service.install_key(key=self._secret(f"{name}_api_key"), client=build.CALLERS[name])
        await self.solarium.install_client(CLIENT_ID, self._secret("solarium_client_secret"))
        await install(self._seeds, solarium=self.solarium, moto=self.moto, m2m=self.m2m)

    async def _stopped(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Run one stop; a part that fails to stop must not keep the others running."""
        try:
            await stop()
        except Exception as error:  # noqa: BLE001 - the outermost edge of a stop
            self._log.error("world.stop_failed", part=getattr(stop, "__qualname__", "?"), error=repr(error))


class _Logins:
    """Who may log in to the broker: devices as m2m knows them, operations and the bridge."""

    def __init__(self, m2m: M2mService, passwords: Mapping[Literal["ops", "bridge"], str]):
        self._m2m = m2m
        self._passwords = dict(passwords)

    async def verify(self, username: str, password: str) -> Login | None:
        """See edge.broker.Logins."""
        if username == OPS or username == BRIDGE:  # noqa: PLR1714, SIM109 - the narrowing that pyright knows
            right = hmac.compare_digest(password.encode(), self._passwords[username].encode())
            return Login(username) if right else None
        serial = await self._m2m.verify_login(username, password)
        return None if serial is None else Login("device", serial)


def _seeds(number: int, data_dir: DataDir) -> list[DeviceSeed]:
    """The devices of this folder: one of before Kenya and Tanzania keeps those that it has."""
    is_of_before = data_dir.has("devices") and not data_dir.has("every_provider")
    if not is_of_before:
        data_dir.secret("every_provider")
    markets = MARKETS if is_of_before else EVERY_PROVIDER
    return device_seeds(number, bytes.fromhex(data_dir.secret("devices", 32)), markets)
