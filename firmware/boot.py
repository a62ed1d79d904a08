"""What runs first on a board: picks the slot to start, and gives a new version three chances.

This file lies as source in the root of the file system, beside a main.py of two lines (MAIN_SOURCE); neither
is ever updated. Each slot is a folder with one version's modules. As boot.py it only puts a slot on the
import path, so that a tool at the prompt finds the firmware. As a module of main.py it counts the attempts of
a version on trial, then starts it; a version that falls over, or does not confirm itself (ota.py), is
replaced by the last good one. The watchdog starts in the firmware: an import may take longer than it allows.

The boot record lies in two files by turns, {magic, sequence, active, phase, attempts, mark, CRC-32}; the
newest good one counts, so that a power cut at any write leaves the old one or the new one. slots.py changes
it from the firmware's side; `mark` names the update order that it is about.
"""

import binascii
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    Opener = Callable[[str, str], IO[bytes]]

SLOTS = ("/a", "/b")
RECORDS = ("/boot.0", "/boot.1")
IDENTITY = "/identity.json"
MAIN_SOURCE = "import boot\nboot.run()\n"
MAX_ATTEMPTS = 3  # starts of a version on trial: a customer switches the device off and on now and then
RESTART_PAUSE_MS = 2_000  # a tool at the prompt can break in between two starts

IDLE = 0
PENDING = 1  # the slot that is not active is on trial
CONFIRMED = 2
ROLLED_BACK = 3

_MAGIC = 0x5042
_FORMAT = ">HIBBBI"
_SIZE = 13
_ENOSPC = 28


class Record:
    """The boot record. Without one: slot /a, nothing on trial."""

    __slots__ = ("active", "attempts", "mark", "phase", "sequence")

    def __init__(self, sequence: int = 0, active: int = 0, phase: int = IDLE, mark: int = 0):
        self.sequence = sequence
        self.active = active
        self.phase = phase
        self.attempts = 0
        self.mark = mark

    def chosen(self) -> int:
        """The index of the slot to run."""
        return 1 - self.active if self.phase == PENDING else self.active


def load(opened: "Opener") -> Record:
    """The newest good record; `opened` is `open` of the board's file system."""
    newest = Record()
    for path in RECORDS:
        record = _read(opened, path)
        if record is not None and record.sequence > newest.sequence:
            newest = record
    return newest


def store(opened: "Opener", record: Record) -> None:
    """Write the record as the newest one; OSError when the file system does not take it."""
    record.sequence += 1
    data = struct.pack(
        _FORMAT, _MAGIC, record.sequence, record.active, record.phase, record.attempts, record.mark
    )
    data += struct.pack(">I", binascii.crc32(data) & 0xFFFFFFFF)
    with opened(RECORDS[record.sequence % 2], "wb") as file:
        if file.write(data) != len(data):
            raise OSError(_ENOSPC)


def choose(opened: "Opener") -> str:
    """The slot to start now. Its attempt is counted; where that fails, the last good one starts."""
    record = load(opened)
    if record.phase == PENDING:
        if record.attempts < MAX_ATTEMPTS:
            record.attempts += 1
        else:
            record.phase = ROLLED_BACK
        try:
            store(opened, record)
        except OSError:
            return SLOTS[record.active]
    return SLOTS[record.chosen()]


def use(slot: str) -> None:
    """Put a slot first on the import path, before what is frozen into the board's own program."""
    sys.path[:] = [slot] + [path for path in sys.path if path not in SLOTS]


def run() -> None:
    """Start the chosen version; it ends only with a restart of the board. Without an identity nothing starts:
    the prompt is there for `payg board provision`.
    """
    try:
        open(IDENTITY, "rb").close()
    except OSError:
        return
    use(choose(open))
    try:
        from firmware.main import main

        main([])
    except Exception as error:  # noqa: BLE001 - whatever a new version does wrong, the old one must come back
        _log(error)
    _restart()


def _read(opened: "Opener", path: str) -> Record | None:
    try:
        with opened(path, "rb") as file:
            data = file.read(_SIZE + 5)
    except OSError:
        return None
    if len(data) != _SIZE + 4:
        return None
    (crc,) = struct.unpack_from(">I", data, _SIZE)
    magic, sequence, active, phase, attempts, mark = struct.unpack_from(_FORMAT, data)
    if magic != _MAGIC or crc != binascii.crc32(data[:_SIZE]) & 0xFFFFFFFF:
        return None
    record = Record(sequence, active, phase, mark)
    record.attempts = attempts
    return record


def _log(error: Exception) -> None:
    print_exception = getattr(sys, "print_exception", None)  # MicroPython's
    if print_exception is not None:
        print_exception(error)


def _restart() -> None:
    import time

    time.sleep(RESTART_PAUSE_MS / 1000)
    try:
        machine = __import__("machine")
    except ImportError:  # a host
        machine = None
    getattr(machine, "reset", sys.exit)()


if __name__ == "__main__":
    use(SLOTS[load(open).chosen()])
