"""Carries the bytes of one conversation at a time between dialer.py's choice and the network, never waiting.

A network port (hal/net.py):

    up(now_ms) -> bool                      there is a network; brings it up when it is gone
    connect(host, port, tls) -> transport   begins to connect; OSError
    transport: poll(now_ms) -> bool         it stands
               receive() -> bytes | None    what arrived, None for nothing
               send(data)                   takes it all, and sends what goes now
               unsent -> bool               some of it is still to go
               close()

Everything a transport does may raise OSError; then the connection is over. Silence is noticed by each
conversation; that the connection never stands, or the peer takes nothing, is noticed here.
"""

import gc

from firmware.conversation import Conversation, ConversationError
from firmware.dialer import Dialer

CONNECT_TIMEOUT_MS = 15_000
SEND_TIMEOUT_MS = 20_000
READS = 4  # of a transport in a turn: the keypad comes next
NO_NETWORK_MS = 250  # between looks at a network that is down
CONNECTING_MS = 50  # between looks at a connection that does not stand yet
UNSENT_MS = 20  # between tries to send the rest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.hal.net import Network, Tcp


class Pump:
    """`tell(reason)` hears why connections ended that should not have."""

    __slots__ = (
        "_dialer",
        "_ends_ms",
        "_is_open",
        "_network",
        "_reached",
        "_tell",
        "_transport",
        "current",
    )

    def __init__(self, dialer: Dialer, network: "Network", tell: "Callable[[str], None]"):
        self._dialer = dialer
        self._network = network
        self._tell = tell
        self._transport: Tcp | None = None
        self._is_open = False
        self._reached = False
        self._ends_ms = 0
        self.current: Conversation | None = None

    def poll(self, now_ms: int) -> int:
        """Do what is due; ms until the next call. A StoreError of the controller passes through."""
        try:
            if self._transport is None or self.current is None:
                return self._dial(now_ms)
            return self._carry(self.current, self._transport, now_ms)
        except (OSError, ConversationError, MemoryError) as error:
            self._failed(str(error), now_ms)
            return 1

    def hang_up(self, now_ms: int) -> None:
        """Close what is open, in good order; the dialer chooses anew."""
        if self._transport is not None and self.current is not None and self._is_open:
            self.current.leave(now_ms)
            try:
                self._transport.send(self.current.output())
            except OSError:
                self._tell("gone already")
        self._end()
        self.current = None

    def _dial(self, now_ms: int) -> int:
        if not self._network.up(now_ms):
            return NO_NETWORK_MS
        self.current, wait_ms = self._dialer.choose(now_ms)
        current = self.current
        if current is None:
            return max(wait_ms, 1)
        if current.tls:
            gc.collect()  # the handshake wants its memory in one piece
        self._ends_ms = now_ms + CONNECT_TIMEOUT_MS
        self._reached = False
        self._transport = self._network.connect(current.host, current.port, current.tls)
        return 1

    def _carry(self, current: Conversation, transport: "Tcp", now_ms: int) -> int:
        if not self._network.up(now_ms):
            raise OSError("no network")
        if not self._is_open:
            if not transport.poll(now_ms):
                if now_ms >= self._ends_ms:
                    raise OSError("no answer from %s:%d" % (current.host, current.port))
                return CONNECTING_MS
            self._is_open = True
            current.opened(now_ms)
        if self._dialer.should_leave(current, now_ms):
            self.hang_up(now_ms)
            return 1
        has_more = self._receive(current, transport, now_ms)
        wait_ms = current.poll(now_ms)
        self._send(current, transport, now_ms)
        if current.reached and not self._reached:
            self._reached = True
            self._dialer.reached(current)
        if current.done:
            self._end()
            self.current = None
            return 1
        if has_more:
            return 1
        return min(wait_ms, UNSENT_MS) if transport.unsent else wait_ms

    def _receive(self, current: Conversation, transport: "Tcp", now_ms: int) -> bool:
        """Hand over what arrived; whether there may be more."""
        for _ in range(READS):
            data = transport.receive()
            if data is None:
                return False
            current.received(data, now_ms)
            if current.done:
                return False
        return True

    def _send(self, current: Conversation, transport: "Tcp", now_ms: int) -> None:
        was_stuck = transport.unsent
        transport.send(current.output())
        if not transport.unsent or not was_stuck:
            self._ends_ms = now_ms + SEND_TIMEOUT_MS
        elif now_ms >= self._ends_ms:
            raise OSError("the peer takes nothing")

    def _failed(self, reason: str, now_ms: int) -> None:
        current = self.current
        is_in_order = current is not None and self._is_open and current.is_idle
        self._end()
        self.current = None
        if current is not None and not is_in_order:
            current.reached = False
            self._dialer.failed(current, now_ms)
            self._tell(reason)

    def _end(self) -> None:
        self._is_open = False
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        if self.current is not None:
            self.current.closed()
