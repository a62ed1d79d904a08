"""The HAL of boards on pins of the test's own: keypad matrix, outputs, display, analog inputs, watchdog."""

import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest

from firmware.config import ConfigError
from firmware.file_store import FileStore
from firmware.hal.files import Files

PINS: dict[str, object] = {
    "rows": [10, 11, 12, 13],
    "columns": [20, 21, 22],
    "relay": 4,
    "led": 2,
    "buzzer": 3,
    "sda": 6,
    "scl": 7,
    "battery": 26,
}


class Machine(ModuleType):
    """The module `machine`: levels by pin, keys that short a row and a column, a display, a watchdog."""

    def __init__(self) -> None:
        super().__init__("machine")
        self.levels: dict[int, int] = {}
        self.pressed: set[tuple[int, int]] = set()  # (row pin, column pin); row 0: ground
        self.sent: list[bytes] = []
        self.is_plugged = True
        self.feeds = 0
        self.watchdogs: list[int] = []
        self.timers: list[Any] = []
        machine = self

        class Pin:
            IN, OUT, OPEN_DRAIN, PULL_UP = range(4)

            def __init__(self, number: int, mode: int = 0, pull: int = 0, value: int | None = None) -> None:
                self.number = number
                if value is not None:
                    machine.levels[number] = value

            def value(self, level: int | None = None) -> int:
                if level is not None:
                    machine.levels[self.number] = level
                    return level
                grounds = [row for row, column in machine.pressed if column == self.number]
                return int(all(row and machine.levels[row] for row in grounds))

        class SoftI2C:
            def __init__(self, **_: object) -> None:
                pass

            def writeto(self, address: int, data: bytes) -> None:
                if not machine.is_plugged:
                    raise OSError("ENODEV")
                assert address == 0x27
                machine.sent.append(bytes(data))

        class WDT:
            def __init__(self, timeout: int) -> None:
                machine.watchdogs.append(timeout)

            def feed(self) -> None:
                machine.feeds += 1

        class Timer:
            PERIODIC = 1

            def __init__(self, _: int, **settings: Any) -> None:
                machine.timers.append(settings["callback"])

        class ADC:
            def __init__(self, pin: Pin) -> None:
                self.pin = pin

        self.Pin, self.SoftI2C, self.WDT, self.Timer, self.ADC = Pin, SoftI2C, WDT, Timer, ADC
        self.reset_cause = lambda: 1


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    fake = Machine()
    monkeypatch.setitem(sys.modules, "machine", fake)
    monkeypatch.setattr(time, "ticks_ms", lambda: 1000, raising=False)
    monkeypatch.setattr(time, "ticks_diff", lambda a, b: ((a - b + 2**29) % 2**30) - 2**29, raising=False)
    monkeypatch.setattr(time, "sleep_ms", lambda _: None, raising=False)
    yield fake
    for name in ("firmware.hal.board", "firmware.hal.lcd"):
        sys.modules.pop(name, None)


def _board(**settings: object) -> Any:
    from firmware.hal.board import Board

    class Bench(Board):
        def _millivolts(self, adc: Any) -> int:
            return 2_400

        def _temperature_dc(self) -> int:
            return 251

    files = Files()
    return Bench(FileStore(files), files, {"pins": PINS, "scale": {"battery": 5_500}, **settings})


def test_each_key_of_the_matrix_is_its_bit(machine: Machine) -> None:
    board = _board()
    assert board.scan_keys() == 0
    for row in range(4):
        for column in range(3):
            machine.pressed = {(10 + row, 20 + column)}
            assert board.scan_keys() == 1 << (row * 3 + column)
    machine.pressed = {(10, 20), (13, 22)}
    assert board.scan_keys() == 1 | 1 << 11
    assert [machine.levels[row] for row in (10, 11, 12, 13)] == [1] * 4


