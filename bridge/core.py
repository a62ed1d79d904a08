"""What an MQTT publication means, and what an answer looks like as one. Pure: no sockets, no clock.

Up: (topic, payload) becomes an Uplink, a StateReport or Ignored. Down and to ops: answers, events and feed
items become Publications. Next: `uplink.py` and `feed.py` move them.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Literal

import msgspec

from bridge.ports import FeedItem, OpsEvent
from protocols import topics

UP_FILTER = f"{topics.PREFIX}/dev/+/up"
STATE_FILTER = f"{topics.PREFIX}/dev/+/state"

_MAX_STATE_BYTES = 256  # several times what a device writes

# Pure, and loops over every character of a serial; remembered for so many, about 5 MB each.
_DEVICES = 20_000
_parsed = lru_cache(_DEVICES)(topics.parse)
_down = lru_cache(_DEVICES)(topics.down)
_ops = lru_cache(_DEVICES)(topics.ops)


class _StateDocument(msgspec.Struct):
    """What a device writes on its `state` topic; the boot id is a u32, as in its Boot record."""

    state: Literal["online", "offline"]
    boot_id: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]


@dataclass(frozen=True, slots=True)
class Publication:
    """What goes to the broker."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Uplink:
    """A sealed frame of a device."""

    serial: str
    frame: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StateReport:
    """A device is online, or gone; a death of an older boot is the receiver's to ignore."""

    serial: str
    online: bool
    boot_id: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing for us; `reason` is a short code."""

    reason: str


def read(topic: str, payload: bytes) -> Uplink | StateReport | Ignored:
    """Return what a device said; Ignored for another topic and for a state that does not parse."""
    parsed = _parsed(topic)
    if parsed is None or parsed[0] not in ("up", "state"):
        return Ignored("unknown_topic")
    serial = parsed[1]
    if parsed[0] == "up":
        return Uplink(serial, payload) if payload else Ignored("empty_frame")
    return _read_state(serial, payload)


def _read_state(serial: str, payload: bytes) -> StateReport | Ignored:
    if len(payload) > _MAX_STATE_BYTES:
        return Ignored("bad_state")
    try:
        document = msgspec.json.decode(payload, type=_StateDocument)
    except (msgspec.MsgspecError, ValueError):  # the latter: no UTF-8 in a string
        return Ignored("bad_state")
    return StateReport(serial, document.state == "online", document.boot_id)


def downlink(serial: str, frame: bytes) -> Publication:
    """A frame for a device: QoS 0, because outbox and application acknowledgement carry the reliability."""
    return Publication(_down(serial), frame, qos=0, retain=False)


def ops_event(event: OpsEvent, *, qos: int) -> Publication:
    """An event for the ops topics, a status retained. Raises ValueError for an unknown kind or market."""
    topic = _ops(event.market, event.serial, event.kind)
    return Publication(topic, event.payload, qos, retain=event.kind == "status")


def feed_item(item: FeedItem) -> Publication:
    """A leased item as what it becomes; ops kinds at QoS 1. Raises ValueError for an unknown channel."""
    if item.channel == "down":
        return downlink(item.serial, item.payload)
    topic = _ops(item.market, item.serial, item.channel)
    return Publication(topic, item.payload, qos=1, retain=item.channel == "status")
