"""The real M2M, wired as `payg serve m2m` has it. Nobody takes what it would send: events wait for a bridge,
billing for Solarium.

For the bench `bridge` the real pump of the bridge (bridge/uplink.py) is in front of it, as in `payg up`: one
batch at a time of what waits. Packets reach it by HTTP instead of MQTT, BRIDGE_FRAMES in a request; a request
is answered when the pump has published each answer and acknowledged its packets.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import cast

import msgspec
import structlog
from aiohttp import web
from sqlalchemy import Connection, func, select

from backend.kit.batch import MAX_BATCH
from backend.kit.database import Database
from backend.kit.http import HttpAnswer
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.kit.vault import Vault
from backend.m2m.ports import SystemResolver
from backend.m2m.routes import make_app
from backend.m2m.service import M2mConfig, M2mService
from backend.m2m.store import Store
from bridge.backoff import Backoff
from bridge.core import Publication
from bridge.mqtt import MqttLink
from bridge.paho_session import Packet
from bridge.ports import Ingest
from bridge.uplink import UplinkPump
from tests.bench.bench import API_KEY, BRIDGE_FRAMES, DEVICES, MASTER_KEY, ORDINARY, Running, serial
from tests.bench.m2m_load import BRIDGE_PATH, link_key, password
from tests.bench.m2m_ordinary import OneByOne, OrdinaryStore

MAX_FRAMES = 1_000  # more than the pump takes by itself


class Silent:
    """Partners that never answer."""

    async def send(self, **_: object) -> object:
        return await asyncio.Event().wait()

    async def request(self, *_: object, **__: object) -> HttpAnswer:
        return cast(HttpAnswer, await asyncio.Event().wait())


class Packets:
    """A broker's session, and the link that has it, of packets that come by HTTP; `most` go at once."""

    alive = True

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[Packet] = deque()
        self._arrived = asyncio.Event()
        self._left: dict[int, int] = {}  # packets of a request that are not acknowledged
        self._answered: dict[int, asyncio.Future[None]] = {}
        self._requests = 0

    async def session(self) -> "Packets":
        return self

    async def take(self, limit: int) -> list[Packet]:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return [self._waiting.popleft() for _ in range(min(limit, self._most, len(self._waiting)))]

    async def publish(self, publications: Sequence[Publication]) -> None:
        self.published = len(publications)

    def acknowledge(self, packets: Sequence[Packet]) -> None:
        assert self.published == 2 * len(packets)  # a frame down and a status each
        for packet in packets:
            self._left[packet.mid] -= 1
            if not self._left[packet.mid]:
                del self._left[packet.mid]
                answered = self._answered.pop(packet.mid)
                if not answered.done():  # whoever asked may be gone
                    answered.set_result(None)

    async def close(self, _app: web.Application) -> None:
        for answered in self._answered.values():
            answered.cancel()

    async def receive(self, request: web.Request) -> web.Response:
        packets = msgspec.msgpack.decode(await request.read(), type=list[tuple[str, bytes]])
        self._requests += 1
        key = self._requests
        self._left[key] = len(packets)
        self._answered[key] = asyncio.get_running_loop().create_future()
        self._waiting.extend(Packet(topic, payload, key, 1) for topic, payload in packets)
        self._arrived.set()
        await self._answered[key]
        return web.Response(text=f"{len(packets)} answered")


async def start(database: Database, bench: str, mode: str) -> Running:
    """See bench.Side."""
    silent = Silent()
    service = M2mService(
        database=database,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        config=M2mConfig(
            master_key=MASTER_KEY,
            webhook_secret=bytes(32),
            billing_url="http://127.0.0.1:1",
            max_batch=1 if mode == ORDINARY else MAX_BATCH,
        ),
        http=silent,  # type: ignore[arg-type]
        resolver=SystemResolver(),
        sms=silent,
    )
    await service.start()
    await service.install_key(key=API_KEY, client="bench")
    if mode == ORDINARY:
        service._store.__class__ = OrdinaryStore  # the same tables, other statements
    await database.write(lambda connection: _register(connection, service._store, service._vault))
    app = make_app(service, service.keys)
    if bench != "bridge":
        return Running(app, service.stop)
    if mode == ORDINARY:  # what is decided one by one need not be taken together
        pump = _pump(app, OneByOne(service), Packets(BRIDGE_FRAMES))
    else:
        pump = _pump(app, service, Packets(MAX_FRAMES))

    async def stop() -> None:
        pump.cancel()
        await service.stop()

    return Running(app, stop)


def _register(connection: Connection, store: Store, vault: Vault) -> None:
    """All devices in one transaction, with their keys."""
    numbers = {serial(number): number for number in range(DEVICES)}
    store.add_devices(connection, dict.fromkeys(numbers, "UG"))
    for device in store.lock_devices(connection, numbers).values():
        number = numbers[device.serial]
        device.link_key = vault.seal(link_key(number), device.serial)
        device.password_fingerprint = vault.fingerprint(password(number))
        store.register(connection, device)


def _pump(app: web.Application, service: Ingest, packets: Packets) -> asyncio.Task[None]:
    app.on_shutdown.append(packets.close)
    app.router.add_post(BRIDGE_PATH, packets.receive)
    pump = UplinkPump(
        link=cast(MqttLink, packets),
        ingest=service,
        backoff=Backoff(),
        counters=Counter(),
        log=structlog.get_logger(),
    )
    return asyncio.create_task(pump.run(), name="bridge")


async def stored(database: Database, bench: str) -> int | None:
    """See bench.Side."""
    store = Store(Vault(bytes(32), "m2m", SystemEntropy()))
    table = store.commands if bench == "/m2m/command" else store.records
    return await database.read(
        lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()
    )
