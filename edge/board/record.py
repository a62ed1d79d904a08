"""The boot record of a board, read and changed from the workbench by the board's own firmware.boot."""

import io
import tempfile
from pathlib import Path
from typing import IO

from edge.board import scripts
from edge.board.mpremote import Board
from firmware import boot


async def read(board: Board) -> boot.Record:
    """The newest good record; one of sequence 0 when there is none."""
    found: dict[str, bytes] = {}
    for line in await board.run(scripts.RECORDS):
        path, _, digits = line.partition(" ")
        found[path] = bytes.fromhex(digits)

    def opened(path: str, _: str) -> IO[bytes]:
        if path not in found:
            raise FileNotFoundError(path)
        return io.BytesIO(found[path])

    return boot.load(opened)


async def write(board: Board, record: boot.Record) -> None:
    """Make it the newest one."""
    with tempfile.TemporaryDirectory() as folder:
        written: list[str] = []

        def opened(path: str, mode: str) -> IO[bytes]:
            written.append(path)
            return open(f"{folder}{path}", mode, buffering=0)

        boot.store(opened, record)
        (path,) = written
        await board.copy([(Path(folder, path[1:]), path)], lambda _: None)