def test_keys_without_rows_switch_to_ground(machine: Machine) -> None:
    board = _board(pins={"columns": [20, 21, 22, 23, 24]})
    machine.pressed = {(0, 23)}
    assert board.scan_keys() == 1 << 3


@pytest.mark.parametrize("active_low", [False, True])
def test_the_relay_is_off_from_the_first_moment(machine: Machine, active_low: bool) -> None:
    board = _board(pins=PINS | {"relay_active_low": active_low})
    assert machine.levels[4] == int(active_low)
    board.set_relay(True)
    assert machine.levels[4] == int(not active_low)


def test_lamp_and_buzzer(machine: Machine) -> None:
    board = _board()
    board.led(True)
    board.beep(True)
    assert (machine.levels[2], machine.levels[3]) == (1, 1)
    board.beep(False)
    assert (machine.levels[2], machine.levels[3]) == (1, 0)


def test_readings_are_scaled(machine: Machine) -> None:
    readings = _board().readings()
    assert (readings.battery_mv, readings.panel_mv, readings.temperature_dc) == (13_200, 0, 251)


def _shown(sent: bytes) -> tuple[int, str]:
    """The line and the text of one transfer: half bytes, each taken when E falls."""
    halves = [octet for octet, after in pairwise(sent) if octet & 4 and not after & 4]
    octets = [halves[i] & 0xF0 | halves[i + 1] >> 4 for i in range(0, len(halves), 2)]
    assert not halves[0] & 1
    assert all(half & 1 for half in halves[2:])
    return octets[0], bytes(octets[1:]).decode()


def test_the_display_shows_both_lines_and_sends_only_what_changed(machine: Machine) -> None:
    board = _board()
    machine.sent.clear()
    board.show("CREDIT", "30 DAYS LEFT")
    assert [_shown(sent) for sent in machine.sent] == [
        (0x80, "CREDIT".ljust(16)),
        (0xC0, "30 DAYS LEFT".ljust(16)),
    ]
    machine.sent.clear()
    board.show("CREDIT", "29 DAYS LEFT")
    assert [_shown(sent)[1] for sent in machine.sent] == ["29 DAYS LEFT".ljust(16)]


def test_a_display_that_is_plugged_in_again_shows_everything(machine: Machine) -> None:
    board = _board()
    board.show("CREDIT", "2 DAYS LEFT")
    machine.is_plugged = False
    board.show("CREDIT", "1 DAYS LEFT")
    machine.is_plugged = True
    machine.sent.clear()
    board.show("CREDIT", "1 DAYS LEFT")
    assert [_shown(sent)[1].strip() for sent in machine.sent[-2:]] == ["CREDIT", "1 DAYS LEFT"]


def test_the_watchdog_starts_with_the_first_feeding_and_is_fed_at_a_prompt(machine: Machine) -> None:
    board = _board()
    board.stay_alive()
    assert (machine.watchdogs, machine.timers) == ([], [])
    board.feed()
    board.feed()
    assert (machine.watchdogs, machine.feeds) == ([board.WATCHDOG_MS], 2)
    board.stay_alive()
    machine.timers[0](None)
    assert machine.feeds == 3


def test_ticks_do_not_wrap(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    from firmware.hal.board import Ticks

    said = iter([2**30 - 500, 2**30 - 100, 300, 2**29, 2**29 + 1])
    monkeypatch.setattr(time, "ticks_ms", lambda: next(said))
    ticks = Ticks()
    assert [ticks.now_ms() for _ in range(4)] == [400, 800, 2**29 + 500, 2**29 + 501]


def test_settings_that_name_no_pins_are_refused(machine: Machine) -> None:
    for pins in ([], {"relay": "four"}, {"rows": 3}, {"relay_active_low": 1}):
        with pytest.raises(ConfigError):
            _board(pins=pins)


def test_without_wifi_there_is_no_network(machine: Machine) -> None:
    from firmware.hal.board import open_network

    assert open_network({"pins": PINS}) is None
