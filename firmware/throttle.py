"""What wrong entries cost: a growing pause, and a budget (ARCHITECTURE.md, invariant 8).

The pause: FREE_ERRORS wrong entries in a row are free, then one entry a pause of 1, 2, 4 ... 512 minutes. A
good token ends it. It is stored before an answer is shown and runs only with power, so pulling the plug does
not shorten it.

The budget bounds what a stranger can gain in ten years, however patient. One guess gives credit with a chance
of at most p = 79 / 2^19 (acceptance.guess_chance: the windows). So N guesses gain with a chance of 1 - (1 -
p)^N, and 2 % allow N = 134. Every wrong entry that could have been a token is paid from the budget, the free
ones and those after a good token too. It holds CAPACITY at provisioning, and one more entry comes
- every TIME_REFILL_S of uptime,
- with an accepted token, at most every TOKEN_REFILL_S.
Used up, it closes the keypad, and these refills only fill it: the keypad stays `closed` until an accepted
sealed command opens it (`reopen`), for the operator heard an alarm and knows the customer. Then the customer
is to have a few tries, so what is missing to REOPEN_TRIES comes from a reserve of RESERVE entries, which gets
one more every TIME_REFILL_S as well. With the reserve and the budget both empty, the command opens nothing
before the next refill.
In ten years that makes 50 + 20 + 31 + 10 + 20 = 131, and 1.4 % more for guesses that happen to be spent
tokens and cost nothing: 133 (`stranger_chance` counts again from the constants).

A locked keypad always says in how many seconds to try again; for a closed one that is the next refill.

A wiped store must not give a fresh budget (`tampered`): TAMPERED_TRIES entries are left, no reserve, and
every pause is the longest until a counter sync is accepted. Who guesses that sync (acceptance.sync_chance,
4 % for all the tries) has no credit yet, and what is left of the tries to guess some.
"""

import struct

from firmware import acceptance

FREE_ERRORS = 5
FIRST_PAUSE_S = 60
LONGEST_PAUSE_S = 512 * 60

_DAY_S = 86_400
CAPACITY = 50  # a year of a careful customer's slips
RESERVE = 10
REOPEN_TRIES = 5
TAMPERED_TRIES = 5
TIME_REFILL_S = 180 * _DAY_S
TOKEN_REFILL_S = 120 * _DAY_S
TEN_YEARS_S = 3_653 * _DAY_S

_FORMAT = ">BIBBBQQ"
THROTTLE_SIZE = 24


class Throttle:
    """Pause and budget of one keypad; the marks say from when on each refill is due, in s of uptime.

    `closed`: the budget was used up, and no sealed command has opened the keypad since.
    """

    __slots__ = ("_reserve", "_time_refill_s", "_token_refill_s", "budget", "closed", "errors", "pause_ms")

    def __init__(self):
        self.errors = 0
        self.pause_ms = 0
        self.budget = CAPACITY
        self.closed = False
        self._reserve = RESERVE
        self._time_refill_s = TIME_REFILL_S
        self._token_refill_s = 0

    def pack(self) -> bytes:
        pause_s = (self.pause_ms + 999) // 1000
        marks = (self._time_refill_s, self._token_refill_s)
        return struct.pack(_FORMAT, self.errors, pause_s, self.budget, self._reserve, self.closed, *marks)

    def unpack(self, data: bytes) -> None:
        self.errors, pause_s, self.budget, self._reserve, closed, time_s, token_s = struct.unpack(
            _FORMAT, data
        )
        self.pause_ms = pause_s * 1000
        self.closed = bool(closed)
        self._time_refill_s = time_s
        self._token_refill_s = token_s

    def tampered(self) -> None:
        """Start over with a wiped store: few tries, each at the price of the longest pause."""
        self.errors = 255
        self.budget = TAMPERED_TRIES
        self._reserve = 0

    def wait_ms(self, powered_ms: int) -> int:
        """How long the keypad stays shut: 0, or ms of uptime; `powered_ms` is the uptime as of `advance`.

        A closed keypad stays shut beyond that too, until `reopen`.
        """
        if not self.closed:
            return self.pause_ms
        return max(self.pause_ms, self._time_refill_s * 1000 - powered_ms)

    def advance(self, passed_ms: int, powered_s: int) -> None:
        """Let the pause run off, and refill by time."""
        self.pause_ms = max(self.pause_ms - passed_ms, 0)
        while powered_s >= self._time_refill_s:
            self._time_refill_s += TIME_REFILL_S
            self._reserve = min(self._reserve + 1, RESERVE)
            self._refill()

    def wrong(self, could_be_token: bool) -> None:
        """Book a wrong entry; one that no token can look like costs a pause but no budget."""
        self.errors = min(self.errors + 1, 255)
        if self.errors > FREE_ERRORS:
            doublings = min(self.errors - FREE_ERRORS - 1, 10)
            self.pause_ms = min(FIRST_PAUSE_S << doublings, LONGEST_PAUSE_S) * 1000
        if could_be_token:
            self.budget -= 1
            self.closed = self.budget == 0

    def accepted(self, powered_s: int) -> None:
        """Book an accepted token."""
        self.errors = 0
        self.pause_ms = 0
        if powered_s >= self._token_refill_s:
            self._token_refill_s = powered_s + TOKEN_REFILL_S
            self._refill()

    def clear_errors(self) -> None:
        """End the pause; the budget stays as it is."""
        self.errors = 0
        self.pause_ms = 0

    def reopen(self) -> None:
        """Open a closed keypad after an accepted sealed command, if any tries are left to give."""
        if self.closed:
            given = min(max(REOPEN_TRIES - self.budget, 0), self._reserve)
            self._reserve -= given
            self.budget += given
            self.closed = self.budget == 0

    def _refill(self) -> None:
        self.budget = min(self.budget + 1, CAPACITY)


def stranger_chance(family: int) -> float:
    """The chance that guessing at the keypad gains credit in ten years of uptime (invariant 8: <= 0.02)."""
    guesses: float = CAPACITY + RESERVE + 2 * (TEN_YEARS_S // TIME_REFILL_S)
    guesses += TEN_YEARS_S // TOKEN_REFILL_S + 1  # the first of these is due at once
    guesses /= 1 - acceptance.spent_chance(family)
    return 1 - (1 - acceptance.guess_chance(family)) ** guesses
