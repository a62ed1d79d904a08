"""What the customer sees and hears now: the keys, an answer, or how much credit is left (ui.py has the words,
outputs.py plays lamp and buzzer).
"""

from firmware import ui
from firmware.core import Core
from firmware.entry import Outcome
from firmware.outputs import Outputs
from protocols.magicbox import wire

SHOW_CHECKING_MS = 150  # a check that takes longer is told

_DAY_S = 86_400
_IDLE = 0
_TYPING = 1
_CHECKING = 2  # from here on it has an end
_ANSWER = 3


class Panel:
    """The display of one device; `display` is what it shows. The shell polls `outputs`."""

    __slots__ = ("_core", "_ends_ms", "_is_low", "_mode", "_status", "_unit", "display", "outputs")

    def __init__(self, core: Core):
        self._core = core
        self.outputs = Outputs(core.hal)
        self._mode = _IDLE
        self._ends_ms = 0  # of an answer, or of the patience before a check is told
        self._status = -1
        self._is_low = False
        self._unit = -1
        self.display = ("", "")

    def typed(self, keys: str) -> None:
        self._mode = _TYPING
        self._play(ui.KEY_PATTERN)
        self._show(keys[: ui.WIDTH], keys[ui.WIDTH :])

    def checking(self) -> None:
        """A check began; it is told if it takes long."""
        self._mode = _CHECKING
        self._ends_ms = self._core.reporter.now_ms + SHOW_CHECKING_MS

    def answer(self, outcome: Outcome) -> None:
        """Show the answer to an entry for a while."""
        core = self._core
        state = core.state
        now_ms = core.reporter.now_ms
        self._mode = _ANSWER
        self._play(ui.result_pattern(outcome.result))
        code = core.state_code()
        left_s = state.credit.left_s()
        if outcome.is_holder:
            self._ends_ms = now_ms + ui.SHOW_HOLDER_MS
            self._show(*ui.holder_lines(state.user.name, code, left_s, state.user.language))
            return
        self._ends_ms = now_ms + ui.SHOW_RESULT_MS
        throttle = state.throttle
        wait_ms = throttle.wait_ms(state.credit.powered_ms)
        language = state.user.language
        self._show(
            *ui.result_lines(outcome.result, code, left_s, wait_ms, throttle.closed, language=language)
        )

    def idle(self) -> None:
        """Nothing happens: the credit, and whose device it is."""
        core = self._core
        state = core.state
        self._mode = _IDLE
        self._status = core.status
        self._unit = self._left_unit()
        self._is_low = core.is_low()
        name = "" if state.user.has_pin else state.user.name
        left_s = state.credit.left_s()
        self._show(*ui.idle_lines(core.status, left_s, self._is_low, state.user.language, name))

    def refresh(self) -> None:
        """Something that the idle lines say may be another now."""
        if self._mode == _IDLE:
            self.idle()

    def poll(self, now_ms: int) -> int:
        """Show what is due; ms until the next call, -1 when nothing is due by itself."""
        if self._mode == _CHECKING and now_ms >= self._ends_ms:
            self._mode = _TYPING
            self._play(ui.CHECKING_PATTERN)
            self._show(*ui.checking_lines(self._core.state.user.language))
        elif self._mode == _ANSWER and now_ms >= self._ends_ms:
            self.idle()
        elif self._mode == _IDLE:
            self._watch()
        return self._ends_ms - now_ms if self._mode >= _CHECKING else -1

    def _watch(self) -> None:
        """Show the idle lines again when they say something else; warn when the credit became low."""
        core = self._core
        is_low = core.is_low()
        if is_low and not self._is_low:
            self._play(ui.LOW_CREDIT_PATTERN)
        if core.status != self._status or is_low != self._is_low or self._left_unit() != self._unit:
            self.idle()

    def _left_unit(self) -> int:
        """What the idle lines count: days, or hours below zero; without credit nothing."""
        if self._core.status != wire.STATE_ACTIVE:
            return 0
        left_s = self._core.state.credit.left_s()
        return left_s // _DAY_S if left_s >= _DAY_S else -left_s // 3600

    def _play(self, pattern: bytes) -> None:
        self.outputs.play(pattern, self._core.reporter.now_ms)

    def _show(self, first: str, second: str) -> None:
        self.display = (first, second)
        self._core.hal.show(first, second)
