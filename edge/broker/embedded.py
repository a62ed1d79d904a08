"""The embedded broker: two listeners, the door, and amqtt behind it.

A connection's way: `links.py` cuts its bytes into packets, `handshake.py` reads the CONNECT, `admission.py`
decides, an older connection of the same client id is put out (and its will published), `engine.py` serves it
until it is gone.
Fit for development and some 300 devices (spec/mqtt.md says why).
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from edge.broker.admission import Logins, Refusal, admit
from edge.broker.engine import Client, Engine
from edge.broker.handshake import (
    BAD_CLIENT_ID,
    MAX_PACKET_BYTES,
    Connect,
    PacketError,
    connack,
    parse_connect,
)
from edge.broker.links import Link, Packets, StreamLink, WebSocketLink
from edge.broker.rules import Login

_CONNECT_TIMEOUT_S = 10.0
"""A client that connects and does not say CONNECT holds a socket no longer than this."""
_MAX_CONNECTIONS = 1_000
"""Twice what amqtt is fit for; the next one is turned away before it costs anything."""
_BACKLOG = 1_024
"""All devices come back at once after a restart; a full backlog costs each of them a second."""
_TAKE_OVER_S = 2.0
"""An older connection of the same client id has this long to wind up before its task is cancelled."""
_STOP_S = 1.5
_LOGGED_CHARS = 64
"""Names that a stranger chose are cut to this in the log."""


@dataclass(frozen=True, slots=True)
class BrokerPorts:
    """The ports in use."""

    mqtt_port: int
    ws_port: int


@dataclass(slots=True, eq=False)
class _Connection:
    link: Link
    task: asyncio.Task[None]


class EmbeddedBroker:
    """An MQTT 3.1.1 broker in this process, over TCP and over WebSocket (subprotocol mqtt).

    Port 0 means any free one. With `tls` both listeners speak it. `counters` says what was denied, broken or
    dropped.
    """

    def __init__(
        self,
        *,
        logins: Logins,
        log: FilteringBoundLogger,
        host: str = "127.0.0.1",
        mqtt_port: int = 0,
        ws_port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._logins = logins
        self._log = log
        self._host = host
        self._tls = tls
        self._wanted = BrokerPorts(mqtt_port, ws_port)
        self._connections: set[_Connection] = set()
        self._stream_tasks: set[asyncio.Task[None]] = set()
        self._by_client_id: dict[str, _Connection] = {}
        self._engine: Engine | None = None
        self._tcp: asyncio.Server | None = None
        self._ws: Server | None = None

    @property
    def counters(self) -> dict[str, int]:
        """What was denied, broken or dropped since the start, by name."""
        return dict(self._engine.counters) if self._engine is not None else {}

    async def start(self) -> BrokerPorts:
        """Listen; returns the ports in use. Raises OSError when one is taken."""
        self._engine = Engine()
        await self._engine.start()
        try:
            self._tcp = await asyncio.start_server(
                self._accept_stream,
                self._host,
                self._wanted.mqtt_port,
                backlog=_BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else _CONNECT_TIMEOUT_S,
            )
            self._ws = await serve(
                self._accept_websocket,
                self._host,
                self._wanted.ws_port,
                subprotocols=[Subprotocol("mqtt")],
                compression=None,
                ping_interval=None,  # MQTT has its own keep-alive
                close_timeout=1,
                max_size=MAX_PACKET_BYTES,
                backlog=_BACKLOG,
                ssl=self._tls,
                logger=_silent_logger(),
            )
        except OSError:
            await self.stop()
            raise
        return BrokerPorts(_port(self._tcp.sockets), _port(self._ws.sockets))

    async def stop(self) -> None:
        """Close everything within 2 s; wills are not published."""
        engine, self._engine = self._engine, None  # from here on nobody is let in
        if engine is None:
            return
        for listener in (self._tcp, self._ws):
            if listener is not None:
                listener.close()
        engine.forget_wills()
        tasks = self._stream_tasks | {connection.task for connection in self._connections}
        for connection in self._connections:
            connection.link.abort()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await engine.shutdown()
        for listener in (self._tcp, self._ws):
            if listener is not None:
                await listener.wait_closed()
        self._tcp = self._ws = None

    def _accept_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._attend(StreamLink(reader, writer)), name="mqtt connection")
        self._stream_tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._stream_tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("mqtt_connection_failed", error=repr(task.exception()))

    async def _accept_websocket(self, connection: ServerConnection) -> None:
        await self._attend(WebSocketLink(connection))

    async def _attend(self, link: Link) -> None:
        """Own a link from its first byte to its end."""
        task, engine = asyncio.current_task(), self._engine
        if task is None or engine is None or len(self._connections) >= _MAX_CONNECTIONS:
            link.abort()
            return
        connection = _Connection(link, task)
        self._connections.add(connection)
        try:
            await self._converse(connection, engine)
        except PacketError as error:
            engine.count_broken(str(error))
            self._log.info("mqtt_connection_broken", reason=str(error), peer=link.peer[0])
        except OSError as error:
            self._log.info("mqtt_connection_lost", reason=type(error).__name__, peer=link.peer[0])
        finally:
            self._connections.discard(connection)
            await link.close()

    async def _converse(self, connection: _Connection, engine: Engine) -> None:
        packets = Packets(connection.link)
        first = await packets.next(_CONNECT_TIMEOUT_S)
        if first is None:
            return
        connect = parse_connect(first)
        verdict = await admit(connect, self._logins)
        if isinstance(verdict, Login) and not engine.may_use(connect.client_id, connect.username or ""):
            verdict = Refusal(BAD_CLIENT_ID, "client_id_of_another_login")
        if isinstance(verdict, Refusal):
            engine.counters["denied_login"] += 1
            self._log_refusal(connect, verdict, connection.link)
            await connection.link.send(connack(verdict.code))
            return
        client = Client(connect=connect, login=verdict, packets=packets)
        await self._take_over(connect.client_id, connection)
        try:
            await engine.serve(connection.link, client)
        finally:
            if self._by_client_id.get(connect.client_id) is connection:
                del self._by_client_id[connect.client_id]

    async def _take_over(self, client_id: str, newcomer: _Connection) -> None:
        """Put out an older connection of this client id and wait for its end (MQTT-3.1.4-2)."""
        while client_id and (older := self._by_client_id.get(client_id)) is not None:
            older.link.abort()
            _, late = await asyncio.wait([older.task], timeout=_TAKE_OVER_S)
            if late:
                older.task.cancel()
                await asyncio.wait([older.task])
        if client_id:
            self._by_client_id[client_id] = newcomer

    def _log_refusal(self, connect: Connect, refusal: Refusal, link: Link) -> None:
        self._log.warning(
            "mqtt_login_denied",
            reason=refusal.reason,
            code=refusal.code,
            username=(connect.username or "")[:_LOGGED_CHARS],
            client_id=connect.client_id[:_LOGGED_CHARS],
            peer=link.peer[0],
        )


def _port(sockets: Iterable[socket.socket]) -> int:
    return int(next(iter(sockets)).getsockname()[1])


def _silent_logger() -> logging.Logger:
    """websockets logs each garbled handshake with a traceback; the broker answers it and that is all."""
    logger = logging.getLogger("edge.broker.websocket")
    logger.setLevel(logging.CRITICAL)
    return logger
