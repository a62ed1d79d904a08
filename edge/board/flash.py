"""Put a build on a board: into the slot that is not in use, then boot.py and main.py, then the boot record.

boot.py and main.py are written beside the old ones and then renamed. Whatever happens on the way, the board
starts the firmware that it had; a board that had none is flashed again. verify.py reads back what was written
before the record says that it counts.
"""

from pathlib import Path, PurePosixPath

from edge.board import record, scripts
from edge.board.build import ROOT, SLOT, Build, Progress
from edge.board.errors import BoardError, WrongBoard
from edge.board.mpremote import Board, Interpreter
from edge.board.verify import Difference, compare
from firmware import boot

SPARE_BYTES = 16_384  # for the state, the identity and the settings


async def flash(board: Board, built: Build, *, progress: Progress) -> str:
    """Flash `built`, check it and start it; the slot that it is in. BoardError says what to do."""
    check_arch(board, await board.probe(), built)
    current = await record.read(board)
    if current.phase == boot.PENDING:  # nothing may start the slot that is about to be emptied
        current = boot.Record(current.sequence, current.active)
        await record.write(board, current)
    target = 1 - current.active if current.sequence else 0
    slot = boot.SLOTS[target]
    await _make_room(board, built, slot)
    await _copy(board, built, slot, progress)
    _expect_none(await compare(board, built, slot, progress=None))
    await record.write(board, boot.Record(current.sequence, target))
    await board.reset()
    return slot


def check_arch(board: Board, found: Interpreter, built: Build) -> None:
    """WrongBoard when the build is for another architecture."""
    if found.arch != built.about.arch:
        raise WrongBoard(
            f"the board on {board.port} is {found.arch} ({found.platform}), the build is for"
            f" {built.about.arch}: payg board build --arch {found.arch}"
        )


async def _make_room(board: Board, built: Build, slot: str) -> None:
    folders = sorted({str(above) for path in built.about.slot for above in _folders(path)})
    (free,) = await board.run(scripts.empty(slot, [f"{slot}/{folder}" for folder in folders]))
    needed = built.slot_bytes + SPARE_BYTES
    if int(free) < needed:
        raise BoardError(
            f"the board on {board.port} has {int(free) // 1024} KB free,"
            f" the firmware needs {needed // 1024} KB"
        )


def _folders(path: str) -> list[PurePosixPath]:
    return list(PurePosixPath(path).parents)[:-1]


async def _copy(board: Board, built: Build, slot: str, progress: Progress) -> None:
    files: list[tuple[Path, str]] = [
        *((built.folder / SLOT / path, f"{slot}/{path}") for path in built.about.slot),
        *((built.folder / ROOT / path, f"/{path}{scripts.NEW}") for path in built.about.root),
    ]
    await board.copy(files, lambda index: progress(index, len(files), files[index][1]))
    await board.run(scripts.take([f"/{path}" for path in built.about.root]))
    progress(len(files), len(files), "")


def _expect_none(differences: list[Difference]) -> None:
    if differences:
        first = differences[0]
        raise BoardError(f"what was written does not read back: {first.path} is {first.what}; flash it again")
