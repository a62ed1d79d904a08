"""The credit clock: time that was paid for runs only while the device has power.

There is no trusted clock, so milliseconds of uptime are added up (`advance`), and nobody gains by setting a
clock. The sum is stored with every save, and at least FIRST_SAVE_S after a start and then in steps that
double up to SAVE_INTERVAL_S. A power cut gives back what ran since the last save: at most SAVE_INTERVAL_S,
and at most two thirds of a run that is longer than FIRST_SAVE_S, so that pulling the plug over and over is
not worth it. It never takes anything.

Activation is the first accepted token: an absolute unlock of N days ends N days of uptime after it.
"""

import struct

from protocols.magicbox import wire

DAY_MS = 86_400_000
MAX_LEFT_MS = 0xFFFFFFFE * 1000  # 136 years: what a status record can say below "no limit"
NO_LIMIT_S = 0xFFFFFFFF  # credit_s of a device whose PAYG is disabled
FIRST_SAVE_S = 10
SAVE_INTERVAL_S = 900  # 96 saves a day: half of the wear that store.py allows for

_FORMAT = ">QQQBB"
CREDIT_SIZE = 26


class Credit:
    """What is left, and the uptime clocks; all in ms as of the last `advance`."""

    __slots__ = ("_mark_ms", "activated", "age_ms", "disabled", "left_ms", "powered_ms")

    def __init__(self, now_ms: int):
        self._mark_ms = now_ms
        self.left_ms = 0
        self.age_ms = 0  # uptime since activation
        self.powered_ms = 0  # uptime since provisioning
        self.activated = False
        self.disabled = False  # PAYG disabled: no limit

    def pack(self) -> bytes:
        return struct.pack(_FORMAT, self.left_ms, self.age_ms, self.powered_ms, self.activated, self.disabled)

    def unpack(self, data: bytes) -> None:
        self.left_ms, self.age_ms, self.powered_ms, activated, disabled = struct.unpack(_FORMAT, data)
        self.activated = bool(activated)
        self.disabled = bool(disabled)

    def advance(self, now_ms: int) -> int:
        """Let the clocks run up to `now_ms`; ms that passed, 0 if the clock went back."""
        passed = max(now_ms - self._mark_ms, 0)
        self._mark_ms = now_ms
        self.powered_ms += passed
        if self.activated:
            self.age_ms += passed
        if not self.disabled:
            self.left_ms = max(self.left_ms - passed, 0)
        return passed

    def grant(self, command: int, days: int) -> None:
        """Apply an accepted token. Adding to a device without a limit takes nothing away and adds nothing."""
        self.activated = True
        if command == wire.TOKEN_COMMAND_DISABLE_PAYG:
            self.disabled = True
        elif command == wire.TOKEN_COMMAND_SET_TIME:
            self._set(days * DAY_MS)
        elif command == wire.TOKEN_COMMAND_UNLOCK_ABSOLUTE:
            self._set(days * DAY_MS - self.age_ms)
        elif command != wire.TOKEN_COMMAND_COUNTER_SYNC and not self.disabled:
            self.left_ms = min(self.left_ms + days * DAY_MS, MAX_LEFT_MS)

    def left_s(self) -> int:
        """Seconds left, a begun one counted; NO_LIMIT_S without a limit."""
        return NO_LIMIT_S if self.disabled else (self.left_ms + 999) // 1000

    def is_on(self) -> bool:
        return self.disabled or self.left_ms > 0

    def _set(self, left_ms: int) -> None:
        self.disabled = False
        self.left_ms = min(max(left_ms, 0), MAX_LEFT_MS)


def next_save_s(interval_s: int) -> int:
    """The pause before the next periodic save after one of `interval_s`: it doubles to SAVE_INTERVAL_S."""
    return min(interval_s * 2, SAVE_INTERVAL_S)
