"""The credit clock: time that was paid for runs only while the device has power.

There is no trusted clock, so milliseconds of uptime are added up (`advance`). Nobody sets that clock: a TIME
command has no say here, a clock that goes back passes nothing, and a jump of more than MAX_STEP_MS is a
counter that was misread or wrapped and passes nothing either.

The sum is stored with every save, and periodically when the run is 1, 2, 4 ... s old and then every
SAVE_INTERVAL_S (`next_save_s`). What is stored is less than what is left, by as much as the run is old, at
most PREPAID_S. So a cut
- takes at most PREPAID_S, and never more than what the run has used;
- gives back less than SAVE_INTERVAL_S, less than half of the run, and nothing (but FIRST_SAVE_S) of a run up
  to 2 * PREPAID_S: cutting the power every 10 s gives no free light.
A device that is switched on and off by a flat battery all night pays at most twice for the light it gave.

Activation is the first accepted token: an absolute unlock of N days ends N days of uptime after it.
"""

import struct

from firmware.config import PREPAID_S
from protocols.magicbox import wire

DAY_MS = 86_400_000
MAX_LEFT_MS = 0xFFFFFFFE * 1000  # 136 years: what a status record can say below "no limit"
NO_LIMIT_S = 0xFFFFFFFF  # credit_s of a device whose PAYG is disabled
FIRST_SAVE_S = 1
SAVE_INTERVAL_S = 900  # 96 saves a day: half of the wear that store.py allows for
MAX_STEP_MS = (1 << 30) - 1  # a board's tick counter goes round in 2^30 ms, and polls are minutes apart

_FORMAT = ">QQQBBB"
CREDIT_SIZE = 27


class Credit:
    """What is left, and the uptime clocks; all in ms as of the last `advance`."""

    __slots__ = (
        "_mark_ms",
        "_prepaid_ms",
        "_run_ms",
        "_warns",
        "activated",
        "age_ms",
        "disabled",
        "left_ms",
        "powered_ms",
    )

    def __init__(self, now_ms: int, prepaid_s: int = PREPAID_S):
        self._mark_ms = now_ms
        self._prepaid_ms = prepaid_s * 1000
        self._run_ms = 0  # uptime since the power came
        self._warns = False  # there was more than low credit, and nobody was told since
        self.left_ms = 0
        self.age_ms = 0  # uptime since activation
        self.powered_ms = 0  # uptime since provisioning
        self.activated = False
        self.disabled = False  # PAYG disabled: no limit

    def pack(self) -> bytes:
        """For the store: `left_ms` less what of this run is paid in advance."""
        left_ms = max(self.left_ms - min(self._run_ms, self._prepaid_ms), 0)
        flags = (self.activated, self.disabled, self._warns)
        return struct.pack(_FORMAT, left_ms, self.age_ms, self.powered_ms, *flags)

    def unpack(self, data: bytes) -> None:
        self.left_ms, self.age_ms, self.powered_ms, activated, disabled, warns = struct.unpack(_FORMAT, data)
        self.activated = bool(activated)
        self.disabled = bool(disabled)
        self._warns = bool(warns)

    def advance(self, now_ms: int) -> int:
        """Let the clocks run up to `now_ms`; ms that passed, 0 if the clock went back or jumped."""
        passed = now_ms - self._mark_ms
        self._mark_ms = now_ms
        if not 0 <= passed <= MAX_STEP_MS:
            passed = 0
        self._run_ms += passed
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

    def clear(self) -> None:
        """Nothing is paid and nothing activated; the uptime stays."""
        self.left_ms = 0
        self.age_ms = 0
        self.activated = False
        self.disabled = False
        self._warns = False

    def left_s(self) -> int:
        """Seconds left, a begun one counted; NO_LIMIT_S without a limit."""
        return NO_LIMIT_S if self.disabled else (self.left_ms + 999) // 1000

    def is_on(self) -> bool:
        return self.disabled or self.left_ms > 0

    def is_low(self, low_s: int) -> bool:
        """Whether less than `low_s` is left."""
        return not self.disabled and self.left_ms < low_s * 1000

    def low_crossed(self, low_s: int) -> bool:
        """Whether what is left has fallen below `low_s`: once, until there is more again. To be stored."""
        is_low = self.is_low(low_s)
        crossed = is_low and self._warns
        self._warns = not is_low
        return crossed

    def low_in_ms(self, low_s: int) -> int | None:
        """When `low_crossed` is next to be asked, in ms; None while there is nothing to cross."""
        if self.disabled or not self._warns:
            return None
        return max(self.left_ms - low_s * 1000 + 1, 0)

    def next_save_s(self) -> int:
        """The pause before the next periodic save; ask at the start and after every save."""
        return min(max(self._run_ms // 1000, FIRST_SAVE_S), SAVE_INTERVAL_S)

    def _set(self, left_ms: int) -> None:
        self.disabled = False
        self.left_ms = min(max(left_ms, 0), MAX_LEFT_MS)
