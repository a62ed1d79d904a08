"""The answers to the last commands, so that a command that comes again is answered again and done no more.

commands.py adds to them; state.py stores them with the change that they report.
"""

import struct

RESULTS = 8  # a back end has one command of a device in flight, seldom two
MAX_DETAIL = 16

_ENTRY = ">IBB"
_ENTRY_SIZE = 6


class Results:
    """(result, detail) of the last RESULTS commands by id, oldest first."""

    __slots__ = ("_results",)

    def __init__(self):
        self._results: list[tuple[int, int, bytes]] = []

    def pack(self) -> bytes:
        return b"".join(
            [
                struct.pack(_ENTRY, number, result, len(detail)) + detail
                for number, result, detail in self._results
            ]
        )

    def unpack(self, data: bytes) -> None:
        self._results = []
        offset = 0
        while offset < len(data):
            number, result, length = struct.unpack_from(_ENTRY, data, offset)
            offset += _ENTRY_SIZE
            self.add(number, result, bytes(data[offset : offset + length]))
            offset += length

    def find(self, command_id: int) -> tuple[int, bytes] | None:
        for number, result, detail in self._results:
            if number == command_id:
                return result, detail
        return None

    def add(self, command_id: int, result: int, detail: bytes) -> None:
        self._results.append((command_id, result, detail[:MAX_DETAIL]))
        del self._results[:-RESULTS]
