"""Progress on standard error: a bar on a terminal, a line a step anywhere else."""

from typing import TextIO

_WIDTH = 24
_MAX_NAME = 40


class Bar:
    """Call it with what is done, the total, and what comes next (empty at the end)."""

    def __init__(self, stream: TextIO, label: str):
        self._stream = stream
        self._label = label
        self._is_terminal = stream.isatty()

    def __call__(self, done: int, total: int, name: str) -> None:
        if not self._is_terminal:
            if name:
                self._stream.write(f"{self._label} {done + 1}/{total} {name}\n")
            return
        filled = _WIDTH * done // max(total, 1)
        bar = "#" * filled + "-" * (_WIDTH - filled)
        self._stream.write(f"\r\x1b[K{self._label} [{bar}] {done}/{total} {name[-_MAX_NAME:]}")
        if done == total:
            self._stream.write("\n")
        self._stream.flush()
