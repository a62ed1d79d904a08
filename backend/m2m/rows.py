"""What store.py reads and writes: devices, commands, records, gaps, firmware files."""

from dataclasses import dataclass, field

from protocols.magicbox.seal import Window


@dataclass(slots=True)
class Device:
    """A device's row; ingest.py changes it and gives it back to `save_devices`. `link_key` is sealed.

    Each direction counts its sequences anew in each epoch. offered_epoch: the highest that a SYNCIV which
    left has named; the device is in it or in an earlier one. status_record: the newest status, in the records
    table (-1: none yet). token_count: the highest that the device has reported. msisdn: of its modem, for
    commands by SMS. over_http: its last check-in came over HTTP. state: of its newest status (wire.STATE_*).
    usage_day: the last day (since 1970) whose usage was told. purged: how many records are gone by retention,
    none of them above purged_to.
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
    offered_epoch: int
    online: bool
    boot_id: int | None
    last_seen_ms: int | None
    status_record: int
    token_count: int
    msisdn: str | None
    over_http: bool
    state: int | None
    usage_day: int | None
    purged_to: int
    purged: int

    def window(self) -> Window:
        """Which up sequences of `up_epoch` were taken."""
        return Window(self.up_highest, self.up_window & 0xFFFFFFFFFFFFFFFF)

    def keep(self, window: Window) -> None:
        """Store a window back; its 64 bits go into a signed column."""
        self.up_highest = window.highest
        self.up_window = window.bits - (1 << 64) if window.bits >> 63 else window.bits


def new_device(serial: str, market: str) -> Device:
    """A device of which nothing is known yet."""
    return Device(
        serial=serial,
        market=market,
        link_key=None,
        password_fingerprint=None,
        up_epoch=0,
        up_highest=-1,
        up_window=0,
        down_epoch=0,
        down_sequence=0,
        offered_epoch=0,
        online=False,
        boot_id=None,
        last_seen_ms=None,
        status_record=-1,
        token_count=0,
        msisdn=None,
        over_http=False,
        state=None,
        usage_day=None,
        purged_to=0,
        purged=0,
    )


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command. `argument` is what its record carries, `text` what people see.

    sent_by: mqtt, http, sms or report. ended_at_ms: when it expired or was cancelled.
    """

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
    callback_delivered_at_ms: int | None
    expires_at_ms: int
    sent_by: str | None
    ended_at_ms: int | None


@dataclass(frozen=True, slots=True)
class FirstCommand:
    """A command that a reference was first used for."""

    id: int
    serial: str
    text: str = field(repr=False)
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class NewCommand:
    """A command to insert. markets: those its client may act for, joined by commas; empty: every market."""

    client: str
    reference: str | None
    serial: str
    name: str
    argument: str = field(repr=False)
    text: str = field(repr=False)
    callback_url: str | None
    created_at_ms: int
    expires_at_ms: int
    markets: str


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


@dataclass(frozen=True, slots=True)
class FirmwareFile:
    """A stored file but for its content; `size` in bytes, the checksums in hex."""

    file: str
    size: int
    sha256: str
    md5: str
