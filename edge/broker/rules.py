"""Who may publish and subscribe what. Pure; `plugins.py` and `admission.py` ask.

A device reaches only its own topics, and never by a wildcard. Ops reads under `payg/v1/ops`, the bridge does
everything under `payg/v1`. What no rule allows is denied (ARCHITECTURE.md, invariant 6).
"""

from dataclasses import dataclass
from typing import Literal

from protocols import topics

Role = Literal["device", "ops", "bridge"]


@dataclass(frozen=True, slots=True)
class Login:
    """What a verified user name and password stand for; `serial` only for devices."""

    role: Role
    serial: str | None = None


def may_publish(login: Login, topic: str) -> bool:
    """Tell whether the login may publish on this topic name."""
    if not topic or any(sign in topic for sign in "#+\0"):
        return False
    if login.role == "bridge":
        return topic.startswith(f"{topics.PREFIX}/")
    if login.role == "device" and login.serial is not None:
        return topic in (topics.up(login.serial), topics.state(login.serial))
    return False


def may_subscribe(login: Login, topic_filter: str) -> bool:
    """Tell whether the login may subscribe to this topic filter."""
    if login.role == "device":
        return login.serial is not None and topic_filter == topics.down(login.serial)
    root = topics.PREFIX.split("/") if login.role == "bridge" else [*topics.PREFIX.split("/"), "ops"]
    levels = topic_filter.split("/")
    return levels[: len(root)] == root and _is_filter(levels)


def may_call_itself(login: Login, username: str, client_id: str) -> bool:
    """Tell whether the login may use this client id: a device's is its user name, its encoded serial."""
    if login.role != "device":
        return True
    return login.serial is not None and client_id == username == topics.encode_serial(login.serial)


def _is_filter(levels: list[str]) -> bool:
    """Hold the MQTT rules on wildcards: each fills its level, `#` only the last (MQTT-4.7.1-2, -3)."""
    return all(
        (level == "#" and at == len(levels) - 1) or level == "+" or not any(sign in level for sign in "#+\0")
        for at, level in enumerate(levels)
    )
