"""What makes one device: its settings. state.py holds what changes."""

from protocols.magicbox import wire
from protocols.tokens import moto, openpaygo

VERSION = b"\x00\x01\x00"  # major, minor, patch
STATUS_INTERVAL_S = 900  # a status record every 15 minutes: 30 kB a day on a mobile link
MIN_LINK_KEY_SIZE = 16


class ConfigError(ValueError):
    """A setting makes no device; the text says what to give instead."""


class Config:
    """The settings of one device.

    `starting_code` (OpenPAYGO; None derives it from the secret, Moto has none) and `last_count` (the highest
    count the device has accepted, -1: none) only matter until the store is provisioned. An empty `link_key`
    makes a device without a link.
    """

    __slots__ = (
        "encrypted",
        "family",
        "last_count",
        "link_key",
        "secret",
        "serial",
        "starting_code",
        "status_interval_s",
    )

    def __init__(
        self,
        *,
        serial: str,
        family: str,
        secret: bytes,
        link_key: bytes = b"",
        starting_code: int | None = None,
        last_count: int = -1,
        encrypted: bool = True,
        status_interval_s: int = STATUS_INTERVAL_S,
    ):
        """ConfigError for an argument that makes no device."""
        self.serial = text(serial, "the serial")
        self.family = _family(text(family, "the token family"))
        self.secret = secret
        self.link_key = link_key
        self.last_count = whole(last_count, "the count")
        self.encrypted = flag(encrypted, "encrypted")
        self.status_interval_s = whole(status_interval_s, "the status interval")
        self.starting_code = 0
        if not secret:
            raise ConfigError("the secret must have at least one byte")
        if link_key and len(link_key) < MIN_LINK_KEY_SIZE:
            raise ConfigError("the link key must have at least %d bytes" % MIN_LINK_KEY_SIZE)
        if status_interval_s < 1:
            raise ConfigError("the status interval must be at least 1 s")
        is_openpaygo = self.family == wire.FAMILY_OPENPAYGO
        if is_openpaygo:
            self._check_openpaygo(starting_code)
        limit = openpaygo.MAX_COUNT if is_openpaygo else moto.MAX_SEQUENCE_NUMBER
        if last_count > limit:
            raise ConfigError("the count must be at most %d" % limit)
        if last_count < -1:
            raise ConfigError("the count must be 0 or more, or -1 for a device that accepted nothing")

    def _check_openpaygo(self, starting_code: int | None) -> None:
        if len(self.secret) != openpaygo.SECRET_SIZE:
            raise ConfigError(
                "an openpaygo secret has %d bytes (%d hex digits), not %d"
                % (openpaygo.SECRET_SIZE, 2 * openpaygo.SECRET_SIZE, len(self.secret))
            )
        if starting_code is None:
            starting_code = openpaygo.derive_starting_code(self.secret)
        if not 0 <= whole(starting_code, "the starting code") <= openpaygo.MAX_STARTING_CODE:
            raise ConfigError("the starting code must be 0 to %d" % openpaygo.MAX_STARTING_CODE)
        self.starting_code = starting_code


def whole(value: object, name: str) -> int:
    """A setting that is a whole number; ConfigError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError("%s must be a whole number" % name)
    return value


def flag(value: object, name: str) -> bool:
    """A setting that is true or false; ConfigError for anything else."""
    if not isinstance(value, bool):
        raise ConfigError("%s must be true or false" % name)
    return value


def text(value: object, name: str) -> str:
    """A setting that is text; ConfigError for anything else."""
    if not isinstance(value, str):
        raise ConfigError("%s must be text" % name)
    return value


def _family(name: str) -> int:
    for code, known in wire.FAMILY_NAMES.items():
        if known == name:
            return code
    raise ConfigError("unknown token family %s: use moto or openpaygo" % name)
