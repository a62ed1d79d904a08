"""A device service, a device made of protocols.magicbox, and a receiver of callbacks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from backend.kit.database import Database, open_database
from backend.kit.errors import NotFound
from backend.kit.http import AiohttpClient
from backend.m2m.routes import make_app
from backend.m2m.service import M2mConfig, M2mService
from protocols.magicbox import seal, wire
from simulator.clock import ManualClock, SeededEntropy

KEY = "m2m-test-key"
SERIAL = "SCBLNX/A/BT/240300126005"
LOGIN = "SCBLNX%2FA%2FBT%2F240300126005"
PASSWORD = "device-password"
LINK_KEY = bytes(range(16))
WEBHOOK_SECRET = b"webhook-secret-of-32-bytes-.....".ljust(32)
RESEND_AFTER_S = 30.0


class FixedResolver:
    """A Resolver with a table instead of DNS."""

    def __init__(self) -> None:
        self.addresses = {
            "public.example": ["93.184.216.34"],
            "inside.example": ["93.184.216.34", "10.0.0.7"],
        }

    async def resolve(self, host: str) -> list[str]:
        return self.addresses.get(host, [host] if host[0].isdigit() or ":" in host else [])


class Device:
    """One end of a sealed link: it numbers, keeps and seals records, and does each command once.

    A SYNCIV moves it to the new epoch both ways; frames down of an older one it refuses. An update it answers
    when it is told how that ended.
    """

    def __init__(self, serial: str, link_key: bytes):
        self.serial = serial
        self.up = seal.LinkKeys(link_key, seal.UP)
        self.down = seal.LinkKeys(link_key, seal.DOWN)
        self.epoch = 0
        self.updating: int | None = None
        self.refused_down = 0
        self.sequence = 0
        self.number = 0
        self.unacknowledged: dict[int, wire.Record] = {}
        self.executed: list[int] = []
        self.down_sequences: list[tuple[int, int]] = []
        self.time_s: int | None = None

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def status(self, *, at: int = 0, **changes: int) -> wire.Status:
        values = {
            "uptime_s": 60,
            "credit_s": 86_400,
            "relay": 1,
            "state": wire.STATE_ACTIVE,
            "battery_mv": 3300,
            "panel_mv": 6100,
            "load_ma": 250,
            "temperature_dc": -55,
            "token_count": 3,
        } | changes
        return self.keep(wire.Status(self.next_number(), at, **values, firmware=b"\x01\x00\x00"))

    def keep(self, record: wire.Record) -> wire.Record:
        self.unacknowledged[record.record] = record
        return record

    def frame(self, *records: wire.Record, encrypted: bool = True) -> bytes:
        """A new frame of `records`, or of everything that is not acknowledged."""
        self.sequence += 1
        body = wire.encode_records(records or list(self.unacknowledged.values()))
        return seal.seal(self.up, self.epoch, self.sequence, body, encrypted)

    def read(self, frame: bytes) -> list[wire.Record]:
        header, body = seal.unseal(self.down, frame)
        self.down_sequences.append((header.epoch, header.sequence))
        return wire.decode_records(body)

    def receive(self, frame: bytes, *, result: int = wire.COMMAND_RESULT_OK, detail: bytes = b"") -> None:
        """Take acknowledgements and the time; do commands and keep their results, known ones again."""
        if wire.decode_header(frame).epoch < self.epoch:
            self.refused_down += 1
            return
        for record in self.read(frame):
            match record:
                case wire.Ack(first, last):
                    for number in [n for n in self.unacknowledged if first <= n <= last]:
                        del self.unacknowledged[number]
                case wire.Time(unix_s):
                    self.time_s = unix_s
                case wire.Update(command_id=command_id) if command_id not in self.executed:
                    self.updating = command_id
                case _:
                    if record.command_id not in self.executed:
                        self.executed.append(record.command_id)
                        if isinstance(record, wire.SyncIv) and record.epoch > self.epoch:
                            self.epoch, self.sequence = record.epoch, 0
                    answer = wire.CommandResult(self.next_number(), 0, record.command_id, result, detail)
                    self.keep(answer)

    def finish_update(self) -> None:
        """The new version runs and has checked in."""
        if self.updating is not None:
            self.executed.append(self.updating)
            self.keep(wire.CommandResult(self.next_number(), 0, self.updating, wire.COMMAND_RESULT_OK, b""))
            self.updating = None


@dataclass
class Receiver:
    """Keeps what callbacks arrive; answers with `statuses` in turn, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    arrived: "asyncio.Queue[tuple[dict[str, str], bytes]]" = field(default_factory=asyncio.Queue)

    async def take(self, request: web.Request) -> web.Response:
        await self.arrived.put((dict(request.headers), await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    async def next(self) -> tuple[dict[str, str], bytes]:
        return await asyncio.wait_for(self.arrived.get(), 10)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url, "m2m")
    yield opened
    await opened.close()


@pytest.fixture
def resolver() -> FixedResolver:
    return FixedResolver()


class Phone:
    """An Sms: what was sent to which modem; `failure` is raised instead."""

    def __init__(self) -> None:
        self.sent: list[dict[str, str]] = []
        self.failure: Exception | None = None

    async def send(self, *, to: str, text: str, market: str, reference: str) -> object:
        if self.failure is not None:
            raise self.failure
        self.sent.append({"to": to, "text": text, "market": market, "reference": reference})
        return None


@pytest.fixture
def phone() -> Phone:
    return Phone()


class Given:
    """A Counts: what Moto gave each device; None: it knows none."""

    def __init__(self) -> None:
        self.last: int | None = 7

    async def last_sequence(self, serial: str) -> int:
        if self.last is None:
            raise NotFound("device not found")
        return self.last


@pytest.fixture
def given_counts() -> Given:
    return Given()


@pytest.fixture
def build(
    database: Database,
    clock: ManualClock,
    http_client: AiohttpClient,
    resolver: FixedResolver,
    *,
    phone: Phone,
    given_counts: Given,
) -> Callable[..., M2mService]:
    """Another service on the same database, as after a crash; no billing events unless told."""

    def build(**changes: object) -> M2mService:
        config = M2mConfig(
            master_key=bytes(32),
            webhook_secret=WEBHOOK_SECRET,
            allowed_callback_hosts=frozenset({"127.0.0.1"}),
            resend_after_s=RESEND_AFTER_S,
        )
        return M2mService(
            database=database,
            clock=clock,
            entropy=SeededEntropy(3),
            config=replace(config, **changes),
            http=http_client,
            resolver=resolver,
            sms=phone,
            counts=given_counts,
        )

    return build


@pytest.fixture
async def service(build: Callable[[], M2mService]) -> AsyncIterator[M2mService]:
    started = build()
    await started.start()
    await started.install_key(key=KEY, client="tester", markets=["UG"])
    await started.register(serial=SERIAL, market="UG", link_key_hex=LINK_KEY.hex(), password=PASSWORD)
    yield started
    await started.stop()


@pytest.fixture
async def http(service: M2mService) -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(make_app(service, service.keys)), headers={"X-API-Key": KEY}) as client:
        yield client


@pytest.fixture
def device() -> Device:
    return Device(SERIAL, LINK_KEY)


@pytest.fixture
def make_device() -> type[Device]:
    return Device


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/hook"))
        yield receiver


async def at_rest(service: M2mService) -> None:
    """The dispatcher has dealt with what it had in hand."""
    async with asyncio.timeout(10):
        while any(service._dispatcher._running.values()):
            await asyncio.sleep(0.001)
