"""Decides on a CONNECT: let in with a login, or refuse with the CONNACK code that MQTT 3.1.1 names for it.

Next: `engine.py` serves those who are in.
"""

from dataclasses import dataclass
from typing import Protocol

from edge.broker import handshake
from edge.broker.handshake import Connect
from edge.broker.rules import Login, may_call_itself, may_publish


class Logins(Protocol):
    """Who has which password; the composition root supplies it."""

    async def verify(self, username: str, password: str) -> Login | None:
        """Return what the pair stands for, None when it is wrong; raises OSError when it can't tell."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a client stays outside; `code` goes into the CONNACK, `reason` into the log."""

    code: int
    reason: str


async def admit(connect: Connect, logins: Logins) -> Login | Refusal:
    """Return the login of a CONNECT, or why it is refused."""
    if connect.protocol_level != 4:
        return Refusal(handshake.BAD_PROTOCOL, "only_mqtt_3_1_1")
    if connect.username is None or connect.password is None:
        return Refusal(handshake.NOT_AUTHORIZED, "no_credentials")
    if not connect.client_id and not connect.clean_session:
        return Refusal(handshake.BAD_CLIENT_ID, "no_client_id")
    try:
        login = await logins.verify(connect.username, connect.password)
    except OSError:  # TimeoutError is one
        return Refusal(handshake.UNAVAILABLE, "logins_unavailable")
    if login is None:
        return Refusal(handshake.BAD_LOGIN, "wrong_password")
    if not may_call_itself(login, connect.username, connect.client_id):
        return Refusal(handshake.BAD_CLIENT_ID, "foreign_client_id")
    if connect.will is not None and not may_publish(login, connect.will.topic):
        return Refusal(handshake.NOT_AUTHORIZED, "foreign_will_topic")
    return login
