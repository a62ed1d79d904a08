"""An MQTT 3.1.1 client without sockets or clock: bytes and ms in, events and bytes out.

`open` starts a connection, `received` takes what arrived and gives events, `output` is what to send. Sections
are those of the OASIS MQTT 3.1.1 standard. What a device needs is here: QoS 0 and 1, a will, keep-alive;
link.py uses it. Reconnecting is the shell's. Publications at QoS 1 are not repeated by this client: uplink.py
repeats records until they are acknowledged.
"""

import struct

from firmware.conversation import NEVER_MS, ConversationError

MAX_PACKET = 4096  # bytes of one packet received: a frame is below 1 kB, and a board's heap is small
REPLY_TIMEOUT_MS = 20_000  # for CONNACK, SUBACK, PUBACK and PINGRESP

_CONNACK = 2
_PUBLISH = 3
_PUBACK = 4
_SUBACK = 9
_PINGRESP = 13

# User name, password, will: retained, QoS 1; clean session.
_CONNECT_FLAGS = 0x80 | 0x40 | 0x20 | 0x08 | 0x04 | 0x02
_REFUSALS = ("", "version", "client_id", "unavailable", "bad_login", "not_authorized")


class MqttError(ConversationError):
    """The broker said what no broker says, refused, or is silent."""


class Connected:
    """The broker accepted the login (3.2)."""

    __slots__ = ()


class Subscribed:
    """The broker accepted a subscription (3.9)."""

    __slots__ = ()


class Acknowledged:
    """The broker took the publication (3.4)."""

    __slots__ = ("packet_id",)

    def __init__(self, packet_id: int):
        self.packet_id = packet_id


class Publication:
    """Something arrived on a topic (3.3); at QoS 1 its acknowledgement is already in the output."""

    __slots__ = ("payload", "topic")

    def __init__(self, topic: str, payload: bytes):
        self.topic = topic
        self.payload = payload


