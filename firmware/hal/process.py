"""The HAL of a device that is a process on a host: unix.py's store and clock, a network, and standard input
for the keypad.

Each character that comes is a key of the matrix, pressed until the scans have seen it for long enough and
then released as long, so that it goes the way of a finger: scan, debounce, controller. By scans and not by
time alone, since a busy host lets a process scan seldom. The end of a line is `#`; keys that the layout has
not are nobody's.
"""

import os
import select
import sys

from firmware.config import Config, flag, text
from firmware.hal.device import DeviceHal
from firmware.hal.net import Network
from firmware.hal.unix import open_flash, ticks_ms
from firmware.keypad import DEBOUNCE_MS, LAYOUTS
from firmware.setup import DEFAULT_LAYOUT, authorities
from firmware.store import Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal import Store
    from firmware.hal.files import Files

LONG_ENOUGH = 2  # scans: the clock of the first may have been read before this one's
MAX_TYPED = 256  # keys that wait

_READ_BYTES = 64
_LINE_END = 10
_os_read = getattr(os, "read", None)  # MicroPython has none, and its standard input no buffer to get around


class ProcessHal(DeviceHal):
    """The HAL; the keypad is standard input until its end."""

    __slots__ = (
        "_has_ended",
        "_is_watched",
        "_keys",
        "_mask",
        "_poller",
        "_seen",
        "_since_ms",
        "_sockets",
        "_typed",
    )

    def __init__(self, store: "Store", network: Network, layout: str, files: "Files | None" = None):
        """`network` waits for standard input too."""
        super().__init__(store, files)
        self.network = network
        self._sockets = network.poller
        self._keys = LAYOUTS.get(layout, "")
        self._typed = ""
        self._mask = 0
        self._since_ms = 0
        self._seen = 0  # scans that have seen the mask for DEBOUNCE_MS
        self._poller = select.poll()
        self._is_watched = False
        self._has_ended = False

    def ticks_ms(self) -> int:
        return ticks_ms()

    def wait(self, wait_ms: int) -> bool:
        return bool(self._sockets.poll(wait_ms))

    def scan_keys(self) -> int:
        """The key that is typed now."""
        self._read()
        now_ms = ticks_ms()
        if self._seen < LONG_ENOUGH:
            self._seen += now_ms - self._since_ms >= DEBOUNCE_MS
        elif self._mask or self._typed:
            self._since_ms = now_ms
            self._seen = 0
            if self._mask:
                self._mask = 0
            else:
                self._mask = 1 << self._keys.index(self._typed[0])
                self._typed = self._typed[1:]
        return self._mask

    def _read(self) -> None:
        """Take what comes; while MAX_TYPED keys wait, and after the end, nobody listens."""
        if len(self._typed) < MAX_TYPED and not self._has_ended:
            self._listen(True)
        while self._is_watched and self._poller.poll(0):
            data = _os_read(0, _READ_BYTES) if _os_read is not None else sys.stdin.buffer.read(1)
            for octet in data:
                key = "#" if octet == _LINE_END else chr(octet)
                if key in self._keys:
                    self._typed += key
            self._has_ended = not data
            if not data or len(self._typed) >= MAX_TYPED:
                self._listen(False)

    def _listen(self, wanted: bool) -> None:
        if wanted == self._is_watched:
            return
        self._is_watched = wanted
        for poller in (self._poller, self._sockets):
            if wanted:
                poller.register(sys.stdin, select.POLLIN)
            else:
                poller.unregister(sys.stdin)


def open_process(settings: "dict[str, object]", config: Config) -> ProcessHal:
    """The device whose state is in the file settings["store"]."""
    may_provision = flag(settings.get("provision", False), "provision")
    flash = open_flash(text(settings.get("store"), "store"), config, True, may_provision)
    return ProcessHal(Ring(flash), _network(settings), _layout(settings))


def open_virtual_board(settings: "dict[str, object]") -> ProcessHal:
    """The board whose file system is mounted at / in this process, as boot.py found it."""
    from firmware.hal.files import Files

    files = Files()
    return ProcessHal(open_store(files), _network(settings), _layout(settings), files)


def open_store(files: "Files") -> "Store":
    """The state store of a virtual board; also for provisioning (edge/board/scripts.py)."""
    from firmware.file_store import FileStore

    return FileStore(files)


def _network(settings: "dict[str, object]") -> Network:
    ca, is_insecure = authorities(settings)
    return Network(ca, is_insecure)


def _layout(settings: "dict[str, object]") -> str:
    return text(settings.get("keypad", DEFAULT_LAYOUT), "keypad")
