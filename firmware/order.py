"""The order of an UPDATE command: what is to be installed.

commands.py takes it, ota.py works on it through the controller, state.py stores it. It stands until its
command is answered; how far it has come is in the files and the boot record (slots.py).
"""

import struct

MAX_FILE = 64
MAX_SIZE = 16 * 1024 * 1024  # more than any board's file system

_FORMAT = ">II32s"
_FORMAT_SIZE = 40
_FILE_CHARACTERS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-"


class UpdateOrder:
    """One order. `size` in bytes, `file` the name under /v1/firmware."""

    __slots__ = ("command_id", "file", "sha256", "size")

    def __init__(self, command_id: int, size: int, sha256: bytes, file: str):
        self.command_id = command_id
        self.size = size
        self.sha256 = sha256
        self.file = file


class Order:
    """The part of the state: `pending`, or None."""

    __slots__ = ("pending",)

    def __init__(self):
        self.pending: UpdateOrder | None = None

    def pack(self) -> bytes:
        order = self.pending
        if order is None:
            return b""
        file = order.file.encode()
        head = struct.pack(_FORMAT, order.command_id, order.size, order.sha256)
        return head + bytes([len(file)]) + file

    def unpack(self, data: bytes) -> None:
        self.pending = None
        if not data:
            return
        command_id, size, sha256 = struct.unpack_from(_FORMAT, data)
        start = _FORMAT_SIZE + 1
        file = bytes(data[start : start + data[_FORMAT_SIZE]]).decode()
        self.pending = UpdateOrder(command_id, size, sha256, file)


def is_file(name: bytes) -> bool:
    """Whether a name is one file of /v1/firmware: no path, nothing to escape in a URL."""
    return (
        0 < len(name) <= MAX_FILE and name[:1] != b"." and all([octet in _FILE_CHARACTERS for octet in name])
    )
