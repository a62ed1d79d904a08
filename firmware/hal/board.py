"""What ESP32 and RP2 boards have in common: pins, keypad matrix, display, watchdog, clock. esp32.py and
rp2.py add what differs.

settings["pins"] names the pins; what is not named is not there:

    rows, columns         lists: the keypad's matrix; without rows each column's key switches to ground
    relay, led, buzzer    outputs; relay_active_low: true for a relay board that switches on at 0 V
    sda, scl              of the display (lcd.py); lcd_address if it is not 39
    battery, panel, load  analog inputs; settings["scale"] has mV (or mA) for 1000 mV at the pin, by name
"""

import os
import time

import machine

from firmware.config import ConfigError, flag, text, whole
from firmware.hal import Readings
from firmware.hal.device import DeviceHal
from firmware.setup import authorities, section, uses_tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal import Store
    from firmware.hal.files import Files
    from firmware.hal.lcd import Lcd
    from firmware.hal.net import Network

_I2C_HZ = 100_000
_SAMPLES = 8  # of an analog input: the ESP32's are noisy
_FEED_PERIOD_MS = 2_000
_EPOCH_S = 946_684_800 if time.gmtime(0)[0] == 2000 else 0  # unix seconds of the board's second 0
DEFAULT_NTP = "pool.ntp.org"
_INPUTS = ("battery", "panel", "load")


