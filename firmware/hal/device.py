"""What shell.py needs beyond hal/__init__.py: a network, and a way to wait. board.py and unix.py have it."""

from firmware.hal import Hal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal import Store
    from firmware.hal.files import Files
    from firmware.hal.net import Network


class DeviceHal(Hal):
    """`network` is None on a device that only has a keypad."""

    __slots__ = ("network",)

    def __init__(self, store: "Store", files: "Files | None" = None):
        super().__init__(store, files)
        self.network: Network | None = None

    def wait(self, wait_ms: int) -> bool:
        """Sleep, at most so long; True when something happened that is worth a look."""
        raise NotImplementedError
