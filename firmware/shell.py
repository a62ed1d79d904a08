"""The loop of every device: keypad, controller, lamp and buzzer, network, update, watchdog.

    Shell(settings, hal).run()     until the board is to start again

Each turn does what is due and waits for the next deadline, for something on the network, or for the keypad,
which is looked at every SCAN_INTERVAL_MS. Nothing in a turn waits for anybody. What changes is printed, one
JSON object a line: the device's state ({"serial","relay","credit_s","state","token_count","online",
"display"}), the answer to each entry ({"result",...}), why a connection ended ({"disconnected"}), that the
store did not take a change ({"store_failed"}), which is tried again, and a restart ({"reset"}).

main.py makes the HAL; setup.py reads the settings; dialer.py and pump.py have the network, ota.py the update.
"""

import json
import sys

from firmware.answer import answer
from firmware.config import ConfigError, text
from firmware.controller import Controller, Outcome
from firmware.conversation import NEVER_MS
from firmware.dialer import Dialer
from firmware.keypad import LAYOUTS, SCAN_INTERVAL_MS, Keypad
from firmware.pump import Pump
from firmware.setup import DEFAULT_LAYOUT, Links, config_from, http_place, section
from firmware.store import StoreError
from protocols.magicbox import wire

STORE_RETRY_MS = 1_000
LONGEST_TURN_MS = 1_000  # so often the watchdog is fed, whatever is due

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.device import DeviceHal
    from firmware.ota import Updater


class Shell:
    """One device."""

    __slots__ = (
        "_controller",
        "_dialer",
        "_due_ms",
        "_hal",
        "_keypad",
        "_links",
        "_order",
        "_pump",
        "_serial",
        "_told",
        "_updater",
    )

    def __init__(self, settings: "dict[str, object]", hal: "DeviceHal"):
        """ConfigError for settings that make no device; StoreError for another device's store."""
        config = config_from(settings)
        layout = text(settings.get("keypad", DEFAULT_LAYOUT), "keypad")
        if layout not in LAYOUTS:
            raise ConfigError("keypad must be one of %s" % ", ".join(sorted(LAYOUTS)))
        self._serial = config.serial
        self._hal = hal
        self._keypad = Keypad(layout)
        self._controller = Controller(config, hal)
        self._links = Links(settings, config, self._controller)
        self._order = self._controller.settings.links
        links = self._links.in_order(self._order)
        self._dialer = Dialer(links, hal.entropy)
        self._pump: Pump | None = None
        if hal.network is not None and links:
            self._pump = Pump(self._dialer, hal.network, _tell_end)
        self._updater = self._make_updater(settings)
        self._told: tuple[object, ...] = ()
        self._due_ms = hal.ticks_ms()

    def run(self) -> None:
        """Run until a restart is wanted; then the HAL has begun it, on a board at once."""
        while not self._wants_reset():
            self.turn()
        if self._pump is not None:
            self._pump.hang_up(self._hal.ticks_ms())
        _write({"reset": True})
        self._hal.reset()

    def turn(self) -> None:
        """One round: the keypad, what is due, then a wait of at most SCAN_INTERVAL_MS."""
        hal = self._hal
        hal.feed()
        now_ms = hal.ticks_ms()
        key = self._keypad.scan(hal.scan_keys(), now_ms)
        if key:
            self._press(key, now_ms)
            self._due_ms = now_ms
        if now_ms >= self._due_ms:
            self._due_ms = now_ms + self._work(now_ms)
        if hal.wait(min(self._due_ms - now_ms, SCAN_INTERVAL_MS)):
            self._due_ms = now_ms

    def _work(self, now_ms: int) -> int:
        """Everything that is due; ms until the next time."""
        try:
            wait_ms = min(self._controller.poll(now_ms), LONGEST_TURN_MS)
            outcome = self._controller.take_outcome()
            if outcome is not None:
                self._answer(outcome)
            playing_ms = self._controller.outputs.poll(now_ms)
            if playing_ms >= 0:
                wait_ms = min(wait_ms, playing_ms)
            wait_ms = min(wait_ms, self._update(now_ms))
            if self._pump is not None:
                self._reorder()
                wait_ms = min(wait_ms, self._pump.poll(now_ms))
            self._tell()
        except StoreError as error:  # whatever came or is due, the store comes first
            _write({"store_failed": str(error)})
            return STORE_RETRY_MS
        return max(wait_ms, 1)

    def _press(self, key: str, now_ms: int) -> None:
        try:
            outcome = self._controller.key(key, now_ms)
        except StoreError as error:
            _write({"store_failed": str(error)})
            return
        if outcome is not None:
            self._answer(outcome)

    def _update(self, now_ms: int) -> int:
        updater = self._updater
        if updater is None:
            if self._controller.update_order is not None:
                self._controller.update_failed("no update here")
            return NEVER_MS
        wait_ms = updater.poll(now_ms)
        self._dialer.download = updater.download
        return wait_ms

    def _reorder(self) -> None:
        """A CONFIG command may have changed how the back end is reached."""
        settings = self._controller.settings
        self._links.keep_alive(settings.keep_alive_s)
        if settings.links != self._order:
            self._order = settings.links
            self._dialer.order(self._links.in_order(self._order))

    def _wants_reset(self) -> bool:
        return self._controller.wants_reset or (self._updater is not None and self._updater.wants_reset)

    def _make_updater(self, settings: "dict[str, object]") -> "Updater | None":
        """None on a device without files of its own, or without the HTTP service that has the images."""
        files = self._hal.files
        http = section(settings, "http")
        if files is None or not http or self._pump is None:
            return None
        from firmware.ota import Updater
        from firmware.slots import Slots

        return Updater(files, Slots(files, sys.path[0]), self._controller, http_place(http))

    def _answer(self, outcome: Outcome) -> None:
        _write(answer(self._controller, outcome))

    def _tell(self) -> None:
        """Print the state when it is another than the last one printed."""
        controller = self._controller
        online = self._links.online
        told = (controller.relay, controller.status, controller.token_count, online)
        if told == self._told:
            return
        self._told = told
        _write(
            {
                "serial": self._serial,
                "relay": controller.relay,
                "credit_s": controller.credit_s,
                "state": wire.STATE_NAMES[controller.status],
                "token_count": controller.token_count,
                "online": online,
                "display": list(controller.display),
            }
        )


def _tell_end(reason: str) -> None:
    _write({"disconnected": reason})


def _write(line: "dict[str, object]") -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    flush = getattr(sys.stdout, "flush", None)
    if flush is not None:  # MicroPython's standard output has no buffer
        flush()
