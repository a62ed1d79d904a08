"""Non-blocking TCP and keypad input for main.py in a process, on CPython and MicroPython alike."""

import os
import select
import socket
import sys

_WOULD_BLOCK = (11, 35, 115)  # EAGAIN on Linux and BSD, EINPROGRESS
_IN = select.POLLIN
_OUT = select.POLLOUT
_READ_BYTES = 1024
_os_read = getattr(os, "read", None)  # MicroPython has none, and its standard input no buffer to get around


class Tcp:
    """One connection that never blocks. Any failure is an OSError: close it and make another."""

    __slots__ = ("_output", "_poller", "_socket", "is_open")

    def __init__(self, host: str, port: int, poller: select.poll):
        address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0][-1]
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._poller = poller
        self._output = b""
        self.is_open = False
        poller.register(self._socket, _IN | _OUT)
        try:
            self._socket.connect(address)
        except OSError as error:
            if error.errno not in _WOULD_BLOCK:
                self.close()
                raise

    def is_self(self, ready: object) -> bool:
        """Whether what a poller returned is this socket (an object on MicroPython, a number on CPython)."""
        return ready is self._socket or ready == self._socket.fileno()

    def receive(self) -> bytes | None:
        """What has arrived, None when nothing has; OSError when the peer is gone."""
        try:
            data = self._socket.recv(_READ_BYTES)
        except OSError as error:
            if error.errno in _WOULD_BLOCK:
                return None
            raise
        if not data:
            raise OSError("closed by the broker")
        return data

    def send(self, data: bytes) -> None:
        """Send as much as goes now, and keep the rest for the next call."""
        self._output += data
        if self._output:
            try:
                self._output = self._output[self._socket.send(self._output) :]
            except OSError as error:
                if error.errno not in _WOULD_BLOCK:
                    raise
        self._poller.modify(self._socket, _IN | _OUT if self._output else _IN)

    def close(self) -> None:
        self._poller.unregister(self._socket)
        self._socket.close()


class Lines:
    """Standard input as a keypad: one entry a line."""

    __slots__ = ("_poller", "_rest")

    def __init__(self, poller: select.poll):
        self._poller = poller
        self._rest = b""
        poller.register(sys.stdin, _IN)

    def is_self(self, ready: object) -> bool:
        return ready is sys.stdin or ready == 0

    def read(self) -> list[str]:
        """The lines that are complete; at the end of the input it watches no longer."""
        data = _os_read(0, _READ_BYTES) if _os_read is not None else sys.stdin.buffer.read(1)
        if not data:
            self._poller.unregister(sys.stdin)
            return []
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [_ascii(line) for line in lines]


def _ascii(line: bytes) -> str:
    return "".join([chr(octet) if octet < 0x80 else "?" for octet in line]).strip()
