"""The MQTT topics of devices and of the ops feed.

`payg/v1/dev/{serial}/up|down|state` and `payg/v1/ops/{market}/{serial}/{kind}`. A serial's bytes other than
A-Z a-z 0-9 _ - are percent-encoded: brokers treat `/`, `+`, `#` and some of them `.` as their own.
"""

PREFIX = "payg/v1"
OPS_KINDS = ("status", "event", "alarm", "command", "payment")

_LEAVES = ("up", "down", "state")
_SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_HEX = "0123456789ABCDEF"


def encode_serial(serial: str) -> str:
    """The topic level of a serial; also its MQTT client id and user name. ValueError if empty."""
    if not serial:
        raise ValueError("a serial must not be empty")
    return "".join([chr(octet) if octet in _SAFE else f"%{octet:02X}" for octet in serial.encode()])


def decode_serial(level: str) -> str:
    """The serial of a topic level; ValueError unless the level is exactly what `encode_serial` writes."""
    octets = bytearray()
    position = 0
    while position < len(level):
        if level[position] == "%":
            octets.append(_octet(level[position + 1 : position + 3]))
            position += 3
        else:
            octets.append(ord(level[position]) & 0xFF)
            position += 1
    serial = _text(bytes(octets))
    if encode_serial(serial) != level:
        raise ValueError("not an encoded serial")
    return serial


def up(serial: str) -> str:
    """Where a device publishes its frames."""
    return _device(serial, "up")


def down(serial: str) -> str:
    """Where a device receives frames."""
    return _device(serial, "down")


def state(serial: str) -> str:
    """Where a device's online state is retained."""
    return _device(serial, "state")


def ops(market: str, serial: str, kind: str) -> str:
    """Where the JSON of one kind (OPS_KINDS) about a device goes; ValueError for a bad kind or market."""
    if kind not in OPS_KINDS:
        raise ValueError("ops kind must be one of " + ", ".join(OPS_KINDS))
    if not _is_market(market):
        raise ValueError("a market is a code of letters and digits")
    return f"{PREFIX}/ops/{market}/{encode_serial(serial)}/{kind}"


def parse(topic: str) -> tuple[str, str] | tuple[str, str, str, str] | None:
    """("up"|"down"|"state", serial) or ("ops", market, serial, kind); None for any other topic."""
    levels = topic.split("/")
    if levels[:2] != PREFIX.split("/"):
        return None
    try:
        if len(levels) == 5 and levels[2] == "dev" and levels[4] in _LEAVES:
            return levels[4], decode_serial(levels[3])
        if len(levels) == 6 and levels[2] == "ops" and levels[5] in OPS_KINDS and _is_market(levels[3]):
            return "ops", levels[3], decode_serial(levels[4]), levels[5]
    except ValueError:
        return None
    return None


def _device(serial: str, leaf: str) -> str:
    return f"{PREFIX}/dev/{encode_serial(serial)}/{leaf}"


def _is_market(level: str) -> bool:
    return bool(level) and all(octet in _SAFE for octet in level.encode())


def _octet(digits: str) -> int:
    high, low = (_HEX.find(digit) for digit in digits) if len(digits) == 2 else (-1, -1)
    if high < 0 or low < 0:
        raise ValueError("not an encoded serial")
    return high << 4 | low


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeError:  # on MicroPython no ValueError
        raise ValueError("not an encoded serial") from None
