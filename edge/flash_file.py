"""The flash file of a device on a host: which states of it make a new, a running, or a tampered device.

hal/unix.py opens and locks the file. Here what is missing or erased is told apart from what is damaged:
device.py and keypad_shell.py run the former, as tampered if the device was provisioned once, and refuse the
latter, which a person may still repair.
"""

import os
from pathlib import Path

from firmware.config import Config
from firmware.hal import SECTOR_SIZE, Flash
from firmware.hal.unix import blank_flash, open_flash
from firmware.state import provision
from firmware.store import SECTORS, Ring, StoreError

_ERASED = b"\xff" * SECTOR_SIZE


def open_device_flash(path: Path, config: Config, *, durable: bool, may_provision: bool) -> Flash:
    """The flash in the file `path`, locked. A missing file is a new device, or, unless `may_provision`, one
    whose memory was taken away: erased flash. StoreError for a file that is damaged, no store, or in use."""
    if not may_provision and not path.exists() and path.parent.exists():
        _erase(path)
    flash = open_flash(str(path), config, durable, may_provision)
    try:
        if Ring(flash).load() is None and not _is_erased(flash):
            raise StoreError(f"{path} is damaged: there is no state in it that can be read")
    except StoreError:
        flash.close()
        raise
    return flash


def new_flash(config: Config) -> Flash:
    """A new device's flash in RAM."""
    flash = blank_flash()
    provision(config, Ring(flash))
    return flash


def _erase(path: Path) -> None:
    """An erased flash, whole or not at all."""
    new = path.with_name(path.name + ".erased")
    new.write_bytes(blank_flash().image())
    os.replace(new, path)


def _is_erased(flash: Flash) -> bool:
    sector = bytearray(SECTOR_SIZE)
    for block in range(SECTORS):
        flash.readblocks(block, sector)
        if bytes(sector) != _ERASED:
            return False
    return True
