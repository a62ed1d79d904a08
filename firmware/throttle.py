"""What wrong entries cost: a growing pause, and a budget (DESIGN.md, invariant 8).

The pause: FREE_ERRORS wrong entries in a row are free, then one entry a pause of 1, 2, 4 ... 512 minutes. A
good token ends it. It is stored before an answer is shown and runs only with power, so pulling the plug does
not shorten it.

The budget bounds what a stranger can gain in ten years, however patient. One guess gives credit with a chance
of at most p = 79 / 2^19 (acceptance.guess_chance: the windows). So N guesses gain with a chance of 1 - (1 -
p)^N, and 2 % allow N = 134. Every wrong entry that could have been a token is paid from the budget, those
after a good token too. It is filled with CAPACITY at provisioning and by one entry
- every TIME_REFILL_S of uptime,
- with an accepted token, at most every TOKEN_REFILL_S,
- with a sealed TOKEN command when it is used up, at most every REOPEN_S.
In ten years that makes 60 + 20 + 31 + 21 = 132, and 1 % more for guesses that happen to be spent tokens and
cost nothing: 134 (`stranger_chance` counts again from the constants). Used up, the keypad is closed until the
next refill: by time, or at once by a sealed TOKEN command, for the operator hears an alarm and knows the
customer. A locked keypad always says in how many seconds it opens, whatever it is that shuts it.
"""

import struct

from firmware import acceptance

FREE_ERRORS = 5
FIRST_PAUSE_S = 60
LONGEST_PAUSE_S = 512 * 60

_DAY_S = 86_400
CAPACITY = 60  # more than a year of a careful customer's slips
TIME_REFILL_S = 180 * _DAY_S
TOKEN_REFILL_S = 120 * _DAY_S
REOPEN_S = 180 * _DAY_S
TEN_YEARS_S = 3_653 * _DAY_S

_FORMAT = ">BIBxQQQ"
THROTTLE_SIZE = 31


class Throttle:
    """Pause and budget of one keypad; the marks say from when on each refill is due, in s of uptime."""

    __slots__ = ("_reopen_s", "_time_refill_s", "_token_refill_s", "budget", "errors", "pause_ms")

    def __init__(self):
        self.errors = 0
        self.pause_ms = 0
        self.budget = CAPACITY
        self._time_refill_s = TIME_REFILL_S
        self._token_refill_s = 0
        self._reopen_s = 0

    def pack(self) -> bytes:
        marks = (self._time_refill_s, self._token_refill_s, self._reopen_s)
        pause_s = (self.pause_ms + 999) // 1000
        return struct.pack(_FORMAT, self.errors, pause_s, self.budget, *marks)

    def unpack(self, data: bytes) -> None:
        self.errors, pause_s, self.budget, time_s, token_s, reopen_s = struct.unpack(_FORMAT, data)
        self.pause_ms = pause_s * 1000
        self._time_refill_s = time_s
        self._token_refill_s = token_s
        self._reopen_s = reopen_s

    @property
    def closed(self) -> bool:
        """Whether the budget is used up."""
        return self.budget == 0

    def wait_ms(self, powered_ms: int) -> int:
        """How long the keypad stays shut: 0, or ms of uptime; `powered_ms` is the uptime as of `advance`."""
        if not self.closed:
            return self.pause_ms
        return max(self.pause_ms, self._time_refill_s * 1000 - powered_ms)

    def advance(self, passed_ms: int, powered_s: int) -> None:
        """Let the pause run off, and refill by time."""
        self.pause_ms = max(self.pause_ms - passed_ms, 0)
        while powered_s >= self._time_refill_s:
            self._time_refill_s += TIME_REFILL_S
            self._refill()

    def wrong(self, could_be_token: bool) -> None:
        """Book a wrong entry; one that no token can look like costs a pause but no budget."""
        self.errors = min(self.errors + 1, 255)
        if self.errors > FREE_ERRORS:
            doublings = min(self.errors - FREE_ERRORS - 1, 10)
            self.pause_ms = min(FIRST_PAUSE_S << doublings, LONGEST_PAUSE_S) * 1000
        if could_be_token:
            self.budget -= 1

    def accepted(self, powered_s: int) -> None:
        """Book an accepted token."""
        self.errors = 0
        self.pause_ms = 0
        if powered_s >= self._token_refill_s:
            self._token_refill_s = powered_s + TOKEN_REFILL_S
            self._refill()

    def reopen(self, powered_s: int) -> None:
        """Open a closed keypad after an accepted sealed command, at most every REOPEN_S."""
        if self.closed and powered_s >= self._reopen_s:
            self._reopen_s = powered_s + REOPEN_S
            self._refill()

    def _refill(self) -> None:
        self.budget = min(self.budget + 1, CAPACITY)


def stranger_chance(family: int) -> float:
    """The chance that guessing at the keypad gains credit in ten years of uptime (invariant 8: <= 0.02)."""
    guesses: float = CAPACITY + TEN_YEARS_S // TIME_REFILL_S
    for refill_s in (TOKEN_REFILL_S, REOPEN_S):  # the first of these is due at once
        guesses += TEN_YEARS_S // refill_s + 1
    guesses /= 1 - acceptance.spent_chance(family)
    return 1 - (1 - acceptance.guess_chance(family)) ** guesses
