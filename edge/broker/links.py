"""The two ways a client reaches the broker, TCP and WebSocket, as one kind of link that carries packets.

Next: `admission.py` decides who gets in.
"""

import asyncio
from typing import Protocol, cast

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from edge.broker.handshake import packet_size

_READ_BYTES = 64 * 1024
_CLOSE_TIMEOUT_S = 1.0
"""What is still to be sent gets this long; a peer that does not read is cut off."""


class Link(Protocol):
    """A byte stream to one client."""

    @property
    def peer(self) -> tuple[str, int]: ...

    async def receive(self) -> bytes:
        """Return some bytes, none at the end."""
        ...

    async def send(self, data: bytes) -> None:
        """Hand bytes over, waiting while the client is slow; raises ConnectionResetError when it is gone."""
        ...

    async def close(self) -> None: ...

    def abort(self) -> None: ...


class StreamLink:
    """A TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def peer(self) -> tuple[str, int]:
        return _address(self._writer.get_extra_info("peername"))

    async def receive(self) -> bytes:
        try:
            return await self._reader.read(_READ_BYTES)
        except OSError:
            return b""

    async def send(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._writer.wait_closed()
        except OSError:  # TimeoutError is one
            self.abort()

    def abort(self) -> None:
        self._writer.transport.abort()


class WebSocketLink:
    """A WebSocket with subprotocol mqtt; packets may be cut anywhere by its frames (MQTT-6.0.0-2)."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket

    @property
    def peer(self) -> tuple[str, int]:
        return _address(self._socket.remote_address)

    async def receive(self) -> bytes:
        try:
            data = await self._socket.recv()
        except ConnectionClosed:
            return b""
        return data if isinstance(data, bytes) else b""  # a text frame ends the connection, MQTT-6.0.0-1

    async def send(self, data: bytes) -> None:
        try:
            await self._socket.send(data)
        except ConnectionClosed:
            raise ConnectionResetError from None

    async def close(self) -> None:
        await self._socket.close()  # bounded by the listener's close_timeout

    def abort(self) -> None:
        self._socket.transport.abort()


class Packets:
    """Cuts a link's bytes into whole packets, each at most MAX_PACKET_BYTES."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._buffer = bytearray()

    async def next(self, timeout_s: float | None) -> bytes | None:
        """Return the next packet; None when the client is gone or silent for `timeout_s`.

        Raises PacketError for a malformed or oversized one.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._cut()
        except TimeoutError:
            return None

    async def _cut(self) -> bytes | None:
        while True:
            size = packet_size(self._buffer)
            if size is not None and len(self._buffer) >= size:
                packet = bytes(self._buffer[:size])
                del self._buffer[:size]
                return packet
            data = await self._link.receive()
            if not data:
                return None
            self._buffer += data


def _address(name: object) -> tuple[str, int]:
    if isinstance(name, tuple):
        host, port, *_ = cast("tuple[object, ...]", (*name, "", 0))
        return str(host), port if isinstance(port, int) else 0
    return "", 0