class Board(DeviceHal):
    """The HAL of a board; `_millivolts` and `_temperature_dc` are each board's own."""

    WATCHDOG_MS = 8_000
    TIMER = -1

    __slots__ = (
        "_buzzer",
        "_columns",
        "_inputs",
        "_lcd",
        "_led",
        "_off",
        "_relay",
        "_rows",
        "_ticks",
        "_watchdog",
    )

    def __init__(self, store: "Store", files: "Files", settings: "dict[str, object]"):
        """ConfigError for settings that name no pins."""
        super().__init__(store, files)
        pins = section(settings, "pins")
        self.reset_cause = machine.reset_cause() & 0xFF
        self._ticks = Ticks()
        self._off = int(flag(pins.get("relay_active_low", False), "relay_active_low"))
        self._relay = _output(pins, "relay", self._off)
        self._led = _output(pins, "led", 0)
        self._buzzer = _output(pins, "buzzer", 0)
        self._rows = [machine.Pin(n, machine.Pin.OPEN_DRAIN, value=1) for n in _numbers(pins, "rows")]
        self._columns = [
            machine.Pin(n, machine.Pin.IN, machine.Pin.PULL_UP) for n in _numbers(pins, "columns")
        ]
        self._inputs = [self._input(pins, section(settings, "scale"), name) for name in _INPUTS]
        self._lcd: Lcd | None = _display(pins) if "sda" in pins else None
        self._watchdog: machine.WDT | None = None

    def ticks_ms(self) -> int:
        return self._ticks.now_ms()

    def wait(self, wait_ms: int) -> bool:
        if self.network is not None:
            return self.network.wait(wait_ms)
        time.sleep_ms(wait_ms)
        return False

    def set_relay(self, closed: bool) -> None:
        if self._relay is not None:
            self._relay.value(self._off ^ int(closed))

    def show(self, first: str, second: str) -> None:
        if self._lcd is not None:
            self._lcd.show(first, second)

    def led(self, on: bool) -> None:
        if self._led is not None:
            self._led.value(int(on))

    def beep(self, on: bool) -> None:
        if self._buzzer is not None:
            self._buzzer.value(int(on))

    def scan_keys(self) -> int:
        """A row at 0 V pulls the columns of its pressed keys down. Allocates nothing."""
        pressed = 0
        bit = 1
        if not self._rows:
            return self._scan_row(bit)
        for row in self._rows:
            row.value(0)
            pressed |= self._scan_row(bit)
            row.value(1)
            bit <<= len(self._columns)
        return pressed

    def readings(self) -> Readings:
        battery, panel, load = [self._scaled(one) for one in self._inputs]
        return Readings(battery, panel, load, self._temperature_dc())

    def feed(self) -> None:
        """The first call starts the watchdog: everything is imported by then."""
        if self._watchdog is None:
            self._watchdog = machine.WDT(timeout=self.WATCHDOG_MS)
        self._watchdog.feed()

    def stay_alive(self) -> None:
        """Somebody is at the prompt: a watchdog that runs cannot be stopped, so a timer feeds it."""
        watchdog = self._watchdog
        if watchdog is not None:
            machine.Timer(
                self.TIMER,
                period=_FEED_PERIOD_MS,
                mode=machine.Timer.PERIODIC,
                callback=lambda _: watchdog.feed(),
            )

    def reset(self) -> None:
        machine.reset()

    def _scan_row(self, bit: int) -> int:
        pressed = 0
        for column in self._columns:
            if not column.value():
                pressed |= bit
            bit <<= 1
        return pressed

    def _input(
        self, pins: "dict[str, object]", scale: "dict[str, object]", name: str
    ) -> "tuple[machine.ADC, int] | None":
        if name not in pins:
            return None
        return self._adc(whole(pins[name], name)), whole(scale.get(name, 1000), "the scale of " + name)

    def _scaled(self, one: "tuple[machine.ADC, int] | None") -> int:
        if one is None:
            return 0
        total = sum([self._millivolts(one[0]) for _ in range(_SAMPLES)])
        return min(total * one[1] // (1000 * _SAMPLES), 0xFFFF)

    def _adc(self, pin: int) -> "machine.ADC":
        return machine.ADC(machine.Pin(pin))

    def _millivolts(self, adc: "machine.ADC") -> int:
        raise NotImplementedError

    def _temperature_dc(self) -> int:
        raise NotImplementedError


class Ticks:
    """Milliseconds that never wrap, from time.ticks_ms, which does after some days."""

    __slots__ = ("_last", "_total_ms")

    def __init__(self):
        self._last = time.ticks_ms()
        self._total_ms = 0

    def now_ms(self) -> int:
        """The ms since the start; call it at least every few days."""
        now = time.ticks_ms()
        self._total_ms += time.ticks_diff(now, self._last)
        self._last = now
        return self._total_ms


def open_network(settings: "dict[str, object]") -> "Network | None":
    """What runs over the Wi-Fi of settings["wifi"]; None on a board that only has its keypad."""
    wifi = section(settings, "wifi")
    if not wifi:
        return None
    import network  # a board without a radio lacks it

    from firmware.hal.net import Network
    from firmware.hal.wall import Wall
    from firmware.hal.wifi import Wifi

    network.hostname("payg-" + machine.unique_id().hex()[-6:])
    station = Wifi(
        network.WLAN(network.STA_IF),
        text(wifi.get("ssid"), "the ssid of the wifi"),
        text(wifi.get("password", ""), "the password of the wifi"),
    )
    ca, is_insecure = authorities(settings)
    wall = None
    if uses_tls(settings):
        wall = Wall(text(settings.get("ntp", DEFAULT_NTP), "ntp"), set_clock, os.urandom)
    return Network(ca, is_insecure, station, wall)


def set_clock(unix_s: int) -> None:
    """Set the board's time of day."""
    year, month, day, hour, minute, second, weekday = time.gmtime(unix_s - _EPOCH_S)[:7]
    machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))


def _output(pins: "dict[str, object]", name: str, value: int) -> "machine.Pin | None":
    if name not in pins:
        return None
    return machine.Pin(whole(pins[name], name), machine.Pin.OUT, value=value)


def _numbers(pins: "dict[str, object]", name: str) -> "list[int]":
    numbers = pins.get(name, [])
    if not isinstance(numbers, list):
        raise ConfigError("%s must be a list of pins" % name)
    return [whole(number, name) for number in numbers]


def _display(pins: "dict[str, object]") -> "Lcd":
    from firmware.hal.lcd import ADDRESS, Lcd

    sda, scl = [machine.Pin(whole(pins.get(name), name)) for name in ("sda", "scl")]
    i2c = machine.SoftI2C(sda=sda, scl=scl, freq=_I2C_HZ)
    return Lcd(i2c, whole(pins.get("lcd_address", ADDRESS), "lcd_address"))
