"""What a virtual board runs first: it mounts its flash and does what a board's own start code does.

MicroPython executes it as a script, `micropython -i virtual_start.py IMAGE MODE`; virtual.py starts that,
and after it comes the REPL. MODE is `run`, or `raw` after a soft reset in the raw REPL, where boards leave
main.py out. Nothing of the host's files is in reach of the programs on the board.
"""

os = __import__("os")  # by name, for these are MicroPython's own and hosts have others
sys = __import__("sys")
vfs = __import__("vfs")
BLOCK = 4096
_BLOCK_COUNT = 4  # operations of MicroPython's block device protocol
_BLOCK_SIZE = 5


class FileFlash:
    """Flash in a file, for littlefs. A write is with the host when it returns, so a killed board keeps it."""

    def __init__(self, path: str):
        self._file = open(path, "r+b", 0)  # noqa: SIM115 - for as long as the board runs
        self._blocks = self._file.seek(0, 2) // BLOCK

    def is_blank(self) -> bool:
        """Whether nothing was ever written to its first block."""
        self._file.seek(0)
        return self._file.read(BLOCK) == b"\xff" * BLOCK

    def readblocks(self, block: int, buf: bytearray, offset: int = 0) -> None:
        self._file.seek(block * BLOCK + offset)
        self._file.readinto(buf)

    def writeblocks(self, block: int, buf: bytearray, offset: int = 0) -> None:
        self._file.seek(block * BLOCK + offset)
        self._file.write(buf)

    def ioctl(self, op: int, _: int) -> int:
        if op == _BLOCK_COUNT:
            return self._blocks
        return BLOCK if op == _BLOCK_SIZE else 0


class Machine:
    """The unix port's module `machine`, with the reset that it lacks."""

    def __init__(self, of_port: object):
        self._of_port = of_port

    def __getattr__(self, name: str) -> object:
        return getattr(self._of_port, name)

    def reset(self) -> None:
        """Like a pulled plug: nothing is closed, nothing is told. virtual.py starts the board again."""
        os.system("kill -9 $PPID")  # there is no other way out of this interpreter


def mount(path: str) -> None:
    """Make the image the root. Only a blank one is formatted: a damaged one must not lose its counters."""
    flash = FileFlash(path)
    vfs.umount("/")  # first: who finds no littlefs must not find the host's files instead
    if flash.is_blank():
        vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/")
    os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv[:] = []


def execute(path: str) -> None:
    """Run a program of the board as its start code does: an error is printed, an exit is a reset."""
    try:
        with open(path) as file:
            program = file.read()
    except OSError:
        return
    try:
        exec(program, {"__name__": "__main__"})  # noqa: S102 - that is what it is for
    except SystemExit:
        sys.modules["machine"].reset()
    except BaseException as error:  # noqa: BLE001 - an error of a program leaves the prompt
        sys.print_exception(error)


image, mode = sys.argv[1:]
mount(image)
sys.modules["machine"] = Machine(__import__("machine"))
execute("boot.py")
if mode == "run":
    execute("main.py")
