"""What a device says over one connection, without sockets: link.py (MQTT), checkin.py (HTTP), ota.py
(download).

dialer.py decides whose turn it is, pump.py carries the bytes: `opened` when the transport stands, `received`
with what came, `poll` at the deadline that `poll` named, what `output` gives is sent, `closed` at the end
whatever ended it. A ConversationError ends the connection and counts as a failure; `done` ends it in good
order.
"""

NEVER_MS = 3_600_000  # nothing is due: look again in an hour


class ConversationError(ValueError):
    """The connection is of no more use; `reason` is a short code."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Conversation:
    """Where it goes, and how far it came.

    `done`: it has no more use for this connection. `reached`: the other side answered as it should on this
    connection, or on the last one. `is_idle`: nothing is lost when the other side ends the connection now.
    """

    __slots__ = ("done", "host", "is_idle", "port", "reached", "tls")

    def __init__(self, host: str, port: int, tls: bool):
        self.host = host
        self.port = port
        self.tls = tls
        self.done = False
        self.is_idle = False
        self.reached = False

    @property
    def online(self) -> bool:
        """Whether the back end can be said to be there."""
        return self.reached

    def due_ms(self, now_ms: int) -> int:  # noqa: ARG002 - MQTT wants one at any time, the others not
        """ms until it wants a connection; 0: now."""
        return 0

    def opened(self, now_ms: int) -> None:
        """The transport stands."""

    def received(self, data: bytes, now_ms: int) -> None:
        """Do what arrived."""

    def poll(self, now_ms: int) -> int:
        """Do what is due; ms until the next call. ConversationError when the other side is silent."""
        raise NotImplementedError

    def output(self) -> bytes:
        """What to send; it is the caller's now."""
        return b""

    def leave(self, now_ms: int) -> None:
        """The connection is about to be closed: `output` may have a last word."""

    def closed(self) -> None:
        """The transport is gone."""
