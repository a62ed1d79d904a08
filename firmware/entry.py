"""What is typed: keys become an entry, an entry an Outcome (controller.py shows it).

An entry is held against the throttle first, then it may be the holder's PIN, then it is a token. A wrong one
is booked and stored before anybody sees the answer. A check that takes longer than a slice is booked as wrong
while it lasts (`charge`): a good token is mostly found at once, so whoever cut the power of the others would
guess for nothing.
"""

from firmware.core import Core
from firmware.keypad import ENTRY_TIMEOUT_MS
from firmware.throttle import LONGEST_PAUSE_S
from firmware.tokens import Tokens
from protocols.magicbox import wire

MAX_ENTRY_DIGITS = 20  # the longest token: extended, in restricted digits


class Outcome:
    """The answer to one entry. `command` and `payload` are what the token said (TOKEN_COMMAND_NONE: nothing
    readable); `retry_in_s` is None unless locked; `is_holder`: it was the holder's PIN."""

    __slots__ = ("command", "is_holder", "payload", "result", "retry_in_s")

    def __init__(
        self,
        result: int,
        command: int = wire.TOKEN_COMMAND_NONE,
        payload: int = 0,
        retry_in_s: int | None = None,
        is_holder: bool = False,
    ):
        self.result = result
        self.command = command
        self.payload = payload
        self.retry_in_s = retry_in_s
        self.is_holder = is_holder


class Entry:
    """The keypad of one device; `keys` is what was typed so far."""

    __slots__ = ("_charged", "_core", "_digits", "_tokens", "ends_ms", "is_checking", "keys")

    def __init__(self, core: Core, tokens: Tokens):
        self._core = core
        self._tokens = tokens
        self._charged = b""  # the throttle before `charge`
        self._digits: str | None = None  # entered, and waiting for its turn
        self.keys = ""
        self.ends_ms = 0  # when `keys` are forgotten
        self.is_checking = False

    @property
    def is_waiting(self) -> bool:
        """Whether an entry waits for the end of another check."""
        return self._digits is not None

    def key(self, key: str, now_ms: int) -> None:
        """A digit, or `*`, which clears."""
        self.ends_ms = now_ms + ENTRY_TIMEOUT_MS
        self.keys = "" if key == "*" else (self.keys + key)[: MAX_ENTRY_DIGITS + 1]

    def clear(self) -> None:
        """Forget what was typed so far."""
        self.keys = ""

    def enter(self, typed: str) -> None:
        """An entry, bare or as `*...#`, spaces ignored; `start` begins with it."""
        self._digits = _digits(typed)

    def start(self) -> Outcome | None:
        """Begin with the entry that waits; None when it needs a check, which `finish` ends."""
        digits = self._digits or ""
        self._digits = None
        core = self._core
        state = core.state
        wait_ms = state.throttle.wait_ms(state.credit.powered_ms)
        if wait_ms or state.throttle.closed:
            return Outcome(wire.RESULT_LOCKED, retry_in_s=(wait_ms + 999) // 1000)
        if not digits:  # invalid, but no wrong entry
            return Outcome(wire.RESULT_INVALID)
        if state.user.is_pin(digits):
            return Outcome(wire.RESULT_ACCEPTED, is_holder=True)
        if not self._tokens.begin(digits):
            return self._wrong(False)
        self.is_checking = True
        return None

    def charge(self) -> None:
        """Book the entry as wrong until its check has a verdict. Not yet saved."""
        if not self._charged:
            throttle = self._core.state.throttle
            self._charged = throttle.pack()
            throttle.wrong(True)
            self._core.changed()

    def finish(self) -> Outcome:
        """The answer to the entry whose check has its verdict."""
        self.is_checking = False
        if self._charged:
            self._core.state.throttle.unpack(self._charged)
            self._charged = b""
            self._core.changed()
        check = self._tokens.take(wire.SOURCE_KEYPAD)
        if check.result == wire.RESULT_INVALID:
            return self._wrong(True)
        if check.result == wire.RESULT_LOCKED:  # tampered: until a sync, however long that takes
            return Outcome(wire.RESULT_LOCKED, retry_in_s=LONGEST_PAUSE_S)
        if check.result == wire.RESULT_ACCEPTED:
            self._core.commit()
        else:
            self._core.report_token(wire.SOURCE_KEYPAD, check.result, check.command, check.payload)
        return Outcome(check.result, check.command, check.payload)

    def _wrong(self, could_be_token: bool) -> Outcome:
        core = self._core
        throttle = core.state.throttle
        throttle.wrong(could_be_token)
        core.report_token(wire.SOURCE_KEYPAD, wire.RESULT_INVALID, wire.TOKEN_COMMAND_NONE, 0)
        if throttle.closed:
            core.reporter.alarm(wire.ALARM_KIND_KEYPAD_CLOSED)
        elif throttle.pause_ms:
            core.reporter.alarm(wire.ALARM_KIND_KEYPAD_PAUSED, throttle.pause_ms // 1000)
        core.save()
        return Outcome(wire.RESULT_INVALID)


def _digits(typed: str) -> str:
    """What was typed between `*` and `#`, without spaces."""
    typed = typed.replace(" ", "")
    if typed.startswith("*"):
        typed = typed[1:]
    return typed[:-1] if typed.endswith("#") else typed
