"""What the device tells: builds the records of uplink.py from what the controller knows.

`at` is the time of day since the last TIME, 0 before the first; a clock that someone sets has no say in
credit.
"""

from firmware.hal import Readings
from firmware.uplink import Uplink
from firmware.version import VERSION
from protocols.magicbox import wire

_MAX_U32 = 0xFFFFFFFF


class Reporter:
    """Records of one device; `now_ms` is moved by the controller before anything else happens."""

    __slots__ = ("_clock_ms", "_started_ms", "_unix_s", "_uplink", "now_ms")

    def __init__(self, uplink: Uplink, now_ms: int):
        self._uplink = uplink
        self._started_ms = now_ms
        self._clock_ms = 0
        self._unix_s = 0
        self.now_ms = now_ms

    def set_clock(self, unix_s: int) -> None:
        self._unix_s = unix_s
        self._clock_ms = self.now_ms

    def unix_s(self) -> int:
        """The time of day; 0 until a TIME came."""
        if not self._unix_s:
            return 0
        return min(self._unix_s + (self.now_ms - self._clock_ms) // 1000, _MAX_U32)

    def boot(self, boot_id: int, reset_cause: int, family: int) -> None:
        number = self._uplink.take_number()
        self._uplink.queue(wire.Boot(number, self.unix_s(), boot_id, reset_cause, family, VERSION))

    def status(self, credit_s: int, relay: bool, state: int, readings: Readings, token_count: int) -> None:
        record = wire.Status(
            self._uplink.take_number(),
            self.unix_s(),
            min((self.now_ms - self._started_ms) // 1000, _MAX_U32),
            credit_s,
            int(relay),
            state,
            readings.battery_mv,
            readings.panel_mv,
            readings.load_ma,
            readings.temperature_dc,
            token_count,
            VERSION,
        )
        self._uplink.queue(record)

    def token(self, said: "tuple[int, int, int, int]", token_count: int, credit_s: int) -> None:
        """An entry: (source, result, command, payload), and the state after it.

        An accepted token is kept until the back end has it; what the keypad refused is telemetry.
        """
        number = self._uplink.take_number()
        event = wire.TokenEvent(number, self.unix_s(), *said, token_count, credit_s)
        if event.result == wire.RESULT_ACCEPTED:
            self._uplink.keep(event)
        else:
            self._uplink.queue(event)

    def command(self, command_id: int, result: int, detail: bytes, kept: bool) -> int:
        """The answer to a command, kept unless it only repeats one or says busy; its record's number."""
        number = self._uplink.take_number()
        answer = wire.CommandResult(number, self.unix_s(), command_id, result, detail)
        if kept:
            self._uplink.keep(answer)
        else:
            self._uplink.queue(answer)
        return number

    def alarm(self, kind: int, value: int = 0) -> None:
        """Something that a person should hear of (ALARM_KIND_*)."""
        self._uplink.queue(wire.Alarm(self._uplink.take_number(), self.unix_s(), kind, value))
