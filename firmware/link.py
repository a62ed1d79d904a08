"""Controller and MQTT client joined: the conversation of a device with its broker (conversation.py).

After login the link subscribes to `down` (QoS 0), announces itself on `state` (retained; the will says
offline), and sends frames up one at a time: the next one leaves after the broker has acknowledged the last.
checkin.py is the same over HTTP.
"""

from firmware.config import ConfigError
from firmware.controller import Controller
from firmware.conversation import NEVER_MS, Conversation
from firmware.mqtt import Acknowledged, Client, Connected, MqttError, Publication, Subscribed
from firmware.store import StoreError
from protocols import topics

KEEP_ALIVE_S = 60
MAX_KEEP_ALIVE_S = 65_535  # 16 bits of the login


class Link(Conversation):
    """One device's way to its broker. After an MqttError: close the transport, call `closed`, reconnect."""

    __slots__ = (
        "_client",
        "_controller",
        "_in_flight",
        "_password",
        "_serial",
        "_subscribed",
        "keep_alive_s",
    )

    def __init__(
        self,
        serial: str,
        password: str,
        controller: Controller,
        keep_alive_s: int = KEEP_ALIVE_S,
        place: "tuple[str, int, bool]" = ("", 0, False),
    ):
        """`place`: host, port, TLS or not, for a caller without a transport of its own. ConfigError for a
        keep-alive that MQTT has not; 0: no pings."""
        super().__init__(*place)
        if not 0 <= keep_alive_s <= MAX_KEEP_ALIVE_S:
            raise ConfigError("the keep-alive must be 0 to %d s" % MAX_KEEP_ALIVE_S)
        self._serial = serial
        self._password = password
        self._controller = controller
        self._client: Client | None = None
        self._in_flight = 0  # packet id of the frame that the broker has not acknowledged
        self._subscribed = False
        self.keep_alive_s = keep_alive_s

    @property
    def online(self) -> bool:
        """Logged in and subscribed."""
        return self._subscribed

    def opened(self, now_ms: int) -> None:
        """The transport stands: log in."""
        self.reached = False
        self._client = Client(topics.encode_serial(self._serial), self._password, self.keep_alive_s)
        self._client.open(topics.state(self._serial), self._state("offline"), now_ms)

    def received(self, data: bytes, now_ms: int) -> None:
        """Do what arrived, all of it; then StoreError when the store did not take a part."""
        if self._client is None:
            raise MqttError("not_open")
        failure = None
        for event in self._client.received(data, now_ms):
            try:
                self._event(self._client, event, now_ms)
            except StoreError as error:
                failure = error
        if failure is not None:
            raise failure

    def poll(self, now_ms: int) -> int:
        """Send what is due; ms until the next call."""
        if self._client is None:
            return NEVER_MS
        if self._subscribed and not self._in_flight:
            frame = self._controller.take_frame(now_ms)
            if frame is not None:
                self._in_flight = self._client.publish(topics.up(self._serial), frame, now_ms)
        wait_ms = self._client.poll(now_ms)
        if not self._subscribed or self._in_flight:
            return wait_ms
        retry_ms = self._controller.uplink.wait_ms(now_ms)
        return wait_ms if retry_ms < 0 else max(min(wait_ms, retry_ms), 1)

    def output(self) -> bytes:
        """What to send; it is yours now."""
        return self._client.output() if self._client is not None else b""

    def closed(self) -> None:
        """The transport is gone."""
        self._client = None
        self._in_flight = 0
        self._subscribed = False

    def leave(self, now_ms: int) -> None:
        """Go offline in good order: `output` announces it and says goodbye, then close."""
        if self._client is not None and self._subscribed:
            self._client.publish(topics.state(self._serial), self._state("offline"), now_ms, retain=True)
            self._client.close(now_ms)

    def _event(
        self,
        client: Client,
        event: "Connected | Subscribed | Acknowledged | Publication",
        now_ms: int,
    ) -> None:
        if isinstance(event, Connected):
            client.subscribe(topics.down(self._serial), now_ms)
        elif isinstance(event, Subscribed):
            self._subscribed = True
            self.reached = True
            self._controller.uplink.rewind()
            client.publish(topics.state(self._serial), self._state("online"), now_ms, retain=True)
        elif isinstance(event, Acknowledged):
            if event.packet_id == self._in_flight:
                self._in_flight = 0
        else:
            self._publication(event, now_ms)

    def _publication(self, publication: Publication, now_ms: int) -> None:
        if publication.topic == topics.down(self._serial):
            self._controller.receive(publication.payload, now_ms)

    def _state(self, state: str) -> bytes:
        return b'{"state":"%s","boot_id":%d}' % (state.encode(), self._controller.boot_id)
