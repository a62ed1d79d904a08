"""The program of a controller: HAL, controller and link in one loop that never blocks.

    micropython firmware/main.py CONFIG.json        (or python -m firmware.main CONFIG.json)

CONFIG holds one JSON object: host, port, serial, secret and link_key (hex), password, store (the file of the
flash), and optionally family, starting_code, last_count, encrypted, status_interval_s, keep_alive_s, and
provision: true makes a new device when the store is missing; without it that is an error, for a device in
use must not begin again from zero. Keypad entries are the lines of standard input. Standard output tells what
changes, one JSON object a line: the device's state ({"serial","relay","credit_s","state","token_count",
"online","display"}), the answer to each entry ({"result",...}), why a connection ended ({"disconnected"}),
and that the store did not take a change ({"store_failed"}), which is tried again.
"""

import json
import os
import select
import sys
import time

import firmware.mqtt  # the module that takes most memory to compile comes while the heap is empty
from firmware.answer import answer
from firmware.config import STATUS_INTERVAL_S, Config, ConfigError, flag, text, whole
from firmware.controller import Controller
from firmware.hal.unix import UnixHal, open_flash
from firmware.hal.unix_net import Lines, Tcp
from firmware.link import KEEP_ALIVE_S, Link
from firmware.store import StoreError
from protocols.magicbox import wire

FIRST_RETRY_MS = 1_000
LONGEST_RETRY_MS = 60_000
CONNECT_TIMEOUT_MS = 15_000
STORE_RETRY_S = 1
CLOSED_SETTLE_MS = 1_000  # after a lost connection: access points want a pause before the next try


class Program:
    """One device in a process."""

    def __init__(self, settings: "dict[str, object]"):
        config = config_from(settings)
        self._host = text(settings["host"], "host")
        self._port = whole(settings["port"], "port")
        keep_alive_s = whole(settings.get("keep_alive_s", KEEP_ALIVE_S), "keep_alive_s")
        password = text(settings["password"], "password")
        may_provision = flag(settings.get("provision", False), "provision")
        self._hal = UnixHal(open_flash(text(settings["store"], "store"), config, True, may_provision))
        self._controller = Controller(config, self._hal)
        self._link = Link(config.serial, password, self._controller, keep_alive_s)
        self._serial = config.serial
        self._poller = select.poll()
        self._lines = Lines(self._poller)
        self._tcp: Tcp | None = None
        self._retry_ms = FIRST_RETRY_MS
        self._next_try_ms = self._hal.ticks_ms()
        self._told: tuple[object, ...] = ()

    def run(self) -> None:
        """Run until the power goes."""
        while True:
            self.turn()

    def turn(self) -> None:
        """One round: what is due, then wait for the next deadline or for something to happen."""
        now_ms = self._hal.ticks_ms()
        try:
            wait_ms = self._controller.poll(now_ms)
            wait_ms = min(wait_ms, self._drive(now_ms))
            self._tell()
            for ready in self._poller.poll(wait_ms):
                self._handle(ready[0])
        except (OSError, firmware.mqtt.MqttError) as error:
            self._disconnected(str(error))
        except StoreError as error:
            _write({"store_failed": str(error)})
            time.sleep(STORE_RETRY_S)  # whatever came or is due, the store comes first

    def _drive(self, now_ms: int) -> int:
        """Connect, send, give up; ms until the next look."""
        if self._tcp is None:
            if now_ms < self._next_try_ms:
                return self._next_try_ms - now_ms
            self._next_try_ms = now_ms + CONNECT_TIMEOUT_MS
            self._tcp = Tcp(self._host, self._port, self._poller)
        if not self._tcp.is_open:
            if now_ms >= self._next_try_ms:
                raise OSError("no answer from the broker's host")
            return self._next_try_ms - now_ms
        wait_ms = self._link.poll(now_ms)
        self._tcp.send(self._link.output())
        if self._link.online:
            self._retry_ms = FIRST_RETRY_MS
        return wait_ms

    def _handle(self, ready: object) -> None:
        if self._lines.is_self(ready):
            for line in self._lines.read():
                self._enter(line)
        elif self._tcp is not None and self._tcp.is_self(ready):
            now_ms = self._hal.ticks_ms()
            data = self._tcp.receive()
            if not self._tcp.is_open:  # the first event says that the connection stands
                self._tcp.is_open = True
                self._link.opened(now_ms)
            if data is not None:
                self._link.received(data, now_ms)

    def _enter(self, line: str) -> None:
        outcome = self._controller.entry(line, self._hal.ticks_ms())
        _write(answer(self._controller, outcome))

    def _disconnected(self, reason: str) -> None:
        """Close, and try again after a pause that doubles, a quarter of it by chance."""
        if self._tcp is not None:
            self._tcp.close()
            self._tcp = None
        self._link.closed()
        jitter_ms = self._retry_ms * os.urandom(1)[0] // 1024
        self._next_try_ms = self._hal.ticks_ms() + CLOSED_SETTLE_MS + self._retry_ms + jitter_ms
        self._retry_ms = min(2 * self._retry_ms, LONGEST_RETRY_MS)
        _write({"disconnected": reason})

    def _tell(self) -> None:
        """Print the state when it is another than the last one printed."""
        controller = self._controller
        told = (controller.relay, controller.status, controller.token_count, self._link.online)
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
                "online": self._link.online,
                "display": list(controller.display),
            }
        )


def config_from(settings: "dict[str, object]") -> Config:
    """The device that a JSON object describes; ConfigError says what it lacks."""
    if not isinstance(settings, dict):  # pyright: ignore[reportUnnecessaryIsInstance] - it comes from a file
        raise ConfigError("the configuration must be one JSON object")
    for name in ("host", "port", "serial", "secret", "link_key", "password", "store"):
        if name not in settings:
            raise ConfigError("the configuration needs %s" % name)
    code = settings.get("starting_code")
    return Config(
        serial=text(settings["serial"], "serial"),
        family=text(settings.get("family", "moto"), "family"),
        secret=_from_hex(settings, "secret"),
        link_key=_from_hex(settings, "link_key"),
        starting_code=None if code is None else whole(code, "starting_code"),
        last_count=whole(settings.get("last_count", -1), "last_count"),
        encrypted=flag(settings.get("encrypted", True), "encrypted"),
        status_interval_s=whole(settings.get("status_interval_s", STATUS_INTERVAL_S), "status_interval_s"),
    )


def main(arguments: "list[str]") -> int:
    """Run the device of a configuration file; 2 when the file or the store makes none."""
    if len(arguments) != 1:
        return _complain("give one argument: the JSON file of the configuration")
    try:
        with open(arguments[0]) as file:
            program = Program(json.load(file))
    except (OSError, ValueError, StoreError) as error:
        return _complain(str(error))
    program.run()
    return 0


def _from_hex(settings: "dict[str, object]", name: str) -> bytes:
    try:
        return bytes.fromhex(text(settings[name], name))
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError("%s must be hex" % name) from None


def _write(line: "dict[str, object]") -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    flush = getattr(sys.stdout, "flush", None)
    if flush is not None:  # MicroPython's standard output has no buffer
        flush()


def _complain(reason: str) -> int:
    sys.stderr.write("payg firmware: " + reason + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
