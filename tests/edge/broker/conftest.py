"""A running broker and real clients for it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import structlog
from structlog.testing import LogCapture

from edge.broker import BrokerPorts, EmbeddedBroker, Login
from protocols import topics
from tests.edge.broker.paho_client import PahoClient

SERIAL_A, SERIAL_B = "SCBLNX/A/BT/240300126005", "SCBLNX/A/BT/240300126006"
PASSWORD = "right-password"


class FixedLogins:
    """Implements Logins: two devices, ops and the bridge with one password; when `down` it can't tell."""

    def __init__(self) -> None:
        self.down = False
        self._known = {
            topics.encode_serial(serial): Login("device", serial) for serial in (SERIAL_A, SERIAL_B)
        }
        self._known |= {"ops": Login("ops"), "bridge": Login("bridge")}

    async def verify(self, username: str, password: str) -> Login | None:
        if self.down:
            raise ConnectionRefusedError
        return self._known.get(username) if password == PASSWORD else None


@dataclass
class RunningBroker:
    """The broker, its ports, its log and the clients that a test makes."""

    broker: EmbeddedBroker
    ports: BrokerPorts
    logins: FixedLogins
    log: LogCapture
    clients: list[PahoClient] = field(default_factory=list)

    def client(self, username: str, *, client_id: str | None = None, **options: object) -> PahoClient:
        port = self.ports.ws_port if options.get("transport") == "websockets" else self.ports.mqtt_port
        options.setdefault("password", PASSWORD)
        client = PahoClient(port=port, username=username, client_id=client_id or username, **options)  # pyright: ignore
        self.clients.append(client)
        return client

    def device(self, serial: str, **options: object) -> PahoClient:
        return self.client(topics.encode_serial(serial), **options)

    async def connected(self, client: PahoClient) -> PahoClient:
        assert await client.connect() == 0
        return client


@pytest.fixture
async def running() -> AsyncIterator[RunningBroker]:
    log, logins = LogCapture(), FixedLogins()
    logger = structlog.wrap_logger(None, processors=[log])
    broker = EmbeddedBroker(logins=logins, log=logger)
    ports = await broker.start()
    running = RunningBroker(broker, ports, logins, log)
    yield running
    for client in running.clients:
        await client.close()
    await broker.stop()
