"""The link keys of devices: opened from their rows, kept for a while, since each frame needs them."""

from collections.abc import Sequence
from dataclasses import dataclass

from backend.kit.vault import Vault
from backend.m2m.rows import Device
from protocols.magicbox import seal, wire

MAX_LINKS = 20_000  # about 80 MB; beyond it a key costs 50 microseconds to open again
MAX_FRAME = 4096  # what a board's buffers hold


@dataclass(frozen=True, slots=True)
class Link:
    """Both directions of one device's link."""

    up: seal.LinkKeys
    down: seal.LinkKeys


class Links:
    """Opens link keys and seals frames. Used inside write transactions that have locked the device, so each
    link by one at a time.
    """

    def __init__(self, vault: Vault):
        self._vault = vault
        self._links: dict[str, tuple[bytes, Link]] = {}

    def of(self, device: Device) -> Link | None:
        """The device's link; None if it has no link key yet."""
        if device.link_key is None:
            return None
        kept = self._links.get(device.serial)
        if kept is not None and kept[0] == device.link_key:
            return kept[1]
        key = self._vault.open(device.link_key, device.serial)
        link = Link(seal.LinkKeys(key, seal.UP), seal.LinkKeys(key, seal.DOWN))
        if len(self._links) >= MAX_LINKS:
            self._links.pop(next(iter(self._links)), None)  # another writer may have been quicker
        self._links[device.serial] = (device.link_key, link)
        return link

    @staticmethod
    def seal_down(device: Device, link: Link, records: Sequence[wire.Record]) -> bytes:
        """A frame of `records` under the device's next down sequence; the caller stores the device.

        From now on the device may answer in the epoch that a SYNCIV among them names (uplink.py).
        """
        device.down_sequence += 1
        epochs = [record.epoch for record in records if isinstance(record, wire.SyncIv)]
        device.offered_epoch = max(device.offered_epoch, *epochs, 0)
        body = wire.encode_records(records)
        return seal.seal(link.down, device.down_epoch, device.down_sequence, body, encrypted=True)
