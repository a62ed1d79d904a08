"""A real paho client on its own thread, whose events arrive in the test's event loop."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

TIMEOUT_S = 5


@dataclass
class PahoClient:
    """Every wait ends after TIMEOUT_S with a TimeoutError."""

    port: int
    username: str
    password: str
    client_id: str
    transport: str = "tcp"
    clean_session: bool = True
    keep_alive_s: int = 30
    qos_granted: asyncio.Queue[list[int]] = field(default_factory=asyncio.Queue)
    received: asyncio.Queue[MQTTMessage] = field(default_factory=asyncio.Queue)
    acknowledged: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    answers: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.paho = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            clean_session=self.clean_session,
            transport=self.transport,  # pyright: ignore
            reconnect_on_failure=False,
        )
        self.paho.username_pw_set(self.username, self.password)
        self.paho.on_connect = lambda *a: self._post(self.answers.put_nowait, a[3].value)
        self.paho.on_disconnect = lambda *_: self._post(self.gone.set)
        self.paho.on_message = lambda _c, _u, message: self._post(self.received.put_nowait, message)
        self.paho.on_publish = lambda *a: self._post(self.acknowledged.put_nowait, a[2])
        self.paho.on_subscribe = lambda *a: self._post(self.qos_granted.put_nowait, [c.value for c in a[3]])

    def _post(self, callback: Any, *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, *arguments)

    async def connect(self) -> int:
        """Return the reason code of the CONNACK: 0, or 128 and more (paho speaks in MQTT 5 codes)."""
        await asyncio.to_thread(self.paho.connect, "127.0.0.1", self.port, self.keep_alive_s)
        self.paho.loop_start()
        return await self._within(self.answers.get())

    async def subscribe(self, topic_filter: str, qos: int = 1) -> int:
        self.paho.subscribe(topic_filter, qos)
        return (await self._within(self.qos_granted.get()))[0]

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish; a QoS 1 publication is acknowledged then."""
        self.paho.publish(topic, payload, qos, retain)
        await self._within(self.acknowledged.get())

    async def next_message(self) -> MQTTMessage:
        return await self._within(self.received.get())

    async def wait_gone(self) -> None:
        await self._within(self.gone.wait())

    async def close(self) -> None:
        self.paho.disconnect()
        await asyncio.to_thread(self.paho.loop_stop)
        self.paho._reset_sockets()  # its thread's own pair; else whoever runs when it is collected is blamed

    def cut(self) -> None:
        """Lose the connection without a DISCONNECT, as a process that is killed."""
        sock = self.paho.socket()
        assert sock is not None
        sock.shutdown(2)

    async def _within(self, awaitable: Any) -> Any:
        async with asyncio.timeout(TIMEOUT_S):
            return await awaitable
