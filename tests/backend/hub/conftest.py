"""The hub on the real Solarium, M2M and Moto, in the process and, for the clients, over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from backend.hub.routes import make_app as hub_app
from backend.hub.service import Hub, Partners
from backend.kit.database import Database, open_database
from backend.kit.http import AiohttpClient
from backend.m2m.client import M2mClient
from backend.m2m.partner import Partner as M2mPartner
from backend.m2m.ports import SystemResolver
from backend.m2m.routes import make_app as m2m_app
from backend.m2m.service import M2mConfig, M2mService
from backend.moto.client import MotoClient
from backend.moto.partner import Partner as MotoPartner
from backend.moto.routes import make_app as moto_app
from backend.moto.service import MotoConfig, MotoService
from backend.solarium.client import SolariumClient
from backend.solarium.orders import Partners as SolariumPartners
from backend.solarium.routes import make_app as solarium_app
from backend.solarium.service import NewAccount, Solarium, SolariumConfig
from simulator.clock import ManualClock, SeededEntropy

KEY = "hub-test-key"
SERIAL = "SCBLNX/A/BT/240300126005"
MASTER = bytes(32)


class NoSms:
    """Solarium's short messages go nowhere: the hub has none."""

    async def send(self, *, to: str, text: str, market: str, reference: str) -> object:
        return None


@dataclass
class World:
    """The real services below a hub."""

    solarium: Solarium
    m2m: M2mService
    moto: MotoService
    databases: list[Database]
    servers: list[TestServer]

    def local(self) -> Partners:
        """As in one process."""
        return Partners(self.solarium, M2mPartner(self.m2m, "hub"), MotoPartner(self.moto, "hub"))

    async def remote(self, http: AiohttpClient) -> Partners:
        """As in a process each."""
        solarium = await self._serve(solarium_app(self.solarium, self.solarium.keys))
        m2m = await self._serve(m2m_app(self.m2m, self.m2m.keys))
        moto = await self._serve(moto_app(self.moto, self.moto.keys))
        return Partners(
            SolariumClient(http=http, base_url=solarium, api_key=KEY),
            M2mClient(http=http, base_url=m2m, api_key=KEY),
            MotoClient(http=http, base_url=moto, api_key=KEY),
        )

    async def _serve(self, app: web.Application) -> str:
        server = TestServer(app)
        await server.start_server()
        self.servers.append(server)
        return str(server.make_url("/"))


@asynccontextmanager
async def started(
    url: str, clock: ManualClock, entropy: SeededEntropy, http_client: AiohttpClient
) -> AsyncIterator[World]:
    """The services, with one key, one device and one account."""
    databases = [open_database(url, name) for name in ("solarium", "m2m", "moto")]
    moto = MotoService(
        database=databases[2], clock=clock, entropy=entropy, config=MotoConfig(master_key=MASTER)
    )
    m2m = M2mService(
        database=databases[1],
        clock=clock,
        entropy=entropy,
        config=M2mConfig(
            master_key=MASTER,
            webhook_secret=bytes(32),
            allowed_callback_hosts=frozenset({"127.0.0.1"}),
        ),
        http=http_client,
        resolver=SystemResolver(),
    )
    solarium = Solarium(
        database=databases[0],
        clock=clock,
        entropy=entropy,
        config=SolariumConfig(
            master_key=MASTER, callback_base="http://127.0.0.1:1", callback_secret=bytes(32)
        ),
        partners=SolariumPartners(tokens=moto, devices=m2m, commands=m2m, sms=NoSms()),
    )
    world = World(solarium, m2m, moto, databases, [])
    for service in (moto, m2m, solarium):
        await service.start()
        await service.install_key(key=KEY, client="solarium")
    await moto.register(serial=SERIAL, secret_hex="00112233AABBCC", family="moto", market="UG")
    await m2m.register(serial=SERIAL, market="UG", link_key_hex="ab" * 16, password="p" * 22)
    await solarium.register_accounts([account()])
    yield world
    for server in world.servers:
        await server.close()
    for service in (solarium, m2m, moto):
        await service.stop()
    for database in databases:
        await database.close()


@pytest.fixture
async def world(
    database_url: str, clock: ManualClock, entropy: SeededEntropy, http_client: AiohttpClient
) -> AsyncIterator[World]:
    async with started(database_url, clock, entropy, http_client) as world:
        yield world


def account() -> NewAccount:
    return NewAccount(
        reference="254543",
        business_account="600100",
        provider_key="ug_mtn_mobilemoney",
        currency="UGX",
        market="UG",
        customer_name="John Doe",
        msisdn="256772100001",
        device=SERIAL,
        price_per_day_subunit=150_000,
        token_family="moto",
    )


@pytest.fixture(params=["local", "remote"])
async def hub(
    request: pytest.FixtureRequest,
    world: World,
    database_url: str,
    clock: ManualClock,
    http_client: AiohttpClient,
) -> AsyncIterator[Hub]:
    """Once in the services' process, once over HTTP."""
    partners = world.local() if request.param == "local" else await world.remote(http_client)
    database = open_database(database_url, "hub")
    hub = Hub(database=database, clock=clock, pepper=bytes(32), partners=partners)
    await hub.start()
    await hub.install_key(key=KEY, client="partner")
    await hub.install_key(key="ug-key", client="uganda", markets=["UG"])
    await hub.install_key(key="rw-key", client="rwanda", markets=["RW"])
    yield hub
    await hub.stop()
    await database.close()


@pytest.fixture
async def http(hub: Hub) -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(hub_app(hub)), headers={"API-KEY": KEY}) as client:
        yield client
