"""TCP and TLS that never block, on CPython and on the MicroPython of hosts, ESP32 and RP2: the network port
of pump.py.

A connection's way: address (asked over UDP on a board, whose getaddrinfo would wait), TCP, TLS. TLS shakes
hands inside reads and writes: what was to be sent waits until it is done. On a board that computes for some
seconds, the longest piece of it at once.
"""

import select
import socket
from errno import EAGAIN, EINPROGRESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import Any

    from firmware.hal.udp import Lookup
    from firmware.hal.wall import Wall
    from firmware.hal.wifi import Wifi

_TLS_WANTS = (2, 3)  # CPython's SSLWantReadError and SSLWantWriteError, which are OSErrors
_READ_BYTES = 1024


class Tcp:
    """One connection. Any failure is an OSError: close it and make another."""

    __slots__ = (
        "_buffer",
        "_context",
        "_host",
        "_is_open",
        "_lookup",
        "_output",
        "_poller",
        "_port",
        "_read_into",
        "_socket",
        "_tls",
        "_tried",
        "_write",
    )

    def __init__(
        self, host: str, port: int, context: "ssl.SSLContext | None", poller: "select.poll", dns: str = ""
    ):
        """`context`: of TLS, or None. `dns`: the address of a name server; empty: the system asks its own."""
        self._host = host
        self._port = port
        self._context = context
        self._poller = poller
        self._output = b""
        self._tried = 0  # bytes of the output that did not go: TLS wants just these again
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._is_open = False
        self._lookup: Lookup | None = None
        self._socket: socket.socket | None = None
        self._tls: ssl.SSLSocket | None = None
        self._read_into: Callable[[memoryview], int | None] | None = None
        self._write: Callable[[bytes], int | None] | None = None
        if dns:
            self._lookup = _lookup(dns, host)
        else:
            self._connect(host)

    @property
    def unsent(self) -> bool:
        """Whether some of the output is still to go."""
        return bool(self._output)

    def poll(self, now_ms: int) -> bool:
        """Go on connecting; True when the connection stands, as far as one can tell."""
        if self._lookup is not None:
            address = self._lookup.poll(now_ms)
            if address:
                self._lookup.close()
                self._lookup = None
                self._connect(address)
        elif self._write is None:
            if self._has_event():
                self._tcp_stands()
        elif not self._is_open:
            self._is_open = self._shake_hands()
        return self._is_open

    def receive(self) -> "bytes | None":
        """What has arrived, None when nothing has; OSError when the peer is gone."""
        if self._read_into is None:
            return None
        try:
            size = self._read_into(self._buffer)
        except (OSError, ValueError) as error:
            self._refuse(error)
            return None
        if size is None:  # MicroPython's way to say EAGAIN
            return None
        if not size:
            raise OSError("closed by the peer")
        return bytes(self._buffer[:size])

    def send(self, data: bytes) -> None:
        """Send as much as goes now, and keep the rest for the next call."""
        had_rest = bool(self._output)
        self._output += data
        if not self._output or self._write is None:
            return
        size = self._tried or len(self._output)
        sent = 0
        try:
            sent = self._write(self._output[:size]) or 0
        except (OSError, ValueError) as error:
            self._refuse(error)
        self._output = self._output[sent:]
        self._tried = size - sent
        if had_rest != bool(self._output):
            self._watch(select.POLLIN | (select.POLLOUT if self._output else 0))

    def close(self) -> None:
        """Let go of everything, in whatever state it is."""
        if self._lookup is not None:
            self._lookup.close()
        if self._socket is not None:
            self._poller.unregister(self._socket)
            if self._tls is not None:
                self._tls.close()
            self._socket.close()
        self._lookup = self._tls = self._socket = None
        self._read_into = self._write = None  # MicroPython falls over a closed TLS socket

    def _connect(self, address: str) -> None:
        place = socket.getaddrinfo(address, self._port, 0, socket.SOCK_STREAM)[0][-1]
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._poller.register(self._socket, select.POLLIN | select.POLLOUT)
        try:
            self._socket.connect(place)
        except OSError as error:
            if error.errno not in (EINPROGRESS, EAGAIN):
                self.close()
                raise

    def _has_event(self) -> bool:
        """Whether the poller has something to say about the socket: it stands, or it failed."""
        tcp = self._socket
        if tcp is None:
            return False
        number = getattr(tcp, "fileno", None)  # what CPython's poller names; MicroPython's names the object
        for ready in self._poller.poll(0):
            if ready[0] is tcp or (number is not None and ready[0] == number()):
                return True
        return False

    def _tcp_stands(self) -> None:
        """Or it failed: then the first read or write says why."""
        tcp = self._socket
        if tcp is None:
            return
        stream = tcp
        if self._context is not None:
            try:
                stream = self._tls = self._context.wrap_socket(
                    tcp, server_hostname=self._host, do_handshake_on_connect=False
                )
            except ValueError as error:
                raise OSError(str(error)) from None
            if hasattr(stream, "do_handshake"):  # CPython's has taken over what the poller watches
                taken: Any = stream
                self._socket = taken
        self._read_into = getattr(stream, "recv_into", None) or getattr(stream, "readinto", None)
        self._write = stream.send if self._context is None else getattr(stream, "write", None)
        self._is_open = self._context is None
        self._watch(select.POLLIN)

    def _shake_hands(self) -> bool:
        """CPython wants it apart; True when it is done, or goes on inside reads and writes."""
        shake = getattr(self._tls, "do_handshake", None)
        if shake is None:
            return True
        try:
            shake()
        except (OSError, ValueError) as error:
            self._refuse(error)
            return False
        return True

    def _watch(self, events: int) -> None:
        if self._socket is not None:
            self._poller.modify(self._socket, events)

    def _refuse(self, error: "OSError | ValueError") -> None:
        """Raise `error` unless it only says that nothing goes now."""
        if not isinstance(error, OSError):  # MicroPython about a certificate
            raise OSError(str(error).strip()) from None
        if error.errno == EAGAIN or (self._context is not None and error.errno in _TLS_WANTS):
            return
        raise error


