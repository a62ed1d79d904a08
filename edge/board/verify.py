"""Compare what is on a board with a build, by SHA-256 computed on the board."""

from dataclasses import dataclass

from edge.board import record, scripts
from edge.board.build import Build, Progress
from edge.board.errors import BoardError
from edge.board.mpremote import Board
from firmware import boot


@dataclass(frozen=True, slots=True)
class Difference:
    """A file of the board that is "missing", "different", or "not of this build"."""

    path: str
    what: str


async def verify(board: Board, built: Build, *, progress: Progress) -> tuple[str, list[Difference]]:
    """The slot that the board starts, and how it differs from `built`. BoardError: it has no firmware."""
    await board.probe()
    current = await record.read(board)
    if not current.sequence:
        raise BoardError(f"the board on {board.port} has no firmware: payg board flash --port {board.port}")
    slot = boot.SLOTS[current.chosen()]
    return slot, await compare(board, built, slot, progress=progress)


async def compare(board: Board, built: Build, slot: str, *, progress: Progress | None) -> list[Difference]:
    """How `slot` and the root's two files differ from the build."""
    wanted = {f"{slot}/{path}": digest for path, digest in built.about.slot.items()}
    wanted |= {f"/{path}": digest for path, digest in built.about.root.items()}
    found: dict[str, str] = {}

    def on_line(line: str) -> None:
        path, _, digest = line.partition(" ")
        if progress is not None:
            progress(min(len(found), len(wanted)), len(wanted), path)
        found[path] = digest

    await board.run(scripts.hashes([slot, *(f"/{path}" for path in built.about.root)]), on_line)
    if progress is not None:
        progress(len(wanted), len(wanted), "")
    differences = [
        Difference(path, "different" if path in found else "missing")
        for path, digest in wanted.items()
        if found.get(path) != digest
    ]
    differences += [Difference(path, "not of this build") for path in found if path not in wanted]
    return sorted(differences, key=lambda one: one.path)
