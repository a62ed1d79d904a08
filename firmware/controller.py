"""The controller: events in, effects out, no clock and no thread of its own.

A shell (shell.py on a board, edge/device.py on a host) calls `key`, `receive` when something happens and
`poll` at the deadline that `poll` named, each with the HAL's milliseconds. What they change goes the same way
every time: the clocks are advanced, the State changes, it is stored, and only then the relay switches and
something is shown or sent (core.py, which also says what a StoreError means). A token is checked in slices of
`poll` (tokens.py), one at a time, whether it was typed (entry.py) or came in a sealed command (commands.py).
link.py and checkin.py carry the frames, ota.py works on update orders.
"""

from firmware.commands import Commands
from firmware.config import Config
from firmware.core import Core
from firmware.entry import Entry, Outcome
from firmware.hal import Hal
from firmware.keypad import PIN_END
from firmware.panel import Panel
from firmware.tokens import NO_END_MS, Tokens
from protocols.magicbox import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.order import UpdateOrder
    from firmware.outputs import Outputs
    from firmware.reporter import Reporter
    from firmware.results import Results
    from firmware.settings import Settings
    from firmware.uplink import Uplink

MAX_BODY = 512  # bytes of records a frame: small enough for a board's heap
SLICE_MS = 10  # of a check, at a time


