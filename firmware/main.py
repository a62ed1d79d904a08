"""The program of a device: finds out what it runs on, makes the HAL, and runs the shell.

    micropython firmware/main.py CONFIG.json        (or python -m firmware.main CONFIG.json)

runs a device of a host. CONFIG holds one JSON object: what setup.py lists of identity and settings, store
(the file of the state), and provision: true to make a new device when the store is missing; without it that
is an error, for a device in use must not begin again from zero. Keypad entries are the lines of standard
input: each character is a key that is pressed and released, the line's end is `#`.
Standard output: see shell.py.

Without an argument, started by boot.py, it runs a board: /identity.json and /settings.json, on the HAL of
sys.platform; on a host that is a virtual board (edge/board/virtual.py).
"""

import json
import sys

from firmware.config import ConfigError
from firmware.setup import config_from
from firmware.shell import Shell
from firmware.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.board import Board

IDENTITY = "/identity.json"
SETTINGS = "/settings.json"
BOARDS = ("esp32", "rp2")


def main(arguments: "list[str]") -> int:
    """Run the device of a configuration file, or this board until its restart; 2 when there is no device."""
    try:
        if len(arguments) == 1:
            _run_process(arguments[0])
        elif arguments or "boot" not in sys.modules:
            return _complain("give one argument: the JSON file of the configuration")
        else:
            _run_board()
    except (OSError, ValueError, StoreError) as error:
        return _complain(str(error))
    return 0


def _run_process(path: str) -> None:
    """A device of this process; a restart begins it anew."""
    from firmware.hal.process import open_process

    settings = _read(path)
    while True:
        hal = open_process(settings, config_from(settings))
        Shell(settings, hal).run()
        hal.store.close()


def _run_board() -> None:
    """Comes back for a restart, or with an interrupt by somebody at the prompt."""
    settings = _board_settings()
    if sys.platform not in BOARDS:  # a virtual board: its supervisor starts it again when the process ends
        from firmware.hal.process import open_virtual_board

        Shell(settings, open_virtual_board(settings)).run()
        return
    board = _open_board(settings)
    try:
        Shell(settings, board).run()
    except KeyboardInterrupt:
        board.stay_alive()
        raise


def _open_board(settings: "dict[str, object]") -> "Board":
    if sys.platform == "esp32":
        from firmware.hal.esp32 import open_board
    else:
        from firmware.hal.rp2 import open_board
    return open_board(settings)


def _board_settings() -> "dict[str, object]":
    """Both files as one; what the identity says counts."""
    settings = _read(SETTINGS)
    settings.update(_read(IDENTITY))
    return settings


def _read(path: str) -> "dict[str, object]":
    with open(path) as file:
        settings: dict[str, object] = json.load(file)
    if not isinstance(settings, dict):  # pyright: ignore[reportUnnecessaryIsInstance] - it comes from a file
        raise ConfigError("%s must hold one JSON object" % path)
    return settings


def _complain(reason: str) -> int:
    sys.stderr.write("payg firmware: " + reason + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
