"""One question over UDP, asked until it is answered, never waiting (datagrams.py has the bytes)."""

import os
import socket

from firmware import datagrams

REPEAT_MS = 2_000
_LONGEST = 512  # bytes of an answer


class Udp:
    """A socket to one address; any failure of the network is an answer that does not come."""

    __slots__ = ("_address", "_repeat_ms", "_socket")

    def __init__(self, address: str, port: int):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._address = socket.getaddrinfo(address, port, 0, socket.SOCK_DGRAM)[0][-1]
        self._repeat_ms = 0

    def exchange(self, question: bytes, now_ms: int) -> bytes:
        """Ask when it is time; what came from there, mostly nothing."""
        try:
            if now_ms >= self._repeat_ms:
                self._repeat_ms = now_ms + REPEAT_MS
                self._socket.sendto(question, self._address)
            data, sender = self._socket.recvfrom(_LONGEST)
        except OSError:  # nothing came, or nothing goes now
            return b""
        return data if sender == self._address else b""

    def close(self) -> None:
        self._socket.close()


class Lookup:
    """The address of a name, or of what is an address already."""

    __slots__ = ("_host", "_question", "_udp")

    def __init__(self, server: str, host: str):
        """OSError for a name that none can have."""
        self._host = host
        self._udp: Udp | None = None
        if is_address(host):
            return
        number = os.urandom(2)
        try:
            self._question = datagrams.address_question(host, number[0] << 8 | number[1])
        except ValueError as error:
            raise OSError(str(error)) from None
        self._udp = Udp(server, datagrams.DNS_PORT)

    def poll(self, now_ms: int) -> str:
        """The address; empty while it is not known. OSError when the name has none."""
        if self._udp is None:
            return self._host
        data = self._udp.exchange(self._question, now_ms)
        address = datagrams.address_answer(self._question, data)
        if address is None:
            return ""
        if not address:
            raise OSError("no address for " + self._host)
        return address

    def close(self) -> None:
        if self._udp is not None:
            self._udp.close()


def is_address(host: str) -> bool:
    """Whether a host is given by four numbers."""
    parts = host.split(".")
    return len(parts) == 4 and all([part.isdigit() and int(part) < 256 for part in parts])
