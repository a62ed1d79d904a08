"""The controller: events in, effects out, no clock and no thread of its own (DESIGN.md, Devices).

A shell (main.py on a board, edge/device.py on a host) calls `key`, `entry`, `receive` when something happens
and `poll` at the deadline that `poll` named, each with the HAL's milliseconds. What they change goes the same
way every time: the clocks are advanced, the parts of the State change, the State is stored, and only then the
relay switches and something is shown or sent. A save that fails is a StoreError: the change is kept in RAM,
`unsaved`, and every later call saves first; nothing else happens until one succeeds. link.py carries the
frames.
"""

from firmware import acceptance, commands, ui
from firmware.config import Config
from firmware.credit import FIRST_SAVE_S, next_save_s
from firmware.hal import Hal
from firmware.reporter import ALARM_KEYPAD_CLOSED, ALARM_KEYPAD_PAUSED, Reporter
from firmware.state import State
from firmware.store import Store, StoreError
from protocols.magicbox import wire

ENTRY_TIMEOUT_MS = 30_000  # half-typed digits are forgotten
MAX_ENTRY_DIGITS = 20  # the longest token: extended, in restricted digits
MAX_BODY = 512  # bytes of records a frame: small enough for a board's heap


class Outcome:
    """The answer to one entry. `command` and `payload` are what the token said (TOKEN_COMMAND_NONE: nothing
    readable); `retry_in_s` is None unless locked."""

    __slots__ = ("command", "payload", "result", "retry_in_s")

    def __init__(self, result: int, command: int = 0, payload: int = 0, retry_in_s: int | None = None):
        self.result = result
        self.command = command
        self.payload = payload
        self.retry_in_s = retry_in_s


