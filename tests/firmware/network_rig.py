"""Networks for devices under test: the real device service over HTTP, a broker behind TLS, and a process that
runs main.py."""

import asyncio
import datetime
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import LogCapture

from backend.kit.database import open_database
from backend.kit.http import AiohttpClient
from backend.m2m.ports import Counts
from backend.m2m.routes import make_app
from backend.m2m.schemas import CommandRequest
from backend.m2m.service import M2mConfig, M2mService
from edge.broker import EmbeddedBroker, Login
from protocols import topics
from protocols.magicbox import seal, wire
from simulator.clock import ManualClock, SeededEntropy
from tests.edge.broker.paho_client import PahoClient
from tests.firmware.rig import LINK_KEY, MOTO_SECRET
from tests.micropython_runner import command, environment

SERIAL = "SCBLNX/A/BT/240300126005"
PASSWORD = "device-password"
TIMEOUT_S = 20
_START_MS = 1_764_583_800_000  # 2025-12-01T10:10:00Z

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NoResolver:
    async def resolve(self, host: str) -> list[str]:
        raise AssertionError(host)


@dataclass
class Service:
    """m2m in this process; `statuses` answers the next check-ins instead."""

    m2m: M2mService
    port: int
    statuses: list[int]
    check_ins: int = 0

    async def token(self, digits: str) -> None:
        """Order a command for the device."""
        request = CommandRequest(
            SERIAL, None, {"name": "unlock_token", "details": {"unlock_code": digits}}, digits
        )
        await self.m2m.intake.create(request, client="tester", markets=("UG",), callback_required=False)

    async def configure(self, key: str, value: str) -> None:
        await self.order({"name": "config", "details": {"key": key, "value": value}}, f"{key} {value}")

    async def order(self, command: dict[str, object], reference: str) -> None:
        request = CommandRequest(SERIAL, None, command, reference)
        await self.m2m.intake.create(request, client="tester", markets=("UG",), callback_required=False)

    async def replied(self) -> bool:
        """Whether no command is open any more."""
        return set((await self.m2m.audit()).commands) == {"replied"}


@asynccontextmanager
async def device_service(
    folder: Path, tls: ssl.SSLContext | None = None, *, counts: Counts | None = None
) -> AsyncIterator[Service]:
    """The device service, with the device of this module registered."""
    database = open_database(f"sqlite:///{folder}", "m2m")
    client = AiohttpClient()
    m2m = M2mService(
        database=database,
        clock=ManualClock(_START_MS),
        entropy=SeededEntropy(3),
        config=M2mConfig(master_key=bytes(32), webhook_secret=bytes(32)),
        http=client,
        resolver=NoResolver(),
        counts=counts,
    )
    await m2m.start()
    await m2m.register(serial=SERIAL, market="UG", link_key_hex=LINK_KEY.hex(), password=PASSWORD)
    found = Service(m2m, 0, [])

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        found.check_ins += request.path == "/v1/log"
        if found.statuses:
            return web.Response(status=found.statuses.pop(0))
        return await handler(request)

    app = make_app(m2m, m2m.keys)
    app.middlewares.append(refuse)
    server = TestServer(app, scheme="https" if tls else "http")
    await server.start_server(ssl=tls)
    assert server.port is not None
    found.port = server.port
    try:
        yield found
    finally:
        await server.close()
        await m2m.stop()
        await client.close()
        await database.close()


def certificates(folder: Path, name: str = "localhost") -> tuple[str, ssl.SSLContext]:
    """An authority's certificate (a file), and a server's context with one from it for localhost."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "payg tests")])
    ca = _certificate(authority, authority, authority_key, authority_key, is_ca=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    server = _certificate(subject, authority, key, authority_key, is_ca=False, host=name)
    ca_file, server_file = folder / f"{name}.ca.pem", folder / f"{name}.pem"
    pem = serialization.Encoding.PEM
    ca_file.write_bytes(ca.public_bytes(pem))
    unlocked = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server_file.write_bytes(server.public_bytes(pem) + unlocked)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_file)
    return str(ca_file), context


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool,
    host: str = "",
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if not is_ca:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


class Logins:
    async def verify(self, username: str, password: str) -> Login | None:
        known = {topics.encode_serial(SERIAL): Login("device", SERIAL), "bridge": Login("bridge")}
        return known.get(username) if password == PASSWORD else None


class Broker:
    """The embedded broker, and a bridge that hears the device and seals for it."""

    def __init__(self, port: int, bridge: PahoClient) -> None:
        self.port = port
        self._bridge = bridge
        self._down, self._up = seal.LinkKeys(LINK_KEY, seal.DOWN), seal.LinkKeys(LINK_KEY, seal.UP)
        self._sequences = count()

    async def heard(self) -> Sequence[wire.Record]:
        """The records of the next frame up."""
        message = await self._bridge.next_message()
        return wire.decode_records(seal.unseal(self._up, message.payload)[1])

    async def send(self, *records: wire.Record) -> None:
        frame = seal.seal(self._down, 0, next(self._sequences), wire.encode_records(records), True)
        await self._bridge.publish(topics.down(SERIAL), frame, qos=0)


@asynccontextmanager
async def broker(port: int = 0) -> AsyncIterator[Broker]:
    """A broker on this port (0: any); its end is its death as a device sees it."""
    embedded = EmbeddedBroker(
        logins=Logins(), log=structlog.wrap_logger(None, processors=[LogCapture()]), mqtt_port=port
    )
    ports = await embedded.start()
    bridge = PahoClient(port=ports.mqtt_port, username="bridge", password=PASSWORD, client_id="bridge")
    assert await bridge.connect() == 0
    await bridge.subscribe("payg/v1/dev/+/up")
    try:
        yield Broker(ports.mqtt_port, bridge)
    finally:
        await bridge.close()
        await embedded.stop()


@asynccontextmanager
async def behind_tls(port: int, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """A port where TLS ends before what comes goes on to `port`."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    server = await asyncio.start_server(attend, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def settings(folder: Path, **changes: object) -> dict[str, object]:
    """A device of this module, whose store is in the folder."""
    return {
        "serial": SERIAL,
        "secret": MOTO_SECRET.hex(),
        "link_key": LINK_KEY.hex(),
        "password": PASSWORD,
        "store": str(folder / "store"),
        "provision": True,
        **changes,
    }


class Board:
    """main.py in a process of MicroPython; what it prints as it comes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def until(self, **members: object) -> dict[str, object]:
        """The first line with these members; the value ... fits any."""
        assert self._process.stdout is not None
        told: list[bytes] = []
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while line := await self._process.stdout.readline():
                    told.append(line)
                    said = json.loads(line)
                    if all(name in said and value in (said[name], ...) for name, value in members.items()):
                        return said
        except TimeoutError:
            raise AssertionError(b"".join(told).decode()) from None
        assert self._process.stderr is not None
        raise AssertionError((await self._process.stderr.read()).decode())

    async def type_line(self, digits: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(digits.encode() + b"\n")
        await self._process.stdin.drain()


@asynccontextmanager
async def board(slot: Path, heap: str, given: dict[str, object]) -> AsyncIterator[Board]:
    """A device as a process, of the modules in a slot's folder; killed at the end, as if the power went."""
    config = Path(str(given["store"])).with_name("config.json")
    config.write_text(json.dumps(given))
    script = config.with_name("start.py")
    script.write_text("import sys\nfrom firmware.main import main\nsys.exit(main(sys.argv[1:]))\n")
    process = await asyncio.create_subprocess_exec(
        *command(script, [str(config)], heap),
        env=environment(slot),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Board(process)
    finally:
        process.kill()
        await process.communicate()
