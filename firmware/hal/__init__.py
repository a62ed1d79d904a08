"""What a board must supply; the firmware asks for nothing else.

Duck-typed: a board's own objects do (ESP32 `Partition`, `rp2.Flash`). The classes here are the list and,
where that makes sense, a working default. hal/unix.py is the one for a process on a host, hal/esp32.py and
hal/rp2.py are those of boards.

    ticks_ms() -> int            milliseconds that only grow and never wrap, from any origin
    store                        the state store: load() -> bytes | None, save(bytes), close(); a Ring
                                 (firmware.store) on a Flash, or a FileStore (firmware.file_store) on files
    files                        a small file system (firmware.hal.files), or None: no update, no provisioning
    set_relay(closed)            switch the load
    show(first, second)          two lines of at most 16 characters for the display
    led(on), beep(on)            the lamp and the buzzer of the keypad
    scan_keys() -> int           the keys that are down now, bit row * columns + column of the matrix
    readings() -> Readings       what the sensors say now
    reset_cause                  why this boot happened, a small integer of the board's own
    feed()                       tell the watchdog that all is well
    reset()                      start the board again; does not return on a board
    entropy(count) -> bytes      bytes that nobody can guess
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.file_store import FileStore
    from firmware.hal.files import Files
    from firmware.store import Ring

    Store = Ring | FileStore

SECTOR_SIZE = 4096  # what NOR flash erases at once

_ERASED = b"\xff" * 256

IOCTL_BLOCK_COUNT = 4  # MicroPython's block device protocol
IOCTL_BLOCK_SIZE = 5
IOCTL_ERASE = 6


class Readings:
    """Battery and panel in mV, load in mA, temperature in tenths of a degree Celsius."""

    __slots__ = ("battery_mv", "load_ma", "panel_mv", "temperature_dc")

    def __init__(self, battery_mv: int, panel_mv: int, load_ma: int, temperature_dc: int):
        self.battery_mv = battery_mv
        self.panel_mv = panel_mv
        self.load_ma = load_ma
        self.temperature_dc = temperature_dc


class Flash:
    """MicroPython's block device protocol with offsets, here over bytes in RAM.

    `writeblocks` with an offset programs without erasing; `ioctl(6, block)` erases a block to 0xFF.
    """

    __slots__ = ("_image",)

    def __init__(self, image: bytes):
        self._image = bytearray(image)

    def readblocks(self, block: int, buf: bytearray, offset: int = 0) -> None:
        start = block * SECTOR_SIZE + offset
        buf[:] = self._image[start : start + len(buf)]

    def writeblocks(self, block: int, buf: bytes, offset: int = 0) -> None:
        start = block * SECTOR_SIZE + offset
        self._image[start : start + len(buf)] = buf

    def ioctl(self, op: int, arg: int) -> int:
        if op == IOCTL_BLOCK_COUNT:
            return len(self._image) // SECTOR_SIZE
        if op == IOCTL_BLOCK_SIZE:
            return SECTOR_SIZE
        if op == IOCTL_ERASE:
            for offset in range(0, SECTOR_SIZE, len(_ERASED)):
                self.writeblocks(arg, _ERASED, offset)
        return 0

    def close(self) -> None:
        """Let go of it; nothing here."""

    def image(self) -> bytes:
        """Everything on it."""
        return bytes(self._image)


class Hal:
    """The defaults: no keypad, no display, no sensors, a load that nobody switches."""

    __slots__ = ("files", "reset_cause", "store")

    def __init__(self, store: "Store", files: "Files | None" = None):
        self.store = store
        self.files = files
        self.reset_cause = 0

    def ticks_ms(self) -> int:
        return 0

    def set_relay(self, closed: bool) -> None:
        pass

    def show(self, first: str, second: str) -> None:
        pass

    def led(self, on: bool) -> None:
        pass

    def beep(self, on: bool) -> None:
        pass

    def scan_keys(self) -> int:
        return 0

    def readings(self) -> Readings:
        return Readings(0, 0, 0, 0)

    def feed(self) -> None:
        pass

    def reset(self) -> None:
        pass

    def entropy(self, count: int) -> bytes:
        return os.urandom(count)
