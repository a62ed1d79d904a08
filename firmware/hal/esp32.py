"""The HAL of an ESP32 board (stock MicroPython; any chip of the family). board.py has the rest.

The state store is a raw ring on a data partition of the label STORE_LABEL, when the partition table has one
of at least two sectors; else two files.
"""

import esp32
import machine

from firmware.hal.board import Board, open_network
from firmware.hal.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal import Store

STORE_LABEL = "payg"


class Esp32(Board):
    """The HAL; `settings` are those of board.py."""

    WATCHDOG_MS = 30_000
    TIMER = 0

    __slots__ = ()

    def _adc(self, pin: int) -> machine.ADC:
        return machine.ADC(machine.Pin(pin), atten=machine.ADC.ATTN_11DB)

    def _millivolts(self, adc: machine.ADC) -> int:
        return adc.read_uv() // 1000

    def _temperature_dc(self) -> int:
        celsius = getattr(esp32, "mcu_temperature", None)
        if celsius is not None:
            return 10 * celsius()
        return (esp32.raw_temperature() - 32) * 50 // 9  # the first ESP32 says Fahrenheit


def open_board(settings: "dict[str, object]") -> Board:
    """The board of these settings, and its network."""
    files = Files()
    board = Esp32(open_store(files), files, settings)
    board.network = open_network(settings)
    return board


def open_store(files: Files) -> "Store":
    """The state store of this board; also for provisioning (edge/board/scripts.py)."""
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label=STORE_LABEL)
    if found:
        from firmware.store import Ring

        return Ring(found[0])
    from firmware.file_store import FileStore

    return FileStore(files)
