"""The two slots and the boot record from the running firmware's side; boot.py has the other side.

ota.py empties the slot that is not in use, fills it through `Writer`, puts it on trial with `install`, and
after the restart ends the trial with `confirm`. Nothing here touches a slot that boot.py could start now.
"""

from firmware import boot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from firmware.hal.files import Files

CHUNK = 1024  # bytes a slice: read, hash or write that takes a few ms on the slowest board
RESERVED_BYTES = 16_384  # stays free for the state store and the boot record, whatever an image brings
_ENOMEM = 12
_ENOSPC = 28


class Slots:
    """The slots on the board's files; `running` is the folder that this code was started from."""

    __slots__ = ("_files", "_record", "_running")

    def __init__(self, files: "Files", running: str):
        """`running` is sys.path[0]; another folder than a slot is a version frozen into the board."""
        self._files = files
        self._record = boot.load(files.open)
        self._running = running

    @property
    def phase(self) -> int:
        """IDLE, PENDING, CONFIRMED or ROLLED_BACK of boot.py."""
        return self._record.phase

    @property
    def mark(self) -> int:
        """Of the order that the phase is about."""
        return self._record.mark

    @property
    def on_trial(self) -> bool:
        """Whether the running version is the one on trial."""
        return self.phase == boot.PENDING and self._running == self._other()

    def empty_step(self) -> bool:
        """Remove one file of the slot that is not in use; True when nothing is left."""
        assert self.phase != boot.PENDING, "a version on trial is not removed"
        folder = self._other()
        name = ""
        while True:
            path = folder + name
            names = self._list(path)
            if names:
                name += "/" + names[0]
            elif not name:
                return True
            else:
                self._files.remove(path)  # a file, or a folder that is empty now
                return False

    def writer(self) -> "Writer":
        """What fills the slot that is not in use."""
        return Writer(self._files, self._other())

    def install(self, mark: int) -> None:
        """Put what is in the other slot on trial from the next start on."""
        self._change(self._record.active, boot.PENDING, mark)

    def confirm(self) -> None:
        """The version on trial is good: it stays."""
        self._change(1 - self._record.active, boot.CONFIRMED, self.mark)

    def roll_back(self) -> None:
        """The version on trial is not started again."""
        self._change(self._record.active, boot.ROLLED_BACK, self.mark)

    def _change(self, active: int, phase: int, mark: int) -> None:
        record = boot.Record(self._record.sequence, active, phase, mark)
        boot.store(self._files.open, record)
        self._record = record

    def _other(self) -> str:
        return boot.SLOTS[1 - self._record.active]

    def _list(self, path: str) -> "list[str]":
        try:
            return self._files.listdir(path)
        except OSError:  # a file, or a slot that was never filled
            return []


class Writer:
    """Files of one slot, one after another; the sink of image.Unpacker. An OSError passes through."""

    __slots__ = ("_file", "_files", "_folder", "_made")

    def __init__(self, files: "Files", folder: str):
        self._files = files
        self._folder = folder
        self._made: set[str] = set()
        self._file: IO[bytes] | None = None

    def begin(self, path: str, size: int) -> bool:
        """Make a file and its folders; False when it does not fit, or is there already."""
        free = self._files.free()
        if 0 <= free < size + RESERVED_BYTES:
            return False
        place = path.find("/")
        self._make(self._folder)
        while place >= 0:
            self._make(self._folder + "/" + path[:place])
            place = path.find("/", place + 1)
        full = self._folder + "/" + path
        if self._files.size(full) >= 0:
            return False
        self._file = self._files.open(full, "wb")
        return True

    def write(self, data: bytes) -> None:
        if self._file is not None:
            write_all(self._file, data)

    def end(self) -> None:
        """The file is complete, or given up."""
        file = self._file
        self._file = None
        if file is not None:
            file.close()

    def _make(self, folder: str) -> None:
        if folder in self._made:
            return
        if self._files.size(folder) < 0:
            self._files.mkdir(folder)
        self._made.add(folder)


def write_all(file: "IO[bytes]", data: bytes) -> None:
    """OSError when the file system takes only a part."""
    if file.write(data) != len(data):
        raise OSError(_ENOSPC)


def reason_of(error: "OSError | MemoryError") -> str:
    """What the answer of a command says of it; no memory is error 12."""
    code = getattr(error, "errno", _ENOMEM)
    return "no room" if code == _ENOSPC else "file error %d" % (code or 0)
