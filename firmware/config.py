"""What makes one device: its settings. state.py holds what changes."""

from protocols.magicbox import wire
from protocols.tokens import moto, openpaygo

STATUS_INTERVAL_S = 900  # a status record every 15 minutes: 30 kB a day on a mobile link
KEEP_ALIVE_S = 60  # MQTT pings
LINKS = "mqtt"
LOW_CREDIT_S = 86_400  # a day's warning
PREPAID_S = 10  # credit.py
MAX_KEEP_ALIVE_S = 65_535  # 16 bits of the MQTT login
MIN_LINK_KEY_SIZE = 16

_LINK_NAMES = ("mqtt", "http")


class ConfigError(ValueError):
    """A setting makes no device; the text says what to give instead."""


class Config:
    """The settings of one device.

    `starting_code` (OpenPAYGO; None derives it from the secret, Moto has none) and `last_count` (the highest
    count the device has accepted, -1: none) only matter until the store is provisioned. An empty `link_key`
    makes a device without a link. `status_interval_s`, `keep_alive_s` (0: no pings), `links` (in the order of
    trying: "mqtt,http") and `low_credit_s` (0: no warning) hold until a CONFIG changes them (settings.py).
    `prepaid_s`: what a power cut may cost (credit.py); 0 for a clock that is moved by hand.
    """

    __slots__ = (
        "encrypted",
        "family",
        "keep_alive_s",
        "last_count",
        "link_key",
        "links",
        "low_credit_s",
        "prepaid_s",
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
        keep_alive_s: int = KEEP_ALIVE_S,
        links: str = LINKS,
        low_credit_s: int = LOW_CREDIT_S,
        prepaid_s: int = PREPAID_S,
    ):
        """ConfigError for an argument that makes no device."""
        self.serial = text(serial, "the serial")
        self.family = _family(text(family, "the token family"))
        self.secret = secret
        self.link_key = link_key
        self.last_count = whole(last_count, "the count")
        self.encrypted = flag(encrypted, "encrypted")
        self.status_interval_s = whole(status_interval_s, "the status interval")
        self.keep_alive_s = whole(keep_alive_s, "the keep-alive")
        self.links = text(links, "the links")
        self.low_credit_s = whole(low_credit_s, "the low credit")
        self.prepaid_s = prepaid_s
        self.starting_code = 0
        if not secret:
            raise ConfigError("the secret must have at least one byte")
        if link_key and len(link_key) < MIN_LINK_KEY_SIZE:
            raise ConfigError("the link key must have at least %d bytes" % MIN_LINK_KEY_SIZE)
        if status_interval_s < 1:
            raise ConfigError("the status interval must be at least 1 s")
        if not 0 <= keep_alive_s <= MAX_KEEP_ALIVE_S:
            raise ConfigError("the keep-alive must be 0 to %d s" % MAX_KEEP_ALIVE_S)
        if low_credit_s < 0:
            raise ConfigError("the low credit must not be negative")
        if not are_links(links):
            raise ConfigError("the links must be mqtt, http or both with a comma, not %s" % links)
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


def are_links(names: str) -> bool:
    """Whether a text names links, each once: mqtt; http; mqtt,http; http,mqtt."""
    given = names.split(",")
    return all([name in _LINK_NAMES and given.count(name) == 1 for name in given])


def _family(name: str) -> int:
    for code, known in wire.FAMILY_NAMES.items():
        if known == name:
            return code
    raise ConfigError("unknown token family %s: use moto or openpaygo" % name)
