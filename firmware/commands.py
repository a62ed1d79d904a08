"""Sealed commands: each is done once and answered (resolutions 14).

A frame's commands wait here while a token is being checked; those that find no place are not answered, and
come again. The answers to the last commands are stored with the change that they report (results.py), so a
command that comes again is answered again and done no more. controller.py gives each its turn; an UPDATE is
answered when ota.py says how it ended.
"""

from firmware.core import Core
from firmware.order import MAX_SIZE, UpdateOrder, is_file
from firmware.results import MAX_DETAIL
from firmware.tokens import Tokens
from firmware.uplink import UPDATE_ROOM
from firmware.version import VERSION
from protocols.mac import equal
from protocols.magicbox import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    Command = wire.Token | wire.Sync | wire.SyncIv | wire.Reset | wire.UserAcct | wire.Update | wire.Config

MAX_WAITING = 8  # more than one frame of a back end carries
RESET_AFTER_MS = 10_000  # the answer to a RESET is given this long to be acknowledged
ROLLED_BACK = "rolled back"

# A TIME outside is a fault of its sender: this firmware is not older, and no device lives longer.
FIRST_SANE_UNIX_S = 1_735_689_600  # 2025
LAST_SANE_UNIX_S = 4_102_444_800  # 2100

_OK = (wire.COMMAND_RESULT_OK, b"")