class Controller:
    """One device. Times are the HAL's ticks in ms; the HAL must outlive it."""

    __slots__ = (
        "_config",
        "_entry_ends_ms",
        "_hal",
        "_keys",
        "_save_at_ms",
        "_save_s",
        "_show_ends_ms",
        "_state",
        "_status_at_ms",
        "_store",
        "_unsaved",
        "display",
        "last_refusal",
        "refused_frames",
        "relay",
        "reporter",
        "status",
    )

    def __init__(self, config: Config, hal: Hal):
        """Start from the stored state; StoreError when there is none, or it is another device's."""
        self._config = config
        self._hal = hal
        self._store = Store(hal.flash)
        now_ms = hal.ticks_ms()
        self._state = State(config, now_ms)
        stored = self._store.load()
        if stored is None:
            raise StoreError("the store is blank or damaged")
        self._state.unpack(stored)
        self.reporter = Reporter(self._state.uplink, now_ms)
        self._unsaved = False
        self._keys = ""
        self._entry_ends_ms = 0
        self._show_ends_ms = 0
        self._save_s = FIRST_SAVE_S
        self._save_at_ms = now_ms
        self._status_at_ms = now_ms
        self.display = ("", "")
        self.last_refusal = ""
        self.refused_frames = 0
        self.relay = False
        self.status = -1
        self._boot()

    @property
    def uplink(self):
        return self._state.uplink

    @property
    def results(self):
        return self._state.results

    @property
    def boot_id(self) -> int:
        """Another at each start, ever growing."""
        return self._state.boot_id

    @property
    def token_count(self) -> int:
        """The highest accepted OpenPAYGO count or Moto sequence number."""
        return self._state.counters.last

    @property
    def credit_s(self) -> int:
        """Seconds left as of the last call; credit.NO_LIMIT_S when PAYG is disabled."""
        return self._state.credit.left_s()

    @property
    def unsaved(self) -> bool:
        """Whether something must be stored before anything leaves; only a successful save ends it."""
        return self._unsaved or self._state.uplink.dirty or self._state.channel.dirty

    def key(self, key: str, now_ms: int) -> Outcome | None:
        """A key of the keypad: digits, `*` starts over, `#` enters; the outcome of an entry."""
        self._entry_ends_ms = now_ms + ENTRY_TIMEOUT_MS
        if key == "#":
            keys = self._keys
            self._keys = ""
            return self.entry(keys, now_ms)
        self._keys = "" if key == "*" else (self._keys + key)[: MAX_ENTRY_DIGITS + 1]
        self._show(self._keys[: ui.WIDTH], self._keys[ui.WIDTH :])
        return None

    def entry(self, typed: str, now_ms: int) -> Outcome:
        """One whole entry, bare or as `*...#`, spaces ignored. An empty one is invalid but no wrong entry."""
        self._advance(now_ms)
        self._save_what_is_unsaved()
        outcome = self._enter(_digits(typed))
        wait_ms = self._wait_ms()
        closed = self._state.throttle.closed
        self._show(*ui.result_lines(outcome.result, self._state_code(), self.credit_s, wait_ms, closed))
        self._show_ends_ms = now_ms + ui.SHOW_RESULT_MS
        return outcome

    def receive(self, frame: bytes, now_ms: int) -> bool:
        """A frame from the back end; False when it was refused (`last_refusal`) and nothing changed."""
        self._advance(now_ms)
        self._save_what_is_unsaved()
        try:
            records = self._state.channel.open(frame)
        except wire.WireError as refusal:
            self.refused_frames += 1
            self.last_refusal = refusal.reason
            return False
        changed = [commands.run(record, self) for record in records]
        if any(changed):
            self._commit()
        return True

    def poll(self, now_ms: int) -> int:
        """Do what is due; ms until the next deadline, at least 1."""
        self._advance(now_ms)
        if self.unsaved or self._state_code() != self.status or now_ms >= self._save_at_ms:
            self._commit()
        if now_ms >= self._status_at_ms:
            self.report_status()
        if self._keys and now_ms >= self._entry_ends_ms:
            self._keys = ""
            self._show_ends_ms = now_ms
        if self._show_ends_ms and now_ms >= self._show_ends_ms:
            self._show_ends_ms = 0
            self._show(*ui.idle_lines(self.status, self.credit_s))
        return max(min(self._deadlines()) - now_ms, 1)

    def take_frame(self, now_ms: int) -> bytes | None:
        """The next sealed frame up when one is due, with numbers and a sequence that never repeat."""
        state = self._state
        if not state.uplink.is_due(now_ms):
            return None
        self._advance(now_ms)
        state.channel.reserve()
        self._save_what_is_unsaved()
        body = state.uplink.take_body(now_ms, MAX_BODY)
        self._save_what_is_unsaved()  # its GAPs may have taken numbers
        return state.channel.seal(body)

    def save(self) -> None:
        """Store the state as of the last call; StoreError leaves it unsaved."""
        self._unsaved = True
        self._store.save(self._state.pack())
        self._unsaved = False
        self._state.uplink.dirty = False
        self._state.channel.dirty = False
        self._save_s = next_save_s(self._save_s)
        self._save_at_ms = self.reporter.now_ms + self._save_s * 1000

    def report_status(self) -> None:
        """Queue a status record; the next periodic one follows after the configured interval."""
        self._status_at_ms = self.reporter.now_ms + self._config.status_interval_s * 1000
        readings = self._hal.readings()
        self.reporter.status(self.credit_s, self.relay, self._state_code(), readings, self.token_count)

    def token_command(self, digits: str) -> int:
        """The RESULT of a token in a sealed command: no throttle, and it opens the keypad. Not yet saved."""
        check = self._check(_digits(digits))
        if check is None:
            return wire.RESULT_INVALID
        if check.result == wire.RESULT_ACCEPTED:
            self._book(check, wire.SOURCE_COMMAND)
            self._state.throttle.reopen(self._powered_s())
        return check.result

    def _boot(self) -> None:
        state = self._state
        state.boot_id += 1
        state.uplink.restart()
        self.reporter.boot(state.boot_id, self._hal.reset_cause, self._config.family)
        state.channel.reserve()
        self._commit()
        self._save_s = FIRST_SAVE_S
        self._save_at_ms = self.reporter.now_ms + FIRST_SAVE_S * 1000
        self._show(*ui.idle_lines(self.status, self.credit_s))

    def _advance(self, now_ms: int) -> None:
        self.reporter.now_ms = max(now_ms, self.reporter.now_ms)
        passed_ms = self._state.credit.advance(now_ms)
        self._state.throttle.advance(passed_ms, self._powered_s())

    def _enter(self, digits: str) -> Outcome:
        wait_ms = self._wait_ms()
        if wait_ms:
            return Outcome(wire.RESULT_LOCKED, retry_in_s=(wait_ms + 999) // 1000)
        if not digits:
            return Outcome(wire.RESULT_INVALID)
        check = self._check(digits)
        if check is None or check.result == wire.RESULT_INVALID:
            self._wrong(check is not None)
            return Outcome(wire.RESULT_INVALID)
        if check.result == wire.RESULT_ACCEPTED:
            self._book(check, wire.SOURCE_KEYPAD)
            self._commit()
        else:
            self._report_token(wire.SOURCE_KEYPAD, check.result, check.command, check.payload)
        return Outcome(check.result, check.command, check.payload)

    def _check(self, digits: str) -> acceptance.Check | None:
        config = self._config
        state = self._state
        check = acceptance.begin(config.family, config.secret, state.starting_code, state.counters, digits)
        if check is not None:
            check.run()
        return check

    def _book(self, check: acceptance.Check, source: int) -> None:
        """Grant an accepted token, and keep its event. Not yet saved."""
        state = self._state
        self._unsaved = True
        state.counters.accept(check.command, check.count, check.number)
        if self._config.family == wire.FAMILY_MOTO and check.command == wire.TOKEN_COMMAND_COUNTER_SYNC:
            state.counters.jump(check.payload)
        state.credit.grant(check.command, check.payload)
        state.throttle.accepted(self._powered_s())
        self._report_token(source, check.result, check.command, check.payload)

    def _wrong(self, could_be_token: bool) -> None:
        throttle = self._state.throttle
        throttle.wrong(could_be_token)
        self._report_token(wire.SOURCE_KEYPAD, wire.RESULT_INVALID, wire.TOKEN_COMMAND_NONE, 0)
        if throttle.closed:
            self.reporter.alarm(ALARM_KEYPAD_CLOSED, 0)
        elif throttle.pause_ms:
            self.reporter.alarm(ALARM_KEYPAD_PAUSED, throttle.pause_ms // 1000)
        self.save()

    def _report_token(self, source: int, result: int, command: int, payload: int) -> None:
        said = (source, result, command, payload)
        self.reporter.token(said, self.token_count, self.credit_s)

    def _commit(self) -> None:
        """Store, then switch the relay and report when the device's state is another.

        Only off needs no store: used-up credit gives no light while saves fail.
        """
        if self.relay and not self._state.credit.is_on():
            self.relay = False
            self._hal.set_relay(False)
        self.save()
        code = self._state_code()
        if code == self.status:
            return
        self.status = code
        self.relay = self._state.credit.is_on()
        self._hal.set_relay(self.relay)
        self.report_status()
        if not self._show_ends_ms:
            self._show(*ui.idle_lines(self.status, self.credit_s))

    def _state_code(self) -> int:
        credit = self._state.credit
        if credit.disabled:
            return wire.STATE_PAYG_DISABLED
        return wire.STATE_ACTIVE if credit.is_on() else wire.STATE_EXPIRED

    def _save_what_is_unsaved(self) -> None:
        if self.unsaved:
            self._commit()

    def _wait_ms(self) -> int:
        return self._state.throttle.wait_ms(self._state.credit.powered_ms)

    def _powered_s(self) -> int:
        return self._state.credit.powered_ms // 1000

    def _deadlines(self) -> list[int]:
        deadlines = [self._save_at_ms, self._status_at_ms]
        if self.status == wire.STATE_ACTIVE:
            deadlines.append(self.reporter.now_ms + self._state.credit.left_ms)
        if self._keys:
            deadlines.append(self._entry_ends_ms)
        if self._show_ends_ms:
            deadlines.append(self._show_ends_ms)
        return deadlines

    def _show(self, first: str, second: str) -> None:
        self.display = (first, second)
        self._hal.show(first, second)


def _digits(typed: str) -> str:
    """What was typed between `*` and `#`, without spaces."""
    typed = typed.replace(" ", "")
    if typed.startswith("*"):
        typed = typed[1:]
    return typed[:-1] if typed.endswith("#") else typed
