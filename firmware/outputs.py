"""The keypad's lamp and buzzer: patterns that play while everything else goes on.

A pattern is bytes, two for each step: what is on (LED | BEEP) and for how many units of 10 ms. ui.py has
them; the controller starts one with each answer, the shell calls `poll` at the ms that it named.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal import Hal

LED = 1
BEEP = 2
_UNIT_MS = 10


class Outputs:
    """One pattern at a time; a new one takes the place of the old."""

    __slots__ = ("_ends_ms", "_hal", "_on", "_pattern", "_step")

    def __init__(self, hal: "Hal"):
        self._hal = hal
        self._pattern = b""
        self._step = 0
        self._ends_ms = 0
        self._on = 0

    def play(self, pattern: bytes, now_ms: int) -> None:
        """Begin a pattern now; an empty one ends what plays."""
        self._pattern = pattern
        self._step = 0
        self._ends_ms = now_ms
        self.poll(now_ms)

    def poll(self, now_ms: int) -> int:
        """Go on to where the pattern is; ms until its next step, -1 when nothing plays."""
        while now_ms >= self._ends_ms:
            if self._step >= len(self._pattern):
                self._switch(0)
                return -1
            self._switch(self._pattern[self._step])
            self._ends_ms += self._pattern[self._step + 1] * _UNIT_MS
            self._step += 2
        return self._ends_ms - now_ms

    def _switch(self, on: int) -> None:
        changed = on ^ self._on
        self._on = on
        if changed & LED:
            self._hal.led(bool(on & LED))
        if changed & BEEP:
            self._hal.beep(bool(on & BEEP))
