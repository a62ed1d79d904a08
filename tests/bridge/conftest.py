"""A real broker, a bridge on it, and services that are small enough to read."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
import structlog
from structlog.testing import LogCapture

from bridge.backoff import Backoff
from bridge.bridge import Bridge
from edge.broker import BrokerPorts, EmbeddedBroker, Login
from protocols import topics
from tests.edge.broker.paho_client import PahoClient

SERIAL = "SCBLNX/A/BT/240300126005"
PASSWORD = "right-password"


@dataclass(frozen=True)
class Event:
    market: str
    serial: str
    kind: str
    payload: bytes


@dataclass(frozen=True)
class Answer:
    down: tuple[bytes, ...] = ()
    events: tuple[Event, ...] = ()
    refused: str | None = None


@dataclass(frozen=True)
class Item:
    id: int
    serial: str
    market: str
    channel: str
    payload: bytes


class Services:
    """Implements Ingest: each frame gets an acknowledgement and a status; `open` holds, `broken` fails."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, bytes]] = []
        self.states: list[tuple[str, bool, int]] = []
        self.batches: asyncio.Queue[int] = asyncio.Queue()
        self.asked: asyncio.Queue[int] = asyncio.Queue()
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False

    async def ingest(self, uplinks: Sequence[tuple[str, bytes]]) -> list[Answer]:
        self.asked.put_nowait(len(uplinks))
        await self.open.wait()
        if self.broken:
            raise ConnectionError("the database is down: secret-frame-bytes")
        if any(frame.startswith(b"poison") for _, frame in uplinks):
            raise RuntimeError("a defect: secret-frame-bytes")
        self.frames += uplinks
        self.batches.put_nowait(len(uplinks))
        return [self._answer(serial, frame) for serial, frame in uplinks]

    def _answer(self, serial: str, frame: bytes) -> Answer:
        if frame.startswith(b"broken"):
            return Answer(refused="bad_mac")
        market = "not/a/market" if frame == b"odd" else "UG"
        return Answer((b"ack " + frame,), (Event(market, serial, "status", b'{"seen":"%s"}' % frame),))

    async def report_state(self, serial: str, online: bool, boot_id: int) -> list[Event]:
        self.states.append((serial, online, boot_id))
        return [Event("UG", serial, "event", b"online" if online else b"offline")]


class ListFeed:
    """Implements Feed on a list; `broken` fails the next lease or confirmation."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.confirmed: asyncio.Queue[list[int]] = asyncio.Queue()
        self.leased: asyncio.Queue[list[int]] = asyncio.Queue()
        self.arrived = asyncio.Event()
        self.broken: set[str] = set()

    def add(self, *items: Item) -> None:
        self.items += items
        self.arrived.set()

    async def lease(self, *, limit: int, wait_s: float) -> list[Item]:
        self._fail("lease")
        async with asyncio.timeout(wait_s):
            while not self.items:
                self.arrived.clear()
                await self.arrived.wait()
        leased = self.items[:limit]
        self.leased.put_nowait([item.id for item in leased])
        return leased

    async def confirm(self, ids: Sequence[int]) -> None:
        self._fail("confirm")
        self.items = [item for item in self.items if item.id not in ids]
        self.confirmed.put_nowait(list(ids))

    def _fail(self, what: str) -> None:
        if what in self.broken:
            self.broken.discard(what)
            raise OSError(what)


class FixedLogins:
    async def verify(self, username: str, password: str) -> Login | None:
        known = {topics.encode_serial(SERIAL): Login("device", SERIAL)}
        known |= {"ops": Login("ops"), "bridge": Login("bridge")}
        return known.get(username) if password == PASSWORD else None


@dataclass
class Site:
    """Broker, services and as many bridges and clients as a test makes."""

    log: LogCapture
    broker: EmbeddedBroker
    ports: BrokerPorts
    services: Services = field(default_factory=Services)
    feed: ListFeed = field(default_factory=ListFeed)
    bridges: list[Bridge] = field(default_factory=list)
    clients: list[PahoClient] = field(default_factory=list)

    async def bridge(self, **options: object) -> Bridge:
        settings = {"password": PASSWORD, "ingest": self.services, "feeds": [self.feed], **options}
        bridge = Bridge(
            host="127.0.0.1",
            port=self.ports.mqtt_port,
            username="bridge",
            client_id="bridge-1",
            log=structlog.wrap_logger(None, processors=[self.log]),
            backoff=Backoff(step_s=0.02),
            **settings,  # pyright: ignore
        )
        self.bridges.append(bridge)
        await bridge.start()
        return bridge

    async def ready_bridge(self, **options: object) -> Bridge:
        bridge = await self.bridge(**options)
        async with asyncio.timeout(5):
            await bridge.ready()
        return bridge

    async def client(self, username: str) -> PahoClient:
        client = PahoClient(self.ports.mqtt_port, username, PASSWORD, username)
        self.clients.append(client)
        assert await client.connect() == 0
        return client

    async def device(self) -> PahoClient:
        client = await self.client(topics.encode_serial(SERIAL))
        assert await client.subscribe(topics.down(SERIAL), 0) == 0
        return client

    async def restart_broker(self) -> None:
        """Stop the broker and start another on the same port."""
        await self.broker.stop()
        self.broker = EmbeddedBroker(
            logins=FixedLogins(),
            log=structlog.wrap_logger(None, processors=[self.log]),
            mqtt_port=self.ports.mqtt_port,
        )
        await self.broker.start()

    def logged(self, event: str) -> list[dict[str, object]]:
        return [dict(entry) for entry in self.log.entries if entry["event"] == event]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    log = LogCapture()
    broker = EmbeddedBroker(logins=FixedLogins(), log=structlog.wrap_logger(None, processors=[log]))
    site = Site(log, broker, await broker.start())
    yield site
    for bridge in site.bridges:
        await bridge.stop()
    for client in site.clients:
        await client.close()
    await site.broker.stop()