class Client:
    """One connection, from its first byte to its end; make another for the next."""

    __slots__ = (
        "_client_id",
        "_failure",
        "_input",
        "_keep_alive_ms",
        "_next_id",
        "_output",
        "_password",
        "_replies",
        "_sent_ms",
        "connected",
    )

    def __init__(self, client_id: str, password: str, keep_alive_s: int):
        """The user name is the client id. `keep_alive_s` 0: no pings."""
        self._client_id = client_id
        self._password = password
        self._keep_alive_ms = keep_alive_s * 1000
        self._failure: MqttError | None = None
        self._input = b""
        self._output = b""
        self._next_id = 1
        self._replies: dict[int, int] = {}  # packet type << 16 | packet id -> ms by which it must come
        self._sent_ms = 0
        self.connected = False

    def open(self, will_topic: str, will_payload: bytes, now_ms: int) -> None:
        """Log in (3.1), with a retained will at QoS 1."""
        head = _text("MQTT") + struct.pack(">BBH", 4, _CONNECT_FLAGS, self._keep_alive_ms // 1000)
        payload = _text(self._client_id) + _text(will_topic) + _blob(will_payload)
        payload += _text(self._client_id) + _text(self._password)
        self._send(0x10, head + payload, now_ms)
        self._expect(_CONNACK, 0, now_ms)

    def subscribe(self, topic: str, now_ms: int) -> None:
        """Subscribe at QoS 0 (3.8)."""
        packet_id = self._take_id()
        self._send(0x82, struct.pack(">H", packet_id) + _text(topic) + b"\x00", now_ms)
        self._expect(_SUBACK, packet_id, now_ms)

    def publish(self, topic: str, payload: bytes, now_ms: int, retain: bool = False) -> int:
        """Publish at QoS 1 (3.3); the packet id that `Acknowledged` will name."""
        packet_id = self._take_id()
        body = _text(topic) + struct.pack(">H", packet_id) + payload
        self._send(0x33 if retain else 0x32, body, now_ms)
        self._expect(_PUBACK, packet_id, now_ms)
        return packet_id

    def close(self, now_ms: int) -> None:
        """Say goodbye (3.14): the will is not published."""
        self._send(0xE0, b"", now_ms)

    def received(
        self, data: bytes, now_ms: int
    ) -> "list[Connected | Subscribed | Acknowledged | Publication]":
        """The events in what arrived; MqttError for bytes that no broker sends us, whatever they are.

        What came before such bytes is still given; then the next call raises.
        """
        self._check()
        self._input += data
        events: list[Connected | Subscribed | Acknowledged | Publication] = []
        try:
            self._read(events, now_ms)
        except MqttError as error:
            self._failure = error
            if not events:
                raise
        return events

    def poll(self, now_ms: int) -> int:
        """Keep the connection alive; ms until the next call. MqttError when the broker does not answer."""
        self._check()
        if self._replies and min(self._replies.values()) <= now_ms:
            raise MqttError("timeout")
        if self._ping_at_ms(now_ms) <= now_ms:
            self._send(0xC0, b"", now_ms)
            self._expect(_PINGRESP, 0, now_ms)
        return max(min([self._ping_at_ms(now_ms)] + list(self._replies.values())) - now_ms, 1)

    def output(self) -> bytes:
        """What to send; it is yours now."""
        output = self._output
        self._output = b""
        return output

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _ping_at_ms(self, now_ms: int) -> int:
        """When the next ping is due; none while one is not answered."""
        if not self.connected or not self._keep_alive_ms or _PINGRESP << 16 in self._replies:
            return now_ms + NEVER_MS
        return self._sent_ms + self._keep_alive_ms // 2

    def _read(self, events: "list[Connected | Subscribed | Acknowledged | Publication]", now_ms: int) -> None:
        """Take the whole packets off the input."""
        while True:
            length, start = _remaining_length(self._input)
            if length < 0 or len(self._input) < start + length:
                return
            head = self._input[0]
            body = self._input[start : start + length]
            self._input = self._input[start + length :]
            event = self._packet(head, body, now_ms)
            if event is not None:
                events.append(event)

    def _packet(
        self, head: int, body: bytes, now_ms: int
    ) -> "Connected | Subscribed | Acknowledged | Publication | None":
        kind = head >> 4
        if kind == _PUBLISH and self.connected:
            return self._publication(head, body, now_ms)
        if head & 0x0F:
            raise MqttError("bad_flags")
        if kind == _CONNACK:
            return self._connack(body)
        if not self.connected:
            raise MqttError("unexpected_packet")
        if kind == _PINGRESP:
            self._reply(_PINGRESP, body, 0)
            return None
        if kind == _PUBACK:
            return Acknowledged(self._reply(_PUBACK, body, 2))
        if kind == _SUBACK:
            self._reply(_SUBACK, body, 3)
            if body[2] > 2:
                raise MqttError("subscription_refused")
            return Subscribed()
        raise MqttError("unexpected_packet")

    def _connack(self, body: bytes) -> Connected:
        self._reply(_CONNACK, b"", 0)
        if len(body) != 2 or body[0] > 1 or body[1] >= len(_REFUSALS):
            raise MqttError("bad_length")
        if body[1]:
            raise MqttError("refused_" + _REFUSALS[body[1]])
        self.connected = True
        return Connected()

    def _publication(self, head: int, body: bytes, now_ms: int) -> Publication:
        qos = head >> 1 & 3
        if qos > 1:
            raise MqttError("bad_qos")
        if len(body) < 2:
            raise MqttError("bad_length")
        (length,) = struct.unpack_from(">H", body)
        start = 2 + length + 2 * qos
        if len(body) < start:
            raise MqttError("bad_length")
        if qos:
            self._send(0x40, body[start - 2 : start], now_ms)
        try:
            topic = body[2 : 2 + length].decode()
        except UnicodeError:
            raise MqttError("bad_topic") from None
        return Publication(topic, body[start:])

    def _reply(self, kind: int, body: bytes, size: int) -> int:
        """Check off an awaited reply; its packet id."""
        if len(body) != size:
            raise MqttError("bad_length")
        packet_id = struct.unpack_from(">H", body)[0] if size else 0
        if self._replies.pop(kind << 16 | packet_id, None) is None:
            raise MqttError("unexpected_packet")
        return packet_id

    def _expect(self, kind: int, packet_id: int, now_ms: int) -> None:
        self._replies[kind << 16 | packet_id] = now_ms + REPLY_TIMEOUT_MS

    def _take_id(self) -> int:
        packet_id = self._next_id
        self._next_id = packet_id % 0xFFFF + 1
        return packet_id

    def _send(self, head: int, body: bytes, now_ms: int) -> None:
        length = len(body)
        lengths = bytearray()
        while length > 0x7F:
            lengths.append(length & 0x7F | 0x80)
            length >>= 7
        lengths.append(length)
        self._output += bytes([head]) + bytes(lengths) + body
        self._sent_ms = now_ms


def _remaining_length(data: bytes) -> tuple[int, int]:
    """(remaining length, where the body starts) of the first packet (2.2.3); (-1, 0) when more must come."""
    length = 0
    for position in range(1, 5):
        if position >= len(data):
            return -1, 0
        length |= (data[position] & 0x7F) << 7 * (position - 1)
        if length > MAX_PACKET:
            raise MqttError("too_large")
        if not data[position] & 0x80:
            return length, position + 1
    raise MqttError("bad_length")


def _text(text: str) -> bytes:
    return _blob(text.encode())


def _blob(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data
