"""Sealed commands: each is done once and answered (resolutions 14).

The answers to the last RESULTS commands are stored with the change they report, so a command that comes again
is answered again and done no more. TOKEN, SYNC and (without an answer) TIME are done here; the others are
answered `unsupported`.
"""

import struct

from protocols.magicbox import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.controller import Controller

RESULTS = 8  # a back end has one command of a device in flight, seldom two
MAX_DETAIL = 16

_ENTRY = ">IBB16s"
_ENTRY_SIZE = 22
RESULTS_SIZE = RESULTS * _ENTRY_SIZE

FIRST_SANE_UNIX_S = 1_735_689_600  # 2025: before this firmware; a TIME below it is a fault of the sender


class Results:
    """(result, detail) of the last commands by id, oldest first."""

    __slots__ = ("_results",)

    def __init__(self):
        self._results: list[tuple[int, int, bytes]] = []

    def pack(self) -> bytes:
        entries = [
            struct.pack(_ENTRY, number, 1 + result, len(detail), detail)
            for number, result, detail in self._results
        ]
        return b"".join(entries) + bytes(RESULTS_SIZE - len(entries) * _ENTRY_SIZE)

    def unpack(self, data: bytes) -> None:
        for offset in range(0, RESULTS_SIZE, _ENTRY_SIZE):
            number, result, length, detail = struct.unpack_from(_ENTRY, data, offset)
            if result:  # 0: a free entry
                self._results.append((number, result - 1, detail[:length]))

    def find(self, command_id: int) -> tuple[int, bytes] | None:
        for number, result, detail in self._results:
            if number == command_id:
                return result, detail
        return None

    def add(self, command_id: int, result: int, detail: bytes) -> None:
        self._results.append((command_id, result, detail[:MAX_DETAIL]))
        del self._results[:-RESULTS]


def run(record: wire.Record, device: "Controller") -> bool:
    """Do one record of a frame down; True when the store must be saved before anything is shown or sent."""
    if isinstance(record, wire.Ack):
        device.uplink.acknowledge(record.first, record.last)
        return False
    if isinstance(record, wire.Time):
        if record.unix_s >= FIRST_SANE_UNIX_S:
            device.reporter.set_clock(record.unix_s)
        return False
    command_id = _command_id(record)
    if command_id is None:  # a record of a later version: its sender sees that no answer comes
        return False
    done = device.results.find(command_id)
    if done is not None:
        device.reporter.command(command_id, *done, False)
        return False
    if not device.uplink.has_room():
        device.reporter.command(command_id, wire.COMMAND_RESULT_BUSY, b"", False)
        return False
    result, detail = _do(record, device)
    device.results.add(command_id, result, detail)
    device.reporter.command(command_id, result, detail, True)
    return True


def _do(record: wire.Record, device: "Controller") -> tuple[int, bytes]:
    if isinstance(record, wire.Token):
        return _token(record, device)
    if isinstance(record, wire.Sync):
        device.report_status()
        return wire.COMMAND_RESULT_OK, b""
    return wire.COMMAND_RESULT_UNSUPPORTED, b""


def _token(record: wire.Token, device: "Controller") -> tuple[int, bytes]:
    """The detail says what the keypad would have shown."""
    try:
        digits = record.digits.decode()
    except UnicodeError:
        digits = ""
    token_result = device.token_command(digits)
    accepted = token_result == wire.RESULT_ACCEPTED
    result = wire.COMMAND_RESULT_OK if accepted else wire.COMMAND_RESULT_REJECTED
    return result, wire.RESULT_NAMES[token_result].encode()


def _command_id(record: wire.Record) -> int | None:
    if isinstance(
        record, (wire.Token, wire.Sync, wire.SyncIv, wire.Reset, wire.UserAcct, wire.Update, wire.Config)
    ):
        return record.command_id
    return None