class Commands:
    """What the back end asked for and was not done yet."""

    __slots__ = ("_core", "_reset_at_ms", "_reset_record", "_running", "_tokens", "_waiting")

    def __init__(self, core: Core, tokens: Tokens):
        self._core = core
        self._tokens = tokens
        self._waiting: list[Command] = []
        self._running: wire.Token | None = None
        self._reset_at_ms = -1
        self._reset_record = 0

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting)

    def take(self, record: wire.Record) -> None:
        """Do what needs no store; commands get in line. What this firmware does not know gets no answer."""
        core = self._core
        if isinstance(record, wire.Ack):
            core.state.uplink.acknowledge(record.first, record.last)
        elif isinstance(record, wire.Time):
            if FIRST_SANE_UNIX_S <= record.unix_s <= LAST_SANE_UNIX_S:
                core.reporter.set_clock(record.unix_s)
        elif isinstance(
            record, (wire.Token, wire.Sync, wire.SyncIv, wire.Reset, wire.UserAcct, wire.Update, wire.Config)
        ):
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append(record)

    def start(self) -> None:
        """Begin with the next command; only a TOKEN may leave a check to be done, which `finish` ends."""
        record = self._waiting.pop(0)
        core = self._core
        state = core.state
        pending = state.order.pending
        done = state.results.find(record.command_id)
        if done is not None:
            core.reporter.command(record.command_id, done[0], done[1], False)
        elif pending is not None and pending.command_id == record.command_id:
            pass  # answered when it is through
        elif not state.uplink.has_room(0 if pending is None else UPDATE_ROOM):
            core.reporter.command(record.command_id, wire.COMMAND_RESULT_BUSY, b"", False)
        elif isinstance(record, wire.Token):
            self._token(record)
        elif isinstance(record, wire.Update):
            self._update(record)
        elif isinstance(record, wire.Reset):
            self._reset(record)
        else:
            self._answer(record.command_id, self._do(record))

    def finish(self) -> None:
        """Answer the TOKEN whose check has its verdict."""
        record = self._running
        if record is None:
            raise AssertionError("no command was begun")
        self._running = None
        result = self._tokens.take(wire.SOURCE_COMMAND).result
        if result == wire.RESULT_ACCEPTED:
            self._core.state.throttle.reopen()
        self._answer_token(record, result)

    def end_update(self, failure: str) -> None:
        """Answer the UPDATE under way: done (an empty failure), or rejected."""
        order = self._core.state.order
        if order.pending is None:
            return
        answer = (wire.COMMAND_RESULT_OK, b"%d.%d.%d" % (VERSION[0], VERSION[1], VERSION[2]))
        if failure:
            answer = (wire.COMMAND_RESULT_REJECTED, failure.encode())
        if failure == ROLLED_BACK:
            self._core.reporter.alarm(wire.ALARM_KIND_ROLLED_BACK)
        command_id = order.pending.command_id
        order.pending = None
        self._answer(command_id, answer)

    def wants_reset(self) -> bool:
        """Whether a RESET was stored, and its answer was acknowledged or had its time."""
        if self._reset_at_ms < 0:
            return False
        core = self._core
        return core.reporter.now_ms >= self._reset_at_ms or not core.state.uplink.is_kept(self._reset_record)

    def deadline_ms(self, otherwise: int) -> int:
        """When `wants_reset` may become true by itself, if that is before `otherwise`."""
        return otherwise if self._reset_at_ms < 0 else min(self._reset_at_ms, otherwise)

    def _answer(self, command_id: int, answer: "tuple[int, bytes]") -> int:
        """Keep the answer with what it reports; the number of its record. Not yet saved."""
        core = self._core
        result, detail = answer[0], answer[1][:MAX_DETAIL]
        core.changed()
        core.state.results.add(command_id, result, detail)
        return core.reporter.command(command_id, result, detail, True)

    def _token(self, record: wire.Token) -> None:
        try:
            digits = record.digits.decode()
        except UnicodeError:
            digits = ""
        if self._tokens.begin(digits):
            self._running = record
        else:
            self._answer_token(record, wire.RESULT_INVALID)

    def _answer_token(self, record: wire.Token, result: int) -> None:
        """The detail says what the keypad would have shown."""
        is_accepted = result == wire.RESULT_ACCEPTED
        code = wire.COMMAND_RESULT_OK if is_accepted else wire.COMMAND_RESULT_REJECTED
        self._answer(record.command_id, (code, wire.RESULT_NAMES[result].encode()))

    def _update(self, record: wire.Update) -> None:
        """Keep the order; ota.py works on it."""
        order = self._core.state.order
        refusal = b""
        if self._core.hal.files is None:
            self._answer(record.command_id, (wire.COMMAND_RESULT_UNSUPPORTED, b""))
            return
        if order.pending is not None:
            refusal = b"update pending"
        elif not is_file(record.file):
            refusal = b"file"
        elif not 0 < record.size <= MAX_SIZE:
            refusal = b"size"
        if refusal:
            self._answer(record.command_id, _rejected(refusal))
            return
        self._core.changed()
        order.pending = UpdateOrder(record.command_id, record.size, record.sha256, record.file.decode())

    def _reset(self, record: wire.Reset) -> None:
        """Soft: start again. Factory: clear first what belongs to the holder and his credit."""
        if record.kind == wire.RESET_KIND_FACTORY:
            if not self._is_signed(record):
                self._answer(record.command_id, _rejected(b"signature"))
                return
            self._clear()
        elif record.kind != wire.RESET_KIND_SOFT:
            self._answer(record.command_id, _rejected(b"kind"))
            return
        self._reset_record = self._answer(record.command_id, _OK)
        self._reset_at_ms = self._core.reporter.now_ms + RESET_AFTER_MS

    def _is_signed(self, record: wire.Reset) -> bool:
        from protocols.magicbox.reset import factory_signature  # once in a device's life

        config = self._core.config
        expected = factory_signature(config.secret, config.serial, self._core.state.counters.last)
        return equal(expected, record.signature)

    def _clear(self) -> None:
        """Never counters, sequences, epochs, numbers, keys or the budget: what was used once stays used."""
        state = self._core.state
        state.credit.clear()
        state.user.clear()
        state.settings.clear()
        if not state.is_tampered:
            state.throttle.clear_errors()
        state.uplink.forget_telemetry()

    def _do(self, record: "wire.Sync | wire.SyncIv | wire.UserAcct | wire.Config") -> "tuple[int, bytes]":
        state = self._core.state
        if isinstance(record, wire.Sync):
            self._sync(record)
        elif isinstance(record, wire.SyncIv):
            if not state.channel.open_epoch(record.epoch):
                return _rejected(b"epoch")
        elif isinstance(record, wire.UserAcct):
            if not state.user.set(record.field, record.text):
                return _rejected(b"operation")
        elif not state.settings.set(record.key, record.value):
            return _rejected(b"value")
        return _OK

    def _sync(self, record: wire.Sync) -> None:
        """A status at once, and the counter not below the highest that the device ever reported.

        That ends a tampered state. It changes nothing on a healthy device, and spends again what was used
        before an old image of the flash was put back.
        """
        core = self._core
        state = core.state
        state.counters.jump(record.token_count)
        if state.is_tampered:
            state.is_tampered = False
            state.throttle.accepted(core.powered_s)
        state.throttle.reopen()
        core.report_status()


def _rejected(detail: bytes) -> "tuple[int, bytes]":
    return wire.COMMAND_RESULT_REJECTED, detail