def _lookup(dns: str, host: str) -> "Lookup":
    from firmware.hal.udp import Lookup  # hosts do without

    return Lookup(dns, host)


class Network:
    """Makes connections, over Wi-Fi where there is one, and waits for something to happen on them."""

    __slots__ = ("_ca", "_context", "_is_insecure", "_wall", "_wifi", "poller")

    def __init__(
        self,
        ca: str,
        is_insecure: bool,
        wifi: "Wifi | None" = None,
        wall: "Wall | None" = None,
    ):
        """`ca`: certificates of authorities (PEM, or the path of a file with them) that may vouch for a
        server; `is_insecure`: any server will do. `wall` brings the time of day, without which no certificate
        is good.
        """
        self._ca = ca
        self._is_insecure = is_insecure
        self._wifi = wifi
        self._wall = wall
        self._context: ssl.SSLContext | None = None
        self.poller = select.poll()

    def up(self, now_ms: int) -> bool:
        """Whether there is a network; brings it up when it is gone."""
        wifi = self._wifi
        if wifi is not None and not wifi.poll(now_ms):
            return False
        return self._wall is None or self._wall.poll(now_ms, self._dns())

    def connect(self, host: str, port: int, tls: bool) -> Tcp:
        """Begin to connect. OSError, also when the certificates of `ca` cannot be used."""
        if tls and self._context is None:
            from firmware.hal.tls import client_context  # half of all devices do without

            self._context = client_context(self._ca, self._is_insecure)
        return Tcp(host, port, self._context if tls else None, self.poller, self._dns())

    def wait(self, wait_ms: int) -> bool:
        """Sleep, at most so long; True when something happened on a connection."""
        return bool(self.poller.poll(wait_ms))

    def _dns(self) -> str:
        return "" if self._wifi is None else self._wifi.dns()
