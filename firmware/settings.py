"""The settings that a CONFIG command may change, in force until another one; config.py has the defaults.

state.py stores what was changed, so a firmware with other defaults keeps the operator's choice.
"""

from firmware.config import MAX_KEEP_ALIVE_S, Config, are_links
from protocols.magicbox import wire

# What a device can be told without losing it: it must go on to report, and to notice a dead connection.
MIN_STATUS_INTERVAL_S = 5
MAX_STATUS_INTERVAL_S = 7 * 86_400
MIN_KEEP_ALIVE_S = 10
MAX_LOW_CREDIT_S = 30 * 86_400  # 0: no warning

_MAX_TEXT = 16


class Settings:
    """`status_interval_s`, `keep_alive_s`, `low_credit_s`; `links` in the order of trying, with commas."""

    __slots__ = ("_changed", "_config", "keep_alive_s", "links", "low_credit_s", "status_interval_s")

    def __init__(self, config: Config):
        self._config = config
        self.clear()

    def clear(self) -> None:
        """Back to the defaults."""
        self._changed: dict[int, bytes] = {}
        self._apply()

    def set(self, key: int, value: bytes) -> bool:
        """Change one setting (CONFIG_KEY_*, text; empty: its default again); False for a key or value that
        this firmware does not know, and then nothing changed."""
        if value:
            if not _is_good(key, value):
                return False
            self._changed[key] = value
        else:
            if key not in wire.CONFIG_KEY_NAMES:
                return False
            self._changed.pop(key, None)
        self._apply()
        return True

    def pack(self) -> bytes:
        return b"".join([bytes([key, len(value)]) + value for key, value in self._changed.items()])

    def unpack(self, data: bytes) -> None:
        """What an older or newer firmware allowed and this one does not is its default again."""
        self._changed = {}
        offset = 0
        while offset < len(data):
            key, length = data[offset], data[offset + 1]
            offset += 2 + length
            self.set(key, bytes(data[offset - length : offset]))
        self._apply()

    def _apply(self) -> None:
        config = self._config
        self.status_interval_s = self._number(wire.CONFIG_KEY_STATUS_INTERVAL_S, config.status_interval_s)
        self.keep_alive_s = self._number(wire.CONFIG_KEY_KEEP_ALIVE_S, config.keep_alive_s)
        self.low_credit_s = self._number(wire.CONFIG_KEY_LOW_CREDIT_S, config.low_credit_s)
        links = self._changed.get(wire.CONFIG_KEY_LINKS)
        self.links = config.links if links is None else links.decode()

    def _number(self, key: int, default: int) -> int:
        value = self._changed.get(key)
        return default if value is None else int(value)


def _is_good(key: int, value: bytes) -> bool:
    if len(value) > _MAX_TEXT:
        return False
    if key == wire.CONFIG_KEY_STATUS_INTERVAL_S:
        return _is_within(value, MIN_STATUS_INTERVAL_S, MAX_STATUS_INTERVAL_S)
    if key == wire.CONFIG_KEY_KEEP_ALIVE_S:
        return _is_within(value, MIN_KEEP_ALIVE_S, MAX_KEEP_ALIVE_S)
    if key == wire.CONFIG_KEY_LOW_CREDIT_S:
        return _is_within(value, 0, MAX_LOW_CREDIT_S)
    return key == wire.CONFIG_KEY_LINKS and _is_ascii(value) and are_links(value.decode())


def _is_ascii(value: bytes) -> bool:
    return all([octet < 128 for octet in value])


def _is_within(value: bytes, lowest: int, highest: int) -> bool:
    if not all([48 <= octet <= 57 for octet in value]):
        return False
    return lowest <= int(value) <= highest
