"""One MQTT connection: paho without its threads, on the running event loop. Only this module touches paho.

A session is subscribed when `open_session` returns, and is never used again once it is lost: a packet id
means something only on the connection that it came by. Next: `mqtt.py` opens one after the other.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from bridge.core import Publication

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

_CONNECT_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 30
_MISC_EVERY_S = 1.0
"""How often paho looks after its keep-alive."""
_READS_A_WAKE_UP = 64
"""Packets taken before others on the loop get their turn; paho's loop_read takes one a call."""
_MAX_INFLIGHT = 1_000
"""QoS 1 publications without a PUBACK; a feed publishes fewer at a time."""
_MAX_WAITING = 4_000
_MAX_WAITING_BYTES = 16 * 1024 * 1024
"""Packets that wait for their batch; beyond either, reading pauses and the broker holds the rest back."""


_T = TypeVar("_T")


class SessionLostError(Exception):
    """The connection is gone, or was not granted; what was not acknowledged comes again on the next one."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is, and who the bridge is there."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    client_id: str
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Packet:
    """A received publication that the broker keeps until it is acknowledged."""

    topic: str
    payload: bytes = field(repr=False)
    mid: int
    qos: int


class _Paho(Client):
    """paho with a socket that is connected already: its own connecting would block the loop."""

    def __init__(self, address: Address, connected: socket.socket) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=address.client_id,
            clean_session=False,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self.username_pw_set(address.username, address.password)
        self.max_inflight_messages_set(_MAX_INFLIGHT)
        self._connected = connected

    def _create_socket(self) -> "SocketLike":
        return cast("SocketLike", self._connected)


async def open_session(address: Address, filters: Sequence[str]) -> "Session":
    """Connect, log in with a persistent session and subscribe at QoS 1. Raises SessionLostError."""
    session = None
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            session = Session(address, await _connect(address))
            await session.begin(address, filters)
    except OSError as error:  # TimeoutError is one
        if session is not None:
            session.close()
        raise SessionLostError(type(error).__name__) from None
    except (SessionLostError, asyncio.CancelledError):
        if session is not None:
            session.close()
        raise
    return session


async def _connect(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connecting, (address.host, address.port))
        if address.tls is not None:
            connecting = address.tls.wrap_socket(
                connecting, server_hostname=address.host, do_handshake_on_connect=False
            )
            await _shake_hands(connecting)
    except BaseException:
        connecting.close()
        raise
    return connecting


async def _shake_hands(secured: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            return secured.do_handshake()
        except ssl.SSLWantReadError:
            await _ready(secured, loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _ready(secured, loop.add_writer, loop.remove_writer)


async def _ready(
    secured: ssl.SSLSocket, add: Callable[..., None], remove: Callable[[ssl.SSLSocket], bool]
) -> None:
    is_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    add(secured, lambda: is_ready.done() or is_ready.set_result(None))
    try:
        await is_ready
    finally:
        remove(secured)


class Session:
    """A logged-in connection."""

    def __init__(self, address: Address, connected: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[str] = self._loop.create_future()
        self._waiting: deque[Packet] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._handled = 0
        self._reading: SocketLike | None = None
        self._handed_over: dict[int, asyncio.Future[None]] = {}
        self._connack: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._suback: asyncio.Future[list[ReasonCode]] = self._loop.create_future()
        self._connected = connected
        self._paho = _Paho(address, connected)
        self._set_callbacks()
        self._misc = self._loop.call_later(_MISC_EVERY_S, self._look_after)

    async def begin(self, address: Address, filters: Sequence[str]) -> None:
        """Log in and subscribe. Raises SessionLostError when either is refused."""
        self._paho.connect(address.host, address.port, _KEEP_ALIVE_S)
        answer = await self._unless_lost(self._connack)
        if answer.is_failure:
            raise SessionLostError(str(answer))
        self._paho.subscribe([(topic_filter, 1) for topic_filter in filters])
        if any(granted.is_failure for granted in await self._unless_lost(self._suback)):
            raise SessionLostError("subscription refused")

    @property
    def alive(self) -> bool:
        return not self._lost.done()

    async def wait_lost(self) -> str:
        """Return why, once the connection is gone."""
        return await asyncio.shield(self._lost)

    async def take(self, limit: int) -> list[Packet]:
        """Return what waits, one to `limit` packets in order of arrival. Raises SessionLostError."""
        while not self._waiting:
            self._arrived.clear()
            await self._unless_lost(self._arrived.wait())
        if not self.alive:
            raise SessionLostError(self._lost.result())
        taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        self._waiting_bytes -= sum(len(packet.payload) for packet in taken)
        self._resume_reading()
        return taken

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Return when the broker has them: QoS 0 written, QoS 1 acknowledged. Raises SessionLostError."""
        if not self.alive:
            raise SessionLostError
        handed_over: list[asyncio.Future[None]] = []
        for publication in publications:
            info = self._paho.publish(
                publication.topic, publication.payload, publication.qos, publication.retain
            )
            if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise SessionLostError(info.rc.name)
            handed_over.append(self._handed_over.setdefault(info.mid, self._loop.create_future()))
        if handed_over:
            await self._unless_lost(asyncio.gather(*handed_over))

    def acknowledge(self, packets: Sequence[Packet]) -> None:
        """Tell the broker to forget these; of no effect on a lost session."""
        if self.alive:
            for packet in packets:
                self._paho.ack(packet.mid, packet.qos)

    def close(self) -> None:
        """Say DISCONNECT and go; what is not acknowledged stays with the broker."""
        self._misc.cancel()
        if self.alive:
            self._paho.disconnect()
            self._paho.loop_write()
        self._mark_lost("closed")
        if self._connected.fileno() >= 0:
            self._loop.remove_reader(self._connected)
            self._loop.remove_writer(self._connected)
        self._connected.close()

    async def _unless_lost(self, awaited: Awaitable[_T]) -> _T:
        waiting = asyncio.ensure_future(awaited)
        try:
            await asyncio.wait([waiting, self._lost], return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            raise SessionLostError(self._lost.result())
        finally:
            waiting.cancel()

    def _set_callbacks(self) -> None:
        paho = self._paho
        paho.on_connect = self._on_connect
        paho.on_subscribe = self._on_subscribe
        paho.on_publish = self._on_publish
        paho.on_message = self._on_message
        paho.on_disconnect = self._on_disconnect
        paho.on_socket_open = self._on_socket_open
        paho.on_socket_close = self._on_socket_close
        paho.on_socket_register_write = self._on_socket_register_write
        paho.on_socket_unregister_write = self._on_socket_unregister_write

    def _on_connect(self, _c: Client, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        self._handled += 1
        if not self._connack.done():
            self._connack.set_result(reason)

    def _on_subscribe(self, _c: Client, _u: object, _m: int, reasons: list[ReasonCode], _p: object) -> None:
        self._handled += 1
        if not self._suback.done():
            self._suback.set_result(reasons)

    def _on_publish(self, _c: Client, _u: object, mid: int, _r: object, _p: object) -> None:
        self._handled += 1
        handed_over = self._handed_over.pop(mid, None)
        if handed_over is not None and not handed_over.done():
            handed_over.set_result(None)

    def _on_message(self, _c: Client, _u: object, message: MQTTMessage) -> None:
        self._handled += 1
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # parses as no topic of ours, is counted and acknowledged
        self._waiting.append(Packet(topic, bytes(message.payload), message.mid, message.qos))
        self._waiting_bytes += len(message.payload)
        self._arrived.set()
        if self._is_full() and self._reading is not None:
            self._loop.remove_reader(self._reading)

    def _on_disconnect(self, _c: Client, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        self._mark_lost(str(reason))

    def _on_socket_open(self, _c: Client, _u: object, sock: "SocketLike") -> None:
        self._reading = sock
        self._loop.add_reader(sock, self._read)

    def _on_socket_close(self, _c: Client, _u: object, sock: "SocketLike") -> None:
        self._reading = None
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)
        self._mark_lost("socket closed")

    def _on_socket_register_write(self, _c: Client, _u: object, sock: "SocketLike") -> None:
        self._loop.add_writer(sock, self._paho.loop_write)

    def _on_socket_unregister_write(self, _c: Client, _u: object, sock: "SocketLike") -> None:
        self._loop.remove_writer(sock)

    def _read(self) -> None:
        for _ in range(_READS_A_WAKE_UP):
            before = self._handled
            self._paho.loop_read()
            if before == self._handled or self._reading is None or self._is_full():
                break
        self._read_on()

    def _read_on(self) -> None:
        """Come back for what TLS has decrypted already: the socket does not tell of it."""
        if self._reading is None or self._is_full() or not isinstance(self._connected, ssl.SSLSocket):
            return
        if self._connected.pending():
            self._loop.call_soon(self._read)

    def _is_full(self) -> bool:
        return len(self._waiting) >= _MAX_WAITING or self._waiting_bytes >= _MAX_WAITING_BYTES

    def _resume_reading(self) -> None:
        if self._reading is not None and not self._is_full():
            self._loop.add_reader(self._reading, self._read)
            self._read_on()

    def _look_after(self) -> None:
        self._paho.loop_misc()
        if self.alive:
            self._misc = self._loop.call_later(_MISC_EVERY_S, self._look_after)

    def _mark_lost(self, reason: str) -> None:
        if not self._lost.done():
            self._lost.set_result(reason)
