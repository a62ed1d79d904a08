"""Tokens, typed or in a sealed command: one at a time is checked, in slices that leave time for everything
else, and booked when it is good. entry.py and commands.py begin the checks, controller.py gives the slices.
"""

from firmware import acceptance
from firmware.core import Core
from protocols.magicbox import wire

HASHES_A_STEP = 4  # between two looks at the clock: at most 8 ms on the slowest board without viper
NO_END_MS = -1


class Tokens:
    """The check under way, if any."""

    __slots__ = ("_check", "_core")

    def __init__(self, core: Core):
        self._core = core
        self._check: acceptance.Check | None = None

    @property
    def is_busy(self) -> bool:
        return self._check is not None

    def begin(self, digits: str) -> bool:
        """Begin to check typed digits; False when they are no token of the family at all."""
        core = self._core
        state = core.state
        config = core.config
        self._check = acceptance.begin(
            config.family,
            config.secret,
            state.starting_code,
            state.counters,
            digits,
            state.checkpoints,
            state.is_tampered,
        )
        return self._check is not None

    def step(self, ends_ms: int) -> bool:
        """Go on until the HAL's clock says `ends_ms` (NO_END_MS: to the end); whether there is a verdict."""
        check = self._check
        if check is None:
            raise AssertionError("no check was begun")
        while not check.step(HASHES_A_STEP):
            if ends_ms != NO_END_MS and self._core.hal.ticks_ms() >= ends_ms:
                return False
        return True

    def take(self, source: int) -> acceptance.Check:
        """The check that has its verdict; an accepted token is booked, and an event kept. Not yet saved."""
        check = self._check
        if check is None:
            raise AssertionError("no check was begun")
        self._check = None
        if check.result == wire.RESULT_ACCEPTED:
            self._book(check, source)
        return check

    def _book(self, check: acceptance.Check, source: int) -> None:
        core = self._core
        state = core.state
        core.changed()
        state.counters.accept(check.command, check.count, check.number)
        state.checkpoints.note(check)
        if check.command == wire.TOKEN_COMMAND_COUNTER_SYNC:
            state.is_tampered = False
            if core.config.family == wire.FAMILY_MOTO:
                state.counters.jump(check.payload)
        state.credit.grant(check.command, check.payload)
        state.throttle.accepted(core.powered_s)
        core.report_token(source, check.result, check.command, check.payload)
