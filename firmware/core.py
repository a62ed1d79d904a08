"""The State with its clock, its store and its relay: what everything in the controller goes through.

Whoever changes the State calls `commit`: the State is stored, and only then the relay switches and the change
is reported. A save that fails is a StoreError: the change is kept in RAM, `unsaved`, and every later call
saves first. tokens.py, entry.py and commands.py change the State; controller.py puts them together.
"""

from firmware.config import Config
from firmware.hal import Hal
from firmware.reporter import Reporter
from firmware.state import State
from firmware.store import StoreError
from protocols.magicbox import wire

_CHANCE_BYTES = 4
_CHANCE_MASK = 0x3FFFFFFF  # State.tamper takes 30 bits


class Core:
    """One device. `relay` and `status` (STATE_*) are what was last stored."""

    __slots__ = (
        "_has_failed",
        "_save_at_ms",
        "_status_at_ms",
        "_store",
        "_unsaved",
        "config",
        "hal",
        "relay",
        "reporter",
        "state",
        "status",
    )

    def __init__(self, config: Config, hal: Hal):
        """Start from the stored state, without one as tampered; StoreError for another device's."""
        now_ms = hal.ticks_ms()
        self.config = config
        self.hal = hal
        self._store = hal.store
        self.state = State(config, now_ms)
        stored = self._store.load()
        if stored is None:
            self.state.tamper(int.from_bytes(hal.entropy(_CHANCE_BYTES), "big") & _CHANCE_MASK)
        else:
            self.state.unpack(stored)
        self.reporter = Reporter(self.state.uplink, now_ms)
        self._unsaved = False
        self._has_failed = False
        self._save_at_ms = now_ms
        self._status_at_ms = now_ms
        self.relay = False
        self.status = -1

    def boot(self) -> None:
        """Tell of this start, and store that it happened before anything else does."""
        state = self.state
        state.boot_id += 1
        state.uplink.restart()
        self.reporter.boot(state.boot_id, self.hal.reset_cause, self.config.family)
        if state.is_tampered:
            self.reporter.alarm(wire.ALARM_KIND_TAMPERED)
        if state.throttle.closed:  # the alarm of then may have gone with the power
            self.reporter.alarm(wire.ALARM_KIND_KEYPAD_CLOSED)
        state.channel.reserve()
        self.commit()

    @property
    def unsaved(self) -> bool:
        """Whether something must be stored before anything leaves; only a successful save ends it."""
        return self._unsaved or self.state.uplink.dirty or self.state.channel.dirty

    @property
    def powered_s(self) -> int:
        """Uptime of the device's whole life."""
        return self.state.credit.powered_ms // 1000

    def advance(self, now_ms: int) -> int:
        """Let all clocks run up to `now_ms`; the device's own clock, which no jump of the HAL's moves."""
        passed_ms = self.state.credit.advance(now_ms)
        self.reporter.now_ms += passed_ms
        self.state.throttle.advance(passed_ms, self.powered_s)
        return self.reporter.now_ms

    def poll(self) -> None:
        """Store what changed or is due, and report what is due."""
        now_ms = self.reporter.now_ms
        self._watch_low_credit()
        if self.unsaved or self.state_code() != self.status or now_ms >= self._save_at_ms:
            self.commit()
        if now_ms >= self._status_at_ms:
            self.report_status()

    def commit(self) -> None:
        """Store, then switch the relay and report when the device's state is another.

        Only off needs no store: used-up credit gives no light while saves fail.
        """
        if self.relay and not self._is_on():
            self.relay = False
            self.hal.set_relay(False)
        self.save()
        code = self.state_code()
        if code == self.status:
            return
        self.status = code
        self.relay = self._is_on()
        self.hal.set_relay(self.relay)
        self.report_status()

    def save(self) -> None:
        """Store the state as of the last call; StoreError leaves it unsaved, and is told when that ends."""
        self._unsaved = True
        try:
            self._store.save(self.state.pack())
        except StoreError:
            self._has_failed = True
            raise
        self._unsaved = False
        self.state.uplink.dirty = False
        self.state.channel.dirty = False
        self._save_at_ms = self.reporter.now_ms + self.state.credit.next_save_s() * 1000
        if self._has_failed:
            self._has_failed = False
            self.reporter.alarm(wire.ALARM_KIND_STORE_FAILED)

    def save_what_is_unsaved(self) -> None:
        if self.unsaved:
            self.commit()

    def changed(self) -> None:
        """The State is another now: nothing leaves before it is stored."""
        self._unsaved = True

    def report_status(self) -> None:
        """Queue a status record; the next periodic one follows after the interval."""
        state = self.state
        self._status_at_ms = self.reporter.now_ms + state.settings.status_interval_s * 1000
        left_s = state.credit.left_s()
        self.reporter.status(left_s, self.relay, self.state_code(), self.hal.readings(), state.counters.last)

    def report_token(self, source: int, result: int, command: int, payload: int) -> None:
        """Tell of an entry, or of a token in a command."""
        said = (source, result, command, payload)
        self.reporter.token(said, self.state.counters.last, self.state.credit.left_s())

    def state_code(self) -> int:
        """STATE_* as of the last `advance`."""
        if self.state.is_tampered:
            return wire.STATE_TAMPERED
        credit = self.state.credit
        if credit.disabled:
            return wire.STATE_PAYG_DISABLED
        return wire.STATE_ACTIVE if credit.is_on() else wire.STATE_EXPIRED

    def is_low(self) -> bool:
        """Whether the credit that is left is worth a warning."""
        low_s = self.state.settings.low_credit_s
        return self.status == wire.STATE_ACTIVE and self.state.credit.is_low(low_s)

    def deadline_ms(self) -> int:
        """When `poll` has something to do."""
        deadline_ms = min(self._save_at_ms, self._status_at_ms)
        credit = self.state.credit
        if self.status == wire.STATE_ACTIVE:
            deadline_ms = min(deadline_ms, self.reporter.now_ms + credit.left_ms)
        low_ms = credit.low_in_ms(self.state.settings.low_credit_s)
        if low_ms is not None:
            deadline_ms = min(deadline_ms, self.reporter.now_ms + low_ms)
        return deadline_ms

    def _is_on(self) -> bool:
        return not self.state.is_tampered and self.state.credit.is_on()

    def _watch_low_credit(self) -> None:
        """One alarm each time that the credit falls below the warning."""
        credit = self.state.credit
        if credit.low_crossed(self.state.settings.low_credit_s):
            self._unsaved = True
            self.reporter.alarm(wire.ALARM_KIND_LOW_CREDIT, credit.left_s())
