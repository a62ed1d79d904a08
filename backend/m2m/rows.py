"""What store.py reads and writes: devices, commands, records, gaps."""

from dataclasses import dataclass, field

from protocols.magicbox.seal import Window


@dataclass(slots=True)
class Device:
    """A device's row; ingest.py changes it and gives it back to `save_devices`. `link_key` is sealed.

    status_record: the newest status, in the records table (-1: none yet).
    """

    serial: str
    market: str
    link_key: bytes | None = field(repr=False)
    password_fingerprint: str | None = field(repr=False)
    up_epoch: int
    up_highest: int
    up_window: int
    down_epoch: int
    down_sequence: int
    online: bool
    boot_id: int | None
    last_seen_ms: int | None
    status_record: int

    def window(self) -> Window:
        """Which up sequences of `up_epoch` were taken."""
        return Window(self.up_highest, self.up_window & 0xFFFFFFFFFFFFFFFF)

    def keep(self, window: Window) -> None:
        """Store a window back; its 64 bits go into a signed column."""
        self.up_highest = window.highest
        self.up_window = window.bits - (1 << 64) if window.bits >> 63 else window.bits


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command. `argument` is what its record carries, `text` what people see."""

    id: int
    serial: str
    name: str
    argument: str = field(repr=False)
    text: str = field(repr=False)
    state: str
    callback_url: str | None
    created_at_ms: int
    sent_at_ms: int | None
    replied_at_ms: int | None
    device_response: str | None


@dataclass(frozen=True, slots=True)
class NewCommand:
    """A command to insert."""

    client: str
    reference: str | None
    serial: str
    name: str
    argument: str = field(repr=False)
    text: str = field(repr=False)
    callback_url: str | None
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record as it came: `body` is its encoding (wire.py)."""

    serial: str
    record: int
    type: int
    at_ms: int
    received_at_ms: int
    body: bytes


@dataclass(frozen=True, slots=True)
class GapRow:
    """Records that will never come, first to last."""

    serial: str
    record: int
    first: int
    last: int
    reason: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What a device answered to a command."""

    command_id: int
    device_response: str
