"""From the JSON of a device's files to its parts: settings.json (the same for many) and identity.json (its
own), on a host one file with both.

    identity   serial, family, secret, link_key, password, starting_code, last_count
    settings   host, port, tls              of the MQTT broker
               http {host, port, tls, prefix}  of the back end, for check-ins and updates
               links                        "mqtt,http": the order of trying
               ca                           certificates (PEM, or a file with them) that vouch for both
               tls_insecure                 true: anybody may be the server; for a bench only
               wifi {ssid, password}, ntp, pins, scale, keypad   of a board (hal/board.py)
               encrypted, status_interval_s, keep_alive_s, low_credit_s

main.py reads the files; shell.py runs what comes of them.
"""

from firmware.config import (
    KEEP_ALIVE_S,
    LOW_CREDIT_S,
    STATUS_INTERVAL_S,
    Config,
    ConfigError,
    flag,
    text,
    whole,
)
from firmware.conversation import Conversation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.controller import Controller
    from firmware.link import Link

DEFAULT_LAYOUT = "telephone"  # of the keypad

_ALL_LINKS = "mqtt,http"  # as far as they are configured
_MQTT_PORTS = (1883, 8883)
_HTTP_PORTS = (80, 443)


def config_from(settings: "dict[str, object]") -> Config:
    """The device that a JSON object describes; ConfigError says what it lacks."""
    if not isinstance(settings, dict):  # pyright: ignore[reportUnnecessaryIsInstance] - it comes from a file
        raise ConfigError("the configuration must be one JSON object")
    for name in ("serial", "secret", "link_key", "password"):
        if name not in settings:
            raise ConfigError("the configuration needs %s" % name)
    code = settings.get("starting_code")
    return Config(
        serial=text(settings["serial"], "serial"),
        family=text(settings.get("family", "moto"), "family"),
        secret=_from_hex(settings, "secret"),
        link_key=_from_hex(settings, "link_key"),
        starting_code=None if code is None else whole(code, "starting_code"),
        last_count=whole(settings.get("last_count", -1), "last_count"),
        encrypted=flag(settings.get("encrypted", True), "encrypted"),
        status_interval_s=whole(settings.get("status_interval_s", STATUS_INTERVAL_S), "status_interval_s"),
        keep_alive_s=whole(settings.get("keep_alive_s", KEEP_ALIVE_S), "keep_alive_s"),
        links=text(settings.get("links", _ALL_LINKS), "links"),
        low_credit_s=whole(settings.get("low_credit_s", LOW_CREDIT_S), "low_credit_s"),
    )


class Links:
    """The conversations that the settings describe, by name: "mqtt", "http"."""

    __slots__ = ("_by_name", "_mqtt")

    def __init__(self, settings: "dict[str, object]", config: Config, controller: "Controller"):
        """ConfigError for a place that is none."""
        self._by_name: dict[str, Conversation] = {}
        self._mqtt: Link | None = None
        if "host" in settings:
            self._mqtt = _mqtt_link(settings, config, controller)
            self._by_name["mqtt"] = self._mqtt
        http = section(settings, "http")
        if http:
            from firmware.checkin import CheckIn

            password = text(settings["password"], "password")
            host, port, tls, prefix = http_place(http)
            self._by_name["http"] = CheckIn(config.serial, password, controller, (host, port, tls), prefix)

    def in_order(self, names: str) -> "list[Conversation]":
        """Those of "mqtt,http" that there are; all when there is none of them: a device must be heard."""
        chosen = [self._by_name[name] for name in names.split(",") if name in self._by_name]
        return chosen or list(self._by_name.values())

    @property
    def online(self) -> bool:
        """Whether the back end answered on the connection that is open, or on the last check-in."""
        for link in self._by_name.values():
            if link.online:
                return True
        return False

    def keep_alive(self, seconds: int) -> None:
        """Another keep-alive, from the next login on."""
        if self._mqtt is not None:
            self._mqtt.keep_alive_s = seconds


def _mqtt_link(settings: "dict[str, object]", config: Config, controller: "Controller") -> "Link":
    from firmware.link import Link

    password = text(settings["password"], "password")
    where = place(settings, "the broker", _MQTT_PORTS)
    return Link(config.serial, password, controller, config.keep_alive_s, where)


def section(settings: "dict[str, Any]", name: str) -> "dict[str, object]":
    """An object in the settings; empty when it is missing, ConfigError when it is something else."""
    if not isinstance(settings.get(name, {}), dict):
        raise ConfigError("%s must be an object" % name)
    return settings.get(name, {})


def place(settings: "dict[str, object]", name: str, ports: "tuple[int, int]") -> "tuple[str, int, bool]":
    """host, port, tls; `ports`: the usual ones without and with TLS. ConfigError for none."""
    tls = flag(settings.get("tls", False), "tls")
    host = text(settings.get("host", ""), "the host of %s" % name)
    port = whole(settings.get("port", ports[int(tls)]), "the port of %s" % name)
    if not host or not 0 < port < 65_536:
        raise ConfigError("%s needs a host, and a port of 1 to 65535" % name)
    return host, port, tls


def http_place(http: "dict[str, object]") -> "tuple[str, int, bool, str]":
    """host, port, tls and path prefix of settings["http"]."""
    host, port, tls = place(http, "http", _HTTP_PORTS)
    return host, port, tls, text(http.get("prefix", ""), "the prefix of http")


def uses_tls(settings: "dict[str, object]") -> bool:
    """Whether any connection is to be secured."""
    return bool(settings.get("tls", False) or section(settings, "http").get("tls", False))


def authorities(settings: "dict[str, object]") -> "tuple[str, bool]":
    """(certificates or their file, whether none are needed); ConfigError for TLS that would trust nobody."""
    ca = text(settings.get("ca", ""), "ca")
    is_insecure = flag(settings.get("tls_insecure", False), "tls_insecure")
    if uses_tls(settings) and not ca and not is_insecure:
        raise ConfigError("tls needs ca: the certificate of the authority, or a file with it")
    return ca, is_insecure


def _from_hex(settings: "dict[str, object]", name: str) -> bytes:
    try:
        return bytes.fromhex(text(settings[name], name))
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError("%s must be hex" % name) from None
