"""What TLS did not take is offered again as it was: mbed TLS counts what is added as sent."""

import select
import socket
from typing import Any, cast

from firmware.hal.net import Tcp


class MbedTls:
    """The TLS stream of boards: a record that did not go is kept, whatever is offered the next time."""

    def __init__(self) -> None:
        self.sent = b""
        self.has_room = True
        self._record = b""

    def wrap_socket(self, *_: object, **__: object) -> "MbedTls":
        return self

    def write(self, data: bytes) -> int | None:
        self._record = self._record or data
        if not self.has_room:
            return None
        self.sent += self._record
        self._record = b""
        return len(data)

    def readinto(self, _: memoryview) -> None:
        return None

    def close(self) -> None:
        pass


def test_nothing_is_lost_when_more_is_said_while_a_record_waits() -> None:
    stream = MbedTls()
    with socket.create_server(("127.0.0.1", 0)) as server:
        tcp = Tcp("127.0.0.1", server.getsockname()[1], cast("Any", stream), select.poll())
        while not tcp.poll(0):
            continue
        stream.has_room = False
        for said in (b"frame ", b"ping ", b"goodbye"):
            tcp.send(said)
        stream.has_room = True
        while tcp.unsent:
            tcp.send(b"")
        tcp.close()
    assert stream.sent == b"frame ping goodbye"
