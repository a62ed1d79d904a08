"""Wi-Fi as a state machine over a radio of the test's own."""

from firmware.hal.wifi import CONNECT_TIMEOUT_MS, PAUSE_MS, RESTART_AFTER, Wifi


class Radio:
    """network.WLAN as far as it is used; `calls` is what was asked of it."""

    def __init__(self) -> None:
        self.is_connected = False
        self.fails = False
        self.calls: list[str] = []

    def active(self, on: bool) -> None:
        self.calls.append("on" if on else "off")

    def connect(self, ssid: str, password: str) -> None:
        self.calls.append(f"connect {ssid} {password}")
        if self.fails:
            raise OSError("Wifi Internal Error")

    def disconnect(self) -> None:
        self.calls.append("disconnect")

    def isconnected(self) -> bool:
        return self.is_connected

    def ifconfig(self) -> tuple[str, str, str, str]:
        dns = "10.0.0.1" if self.is_connected else "0.0.0.0"  # noqa: S104 - it means: none
        return ("10.0.0.7", "255.255.255.0", "10.0.0.1", dns)


BEGIN = ["on", "connect home pw"]


def _wifi() -> tuple[Radio, Wifi]:
    radio = Radio()
    return radio, Wifi(radio, "home", "pw")  # pyright: ignore


def test_it_connects_without_waiting() -> None:
    radio, wifi = _wifi()
    assert [wifi.poll(0), wifi.poll(5), wifi.dns()] == [False, False, ""]
    assert radio.calls == BEGIN
    radio.is_connected = True
    assert [wifi.poll(10), wifi.dns()] == [True, "10.0.0.1"]


def test_after_an_outage_it_pauses_before_it_connects_again() -> None:
    radio, wifi = _wifi()
    wifi.poll(0)
    radio.is_connected = True
    wifi.poll(1)
    radio.is_connected = False
    assert wifi.poll(100) is False
    assert radio.calls == [*BEGIN, "disconnect"]
    wifi.poll(100 + PAUSE_MS - 1)
    assert radio.calls == [*BEGIN, "disconnect"]
    wifi.poll(100 + PAUSE_MS)
    assert radio.calls == [*BEGIN, "disconnect", *BEGIN]


def test_an_access_point_that_does_not_answer_is_tried_again_and_then_with_the_radio_off() -> None:
    radio, wifi = _wifi()
    now_ms = 0
    for _ in range(RESTART_AFTER):
        wifi.poll(now_ms)
        assert "off" not in radio.calls
        now_ms += CONNECT_TIMEOUT_MS
        assert wifi.poll(now_ms) is False
        now_ms += PAUSE_MS
    assert radio.calls[-2:] == ["disconnect", "off"]


def test_a_driver_that_complains_is_tried_again() -> None:
    radio, wifi = _wifi()
    radio.fails = True
    assert wifi.poll(0) is False
    assert radio.calls == [*BEGIN, "disconnect"]
    radio.fails = False
    wifi.poll(PAUSE_MS)
    radio.is_connected = True
    assert wifi.poll(PAUSE_MS + 1) is True
