"""The shell on a HAL of the test's own: keys, watchdog, a store that fails, restarts; and the settings."""

import json

import pytest

from firmware.config import ConfigError
from firmware.hal import Readings
from firmware.hal.device import DeviceHal
from firmware.setup import Links, authorities, config_from, http_place, place
from firmware.shell import Shell
from firmware.state import provision
from firmware.store import Ring, StoreError
from protocols.magicbox import wire
from tests.firmware.rig import LINK_KEY, MOTO_SECRET, Bench, NorFlash, moto_config, moto_token

SETTINGS: dict[str, object] = {
    "serial": "T/1",
    "secret": MOTO_SECRET.hex(),
    "link_key": LINK_KEY.hex(),
    "password": "pw",
}
KEYS = "123456789*0#"


class StuckRing(Ring):
    """Takes nothing while it is stuck."""

    is_stuck = False

    def save(self, payload: bytes) -> None:
        if self.is_stuck:
            raise StoreError("worn out")
        super().save(payload)


class Desk(DeviceHal):
    """A device without a network; time passes while it waits, and a finger presses `typed`."""

    def __init__(self) -> None:
        flash = NorFlash()
        self.ring = StuckRing(flash)
        super().__init__(self.ring)
        provision(moto_config(), self.ring)
        self.now_ms = 0
        self.typed = ""
        self.feeds = 0
        self.resets = 0
        self.relay = False
        self.lamp: list[bool] = []

    def ticks_ms(self) -> int:
        return self.now_ms

    def wait(self, wait_ms: int) -> bool:
        self.now_ms += max(wait_ms, 1)
        return False

    def scan_keys(self) -> int:
        """50 ms a key, 50 ms up."""
        step, phase = divmod(self.now_ms // 50, 2)
        return 1 << KEYS.index(self.typed[step]) if not phase and step < len(self.typed) else 0

    def set_relay(self, closed: bool) -> None:
        self.relay = closed

    def led(self, on: bool) -> None:
        self.lamp.append(on)

    def feed(self) -> None:
        self.feeds += 1

    def reset(self) -> None:
        self.resets += 1

    def readings(self) -> Readings:
        return Readings(0, 0, 0, 0)


def _run(shell: Shell, hal: Desk, seconds: float) -> None:
    ends_ms = hal.now_ms + seconds * 1000
    while hal.now_ms < ends_ms:
        shell.turn()


def _said(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_token_goes_from_the_fingers_to_the_light(capsys: pytest.CaptureFixture[str]) -> None:
    hal = Desk()
    shell = Shell(SETTINGS, hal)
    hal.typed = "*" + moto_token("unlock_relative", 30, 1) + "#"
    _run(shell, hal, 5)
    said = _said(capsys.readouterr().out)
    assert [line["result"] for line in said if "result" in line] == ["accepted"]
    assert (said[0]["relay"], said[-1]["relay"], hal.relay) == (False, True, True)
    assert True in hal.lamp
    assert hal.lamp[-1] is False


def test_the_watchdog_is_fed_in_every_turn_and_no_turn_is_long() -> None:
    hal = Desk()
    shell = Shell(SETTINGS, hal)
    for turn in range(500):
        before_ms = hal.now_ms
        shell.turn()
        assert hal.feeds == turn + 1
        assert hal.now_ms - before_ms <= 20


def test_a_store_that_fails_is_told_and_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    hal = Desk()
    shell = Shell(SETTINGS, hal)
    hal.ring.is_stuck = True
    hal.typed = moto_token("unlock_relative", 30, 1) + "#"
    _run(shell, hal, 5)
    failures = [line for line in _said(capsys.readouterr().out) if "store_failed" in line]
    assert 1 < len(failures) < 10
    assert hal.relay is False
    hal.ring.is_stuck = False
    _run(shell, hal, 3)
    assert hal.relay is True


def test_a_restart_is_told_and_left_to_the_board(capsys: pytest.CaptureFixture[str]) -> None:
    hal = Desk()
    shell = Shell(SETTINGS, hal)
    frame = Bench(moto_config()).sealed(wire.Reset(1, wire.RESET_KIND_SOFT, bytes(8)))
    assert shell._controller.receive(frame, hal.now_ms) is True
    shell.run()  # 10 s later, for nobody acknowledges the answer
    assert hal.resets == 1
    assert _said(capsys.readouterr().out)[-1] == {"reset": True}


def test_a_device_that_cannot_update_says_so() -> None:
    hal = Desk()
    shell = Shell(SETTINGS, hal)
    frame = Bench(moto_config()).sealed(wire.Update(1, 1000, bytes(32), b"image.img"))
    assert shell._controller.receive(frame, hal.now_ms) is True
    _run(shell, hal, 1)
    assert shell._controller.update_order is None


def _links(**settings: object) -> Links:
    bench = Bench(moto_config())
    return Links(SETTINGS | settings, bench.config, bench.controller)


HTTP = {"host": "m2m.example"}


def test_links_are_tried_in_their_order_as_far_as_they_are_there() -> None:
    both = _links(host="broker.example", http=HTTP)
    assert [link.port for link in both.in_order("http,mqtt")] == [80, 1883]
    assert [link.port for link in both.in_order("mqtt")] == [1883]
    only = _links(http=HTTP | {"tls": True})
    assert [(link.host, link.port) for link in only.in_order("mqtt")] == [("m2m.example", 443)]
    assert _links().in_order("mqtt,http") == []
    assert both.online is False


def test_settings_that_make_no_place_are_refused() -> None:
    for broken in (
        {"host": ""},
        {"host": "h", "port": 0},
        {"host": "h", "port": "1"},
        {"host": 5},
        {"host": "h", "tls": 1},
    ):
        with pytest.raises(ConfigError):
            place(broken, "the broker", (1883, 8883))
    with pytest.raises(ConfigError, match="object"):
        _links(http="m2m.example")
    assert http_place({"host": "h", "tls": True, "prefix": "/m2m"}) == ("h", 443, True, "/m2m")


def test_tls_that_would_trust_anybody_must_be_asked_for() -> None:
    for settings in ({"tls": True}, {"http": {"tls": True}}):
        with pytest.raises(ConfigError, match="tls needs ca"):
            authorities(settings)
        assert authorities(settings | {"tls_insecure": True}) == ("", True)
        assert authorities(settings | {"ca": "/ca.pem"}) == ("/ca.pem", False)
    assert authorities({}) == ("", False)


def test_an_unknown_keypad_is_refused() -> None:
    with pytest.raises(ConfigError, match="restricted, telephone"):
        Shell(SETTINGS | {"keypad": "piano"}, Desk())


def test_without_links_in_the_settings_both_are_tried() -> None:
    assert config_from(SETTINGS).links == "mqtt,http"