class Controller:
    """One device. Times are the HAL's ticks in ms; the HAL must outlive it.

    `checked_in`: a sealed frame of the back end was accepted since the start. `last_refusal` says why the
    last of `refused_frames` frames was not.
    """

    __slots__ = (
        "_commands",
        "_core",
        "_entry",
        "_outcome",
        "_panel",
        "_tokens",
        "checked_in",
        "last_refusal",
        "refused_frames",
    )

    def __init__(self, config: Config, hal: Hal):
        """Start from the stored state; StoreError when it is another device's, or cannot be read or written.

        A blank store makes a tampered device: whoever wiped it knows of tokens that it does not.
        """
        core = Core(config, hal)
        self._core = core
        self._tokens = Tokens(core)
        self._entry = Entry(core, self._tokens)
        self._commands = Commands(core, self._tokens)
        self._panel = Panel(core)
        self._outcome: Outcome | None = None
        self.checked_in = False
        self.last_refusal = ""
        self.refused_frames = 0
        core.boot()
        self._panel.idle()

    @property
    def reporter(self) -> "Reporter":
        return self._core.reporter

    @property
    def uplink(self) -> "Uplink":
        return self._core.state.uplink

    @property
    def results(self) -> "Results":
        return self._core.state.results

    @property
    def settings(self) -> "Settings":
        """The settings in force."""
        return self._core.state.settings

    @property
    def boot_id(self) -> int:
        """Another at each start, ever growing."""
        return self._core.state.boot_id

    @property
    def token_count(self) -> int:
        """The highest accepted OpenPAYGO count or Moto sequence number."""
        return self._core.state.counters.last

    @property
    def credit_s(self) -> int:
        """Seconds left as of the last call; credit.NO_LIMIT_S when PAYG is disabled."""
        return self._core.state.credit.left_s()

    @property
    def closed(self) -> bool:
        """Whether the budget of wrong entries is used up: only a sealed command opens the keypad."""
        return self._core.state.throttle.closed

    @property
    def relay(self) -> bool:
        return self._core.relay

    @property
    def status(self) -> int:
        """STATE_*, as stored."""
        return self._core.status

    @property
    def display(self) -> tuple[str, str]:
        return self._panel.display

    @property
    def outputs(self) -> "Outputs":
        """Lamp and buzzer, for the shell to poll."""
        return self._panel.outputs

    @property
    def unsaved(self) -> bool:
        """Whether something must be stored before anything leaves; only a successful save ends it."""
        return self._core.unsaved

    @property
    def wants_reset(self) -> bool:
        """Whether the shell is to start the board again: a RESET was stored and answered."""
        return self._commands.wants_reset()

    @property
    def update_order(self) -> "UpdateOrder | None":
        """What an UPDATE ordered, until `update_confirmed` or `update_failed`; `save` keeps its progress."""
        return self._core.state.order.pending

    def update_confirmed(self) -> None:
        """The ordered version runs and has reached the back end: answer the command."""
        self._end_update("")

    def update_failed(self, reason: str) -> None:
        """The order came to nothing: answer the command with the reason, at most MAX_DETAIL characters."""
        self._end_update(reason)

    def key(self, key: str, now_ms: int) -> Outcome | None:
        """A key of the keypad: digits, `*` clears, `#` enters, PIN_END is a PIN's end or clears; the outcome
        when an entry needs no check.

        Otherwise `poll` works on it, `take_outcome` has it in the end, and until then keys do nothing.
        """
        core = self._core
        entry = self._entry
        now_ms = core.advance(now_ms)
        if entry.is_waiting or entry.is_checking:
            return None
        if key == PIN_END:
            if core.state.user.is_pin(entry.keys):
                entry.clear()
                outcome = Outcome(wire.RESULT_ACCEPTED, is_holder=True)
                self._panel.answer(outcome)
                return outcome
            key = "*"
        if key != "#":
            entry.key(key, now_ms)
            self._panel.typed(entry.keys)
            return None
        keys = entry.keys
        entry.clear()
        core.save_what_is_unsaved()
        entry.enter(keys)
        self._panel.checking()
        if self._tokens.is_busy:
            return None
        outcome = entry.start()
        if outcome is not None:
            self._panel.answer(outcome)
        return outcome

    def entry(self, typed: str, now_ms: int) -> Outcome:
        """One whole entry, checked to its end at once: bare or as `*...#`, spaces ignored.

        An empty one is invalid but no wrong entry.
        """
        self._core.advance(now_ms)
        self._core.save_what_is_unsaved()
        self._work(NO_END_MS)  # what came before
        self._outcome = None
        self._entry.enter(typed)
        self._work(NO_END_MS)
        outcome = self.take_outcome()
        if outcome is None:
            raise AssertionError("an entry has an outcome")
        return outcome

    def take_outcome(self) -> Outcome | None:
        """The outcome of an entry that `poll` has finished, once."""
        outcome = self._outcome
        self._outcome = None
        return outcome

    def receive(self, frame: bytes, now_ms: int) -> bool:
        """A frame from the back end; False when it was refused (`last_refusal`) and nothing changed."""
        core = self._core
        core.advance(now_ms)
        core.save_what_is_unsaved()
        try:
            records = core.state.channel.open(frame, core.state.uplink.waits)
        except wire.WireError as refusal:
            self.refused_frames += 1
            self.last_refusal = refusal.reason
            return False
        self.checked_in = self.checked_in or not core.state.channel.is_lost
        for record in records:
            self._commands.take(record)
        self._work(core.hal.ticks_ms() + SLICE_MS)
        return True

    def poll(self, now_ms: int) -> int:
        """Do what is due; ms until the next deadline, at least 1."""
        core = self._core
        entry = self._entry
        now_ms = core.advance(now_ms)
        core.poll()
        if entry.keys and now_ms >= entry.ends_ms:
            entry.clear()
            self._panel.idle()
        if self._is_at_work():
            self._work(core.hal.ticks_ms() + SLICE_MS)
        wait_ms = self._panel.poll(now_ms)
        if self._is_at_work():
            return 1
        deadline_ms = self._commands.deadline_ms(core.deadline_ms())
        if entry.keys:
            deadline_ms = min(deadline_ms, entry.ends_ms)
        if wait_ms >= 0:
            deadline_ms = min(deadline_ms, now_ms + wait_ms)
        return max(deadline_ms - now_ms, 1)

    def take_frame(self, now_ms: int) -> bytes | None:
        """The next sealed frame up when one is due, with numbers and a sequence that never repeat."""
        core = self._core
        state = core.state
        now_ms = core.advance(now_ms)
        if not state.uplink.is_due(now_ms):
            return None
        state.channel.reserve()
        core.save_what_is_unsaved()
        body = state.uplink.take_body(now_ms, MAX_BODY)
        core.save_what_is_unsaved()  # its GAPs may have taken numbers
        return state.channel.seal(body)

    def save(self) -> None:
        """Store the state as of the last call; StoreError leaves it unsaved."""
        self._core.save()

    def report_status(self) -> None:
        """Queue a status record."""
        self._core.report_status()

    def _end_update(self, failure: str) -> None:
        self._commands.end_update(failure)
        self._core.save_what_is_unsaved()

    def _is_at_work(self) -> bool:
        return self._tokens.is_busy or self._entry.is_waiting or self._commands.is_waiting

    def _work(self, ends_ms: int) -> None:
        """Work on what waits until the clock says `ends_ms`, and store what that changed."""
        while self._step(ends_ms):
            pass
        self._core.save_what_is_unsaved()

    def _step(self, ends_ms: int) -> bool:
        """Go on with the check, or begin with what is next; False when nothing is to be done now."""
        entry = self._entry
        commands = self._commands
        if self._tokens.is_busy:
            if not self._tokens.step(ends_ms):
                if entry.is_checking:
                    entry.charge()
                return False
            if entry.is_checking:
                self._answer(entry.finish())
            else:
                commands.finish()
                self._panel.refresh()
        elif entry.is_waiting:
            outcome = entry.start()
            if outcome is not None:
                self._answer(outcome)
        elif commands.is_waiting:
            commands.start()
            self._panel.refresh()
        else:
            return False
        return True

    def _answer(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._panel.answer(outcome)
