"""Firmware files: stored once under a name by an operator, read in parts by devices (checklist 54, 55).

A file never changes: its name stands for its bytes, so a download that was cut goes on where it was, and the
checksums that an `update` command carries stay true. files_routes.py is the HTTP of it.
"""

import hashlib

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Conflict
from backend.kit.runtime import Clock
from backend.m2m.details import FILE
from backend.m2m.rows import FirmwareFile
from backend.m2m.store import Store

MAX_FILE = 1024 * 1024  # bytes; application bytecode is under 64 KB, a whole image of an RP2040 under 1 MB
PART = 64 * 1024  # bytes that are read at once: what a slow download holds in memory


class FirmwareFiles:
    """The files of one service."""

    def __init__(self, *, store: Store, database: Database, clock: Clock):
        self._store = store
        self._database = database
        self._clock = clock

    async def put(self, file: str, content: bytes, *, client: str) -> tuple[FirmwareFile, bool]:
        """Store a file; what is stored, and whether it is new. The same bytes again change nothing.

        BadRequest: no such name can be, or no bytes. Conflict: other bytes have the name.
        """
        if not FILE.match(file):
            raise BadRequest("Invalid parameters: file")
        if not 0 < len(content) <= MAX_FILE:
            raise BadRequest(f"A firmware file has 1 to {MAX_FILE} bytes")
        new = FirmwareFile(
            file=file,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        )
        now_ms = self._clock.now_ms()
        added = await self._database.write(
            lambda connection: self._store.add_file(connection, new, content, client, now_ms)
        )
        if not added and await self.find(file) != new:
            raise Conflict("This name has other bytes; a file is never changed: choose a new name")
        return new, added

    async def find(self, file: str) -> FirmwareFile | None:
        """The file of this name, if there is one."""
        if not FILE.match(file):
            return None
        return await self._database.read(lambda connection: self._store.file(connection, file))

    async def read(self, file: FirmwareFile, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start` (0: the first) on."""
        return await self._database.read(
            lambda connection: self._store.file_part(connection, file.file, start, size)
        )
