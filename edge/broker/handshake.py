"""The first packet of a client, and the borders of every later one. Pure: bytes in, values out.

The broker reads CONNECT itself, before amqtt sees anything: amqtt deletes the session of a client id before
it has checked the password. Next: `admission.py`.
"""

from dataclasses import dataclass, field

MAX_PACKET_BYTES = 256 * 1024
"""Bounds the memory of one connection; the largest frame of ours (a firmware block) is far smaller."""

CONNECT, CONNACK = 1, 2

ACCEPTED, BAD_PROTOCOL, BAD_CLIENT_ID, UNAVAILABLE, BAD_LOGIN, NOT_AUTHORIZED = range(6)
"""CONNACK return codes, MQTT 3.1.1 table 3.1."""


class PacketError(ValueError):
    """The client broke the protocol; the text is a short reason without the client's bytes."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes when the client goes without a DISCONNECT."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Connect:
    """A CONNECT packet; `keep_alive_s` 0 means none."""

    protocol_level: int
    clean_session: bool
    keep_alive_s: int
    client_id: str
    will: Will | None
    username: str | None
    password: str | None = field(repr=False)


def packet_size(data: bytes | bytearray) -> int | None:
    """Return the whole size of the packet that begins here in bytes, None until it is known.

    Raises PacketError for a malformed length and for more than MAX_PACKET_BYTES.
    """
    length = 0
    for at in range(1, 5):
        if at >= len(data):
            return None
        length |= (data[at] & 0x7F) << (7 * (at - 1))
        if not data[at] & 0x80:
            if 1 + at + length > MAX_PACKET_BYTES:
                raise PacketError("packet_too_large")
            return 1 + at + length
    raise PacketError("bad_length")


def connack(code: int) -> bytes:
    """Return the CONNACK that refuses a client."""
    return bytes((CONNACK << 4, 2, 0, code))


def parse_connect(packet: bytes) -> Connect:
    """Return what a whole CONNECT packet says; of another protocol level only the level.

    Raises PacketError for everything that MQTT 3.1.1 forbids (section 3.1).
    """
    if packet[0] != CONNECT << 4:
        raise PacketError("not_a_connect")
    length_ends = next(at for at in range(1, 5) if packet[at] < 0x80)  # `packet_size` has seen to it
    fields = _Fields(packet, start=length_ends + 1)
    name, level = fields.text(), fields.number(1)
    if name not in ("MQTT", "MQIsdp"):
        raise PacketError("not_mqtt")
    if name != "MQTT" or level != 4:
        return Connect(level, True, 0, "", None, None, None)
    flags, keep_alive_s = fields.number(1), fields.number(2)
    _check_flags(flags)
    client_id = fields.text()
    will = None
    if flags & 0x04:
        will = Will(fields.text(), fields.data(), (flags >> 3) & 3, bool(flags & 0x20))
    username = fields.text() if flags & 0x80 else None
    password = fields.text() if flags & 0x40 else None
    fields.finish()
    return Connect(level, bool(flags & 0x02), keep_alive_s, client_id, will, username, password)


def _check_flags(flags: int) -> None:
    without_will = not flags & 0x04 and flags & 0x38
    if flags & 0x01 or without_will or flags & 0x18 == 0x18 or flags & 0xC0 == 0x40:
        raise PacketError("bad_connect_flags")


class _Fields:
    """Reads the fields of one packet, never past its end."""

    def __init__(self, packet: bytes, start: int) -> None:
        self._packet = packet
        self._at = start

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def data(self) -> bytes:
        return self._take(self.number(2))

    def text(self) -> str:
        try:
            text = self.data().decode()
        except UnicodeDecodeError:
            raise PacketError("bad_text") from None
        if "\0" in text:
            raise PacketError("bad_text")
        return text

    def finish(self) -> None:
        if self._at != len(self._packet):
            raise PacketError("bad_length")

    def _take(self, size: int) -> bytes:
        taken = self._packet[self._at : self._at + size]
        if len(taken) < size:
            raise PacketError("truncated")
        self._at += size
        return taken
