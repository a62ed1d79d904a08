"""How often a data directory was started and cleanly stopped: a kill leaves a start without its stop."""

from pathlib import Path

import msgspec

from backend.data_dir import write_private
from backend.kit.decoding import UNREADABLE

FILE = "diary.json"


class Diary:
    """Counts in `folder`. A diary is written once a start and once a stop."""

    def __init__(self, folder: Path):
        self._file = folder / FILE
        try:
            content = msgspec.json.decode(self._file.read_bytes(), type=dict[str, int])
        except (FileNotFoundError, *UNREADABLE):
            content = {}
        self.starts = content.get("starts", 0)
        self.clean_stops = content.get("clean_stops", 0)

    def started(self) -> None:
        """One more start."""
        self.starts += 1
        self._write()

    def stopped(self) -> None:
        """And its clean stop."""
        self.clean_stops += 1
        self._write()

    def _write(self) -> None:
        write_private(self._file, {"starts": self.starts, "clean_stops": self.clean_stops})
