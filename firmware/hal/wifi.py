"""Wi-Fi of a board, kept up without waiting: a state machine over `network.WLAN`.

After an access point's outage a driver may stay stuck in its old association. So a lost or failed connection
is first ended, then nothing happens for PAUSE_MS, then it begins anew; after RESTART_AFTER failures in a row
the radio is switched off for the pause.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from network import WLAN

PAUSE_MS = 1_000
CONNECT_TIMEOUT_MS = 20_000
RESTART_AFTER = 3

_DOWN = 0
_CONNECTING = 1
_UP = 2
_DNS = 3  # in ifconfig(): address, mask, gateway, name server


class Wifi:
    """One station; `wlan` is network.WLAN(network.STA_IF)."""

    __slots__ = ("_ends_ms", "_failures", "_password", "_ssid", "_state", "_wlan")

    def __init__(self, wlan: "WLAN", ssid: str, password: str):
        self._wlan = wlan
        self._ssid = ssid
        self._password = password
        self._state = _DOWN
        self._ends_ms = 0
        self._failures = 0

    def poll(self, now_ms: int) -> bool:
        """Go on; True while there is a connection."""
        try:
            return self._poll(now_ms)
        except OSError:  # the driver is in a state that it does not like
            self._fail(now_ms)
            return False

    def dns(self) -> str:
        """The address of the network's name server; empty without one."""
        address = self._wlan.ifconfig()[_DNS]
        return "" if address == "0.0.0.0" else address  # noqa: S104 - it means: none

    def _poll(self, now_ms: int) -> bool:
        if self._state == _DOWN:
            if now_ms >= self._ends_ms:
                self._wlan.active(True)
                self._wlan.connect(self._ssid, self._password)
                self._state = _CONNECTING
                self._ends_ms = now_ms + CONNECT_TIMEOUT_MS
            return False
        if self._wlan.isconnected():
            self._state = _UP
            self._failures = 0
            return True
        if self._state == _UP or now_ms >= self._ends_ms:
            self._fail(now_ms)
        return False

    def _fail(self, now_ms: int) -> None:
        self._state = _DOWN
        self._ends_ms = now_ms + PAUSE_MS
        self._failures += 1
        try:
            self._wlan.disconnect()
            if self._failures % RESTART_AFTER == 0:
                self._wlan.active(False)
        except OSError:  # it has nothing to end
            pass
