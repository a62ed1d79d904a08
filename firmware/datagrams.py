"""The two questions that a board asks over UDP: an address (DNS, RFC 1035) and the time (SNTP, RFC 4330).

A board's own getaddrinfo waits for up to a quarter of a minute, longer than the watchdog does; and without a
time of day no certificate can be checked. Bytes only: hal/udp.py asks. The time has no say in credit.
"""

import struct

DNS_PORT = 53
NTP_PORT = 123

_TYPE_A_CLASS_IN = b"\x00\x01\x00\x01"
_MAX_NAME = 253
_NTP_UNIX_S = 2_208_988_800  # 1900 to 1970
_NTP_ERA_S = 4_294_967_296


def address_question(host: str, number: int) -> bytes:
    """The query for the IPv4 address of a name; ValueError for what is no name. `number`: 16 bits."""
    name = b""
    for label in host.encode().split(b"."):
        if not 0 < len(label) < 64:
            raise ValueError("no host name: " + host)
        name += bytes([len(label)]) + label
    if len(name) > _MAX_NAME:
        raise ValueError("no host name: " + host)
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + name + b"\x00" + _TYPE_A_CLASS_IN


def address_answer(question: bytes, data: bytes) -> "str | None":
    """The address in the answer to `question`; "" when the name has none, None when it is no answer to it."""
    if len(data) < len(question) or data[:2] != question[:2] or data[12 : len(question)] != question[12:]:
        return None
    flags, questions, answers = struct.unpack_from(">HHH", data, 2)
    if not flags & 0x8000 or questions != 1:
        return None
    if flags & 0x000F:
        return ""
    offset = len(question)
    for _ in range(answers):
        offset = _after_name(data, offset)
        if offset + 10 > len(data):
            return ""
        (size,) = struct.unpack_from(">H", data, offset + 8)
        start = offset + 10
        if data[offset : offset + 4] == _TYPE_A_CLASS_IN and size == 4 and start + 4 <= len(data):
            return "%d.%d.%d.%d" % tuple(data[start : start + 4])
        offset = start + size  # an alias: its address follows
    return ""


def time_question(nonce: bytes) -> bytes:
    """A request of version 4; the answer brings the 8 bytes of `nonce` back."""
    return b"\x23" + bytes(39) + nonce


def time_answer(question: bytes, data: bytes) -> int:
    """Unix seconds in the answer to `question`; 0 when it is no answer to it, or its sender has no time."""
    if len(data) < 48 or data[0] & 0x07 != 4 or not 0 < data[1] < 16 or data[24:32] != question[40:48]:
        return 0
    (seconds,) = struct.unpack_from(">I", data, 40)
    if seconds < _NTP_UNIX_S:  # since 2036 it counts anew
        seconds += _NTP_ERA_S
    return seconds - _NTP_UNIX_S


def _after_name(data: bytes, offset: int) -> int:
    """Where a name ends: at a zero, or with a pointer of two bytes."""
    while offset < len(data):
        length = data[offset]
        if length >= 0xC0:
            return offset + 2
        if not length:
            return offset + 1
        offset += 1 + length
    return offset
