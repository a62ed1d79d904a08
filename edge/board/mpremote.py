"""A board on a serial port, through stock mpremote: every call is a process of its own.

`resume` everywhere: no soft reset, which would stop the timer that feeds a watchdog that runs. The firmware
gives way to the Ctrl-C with which mpremote begins; `probe` makes it give back its memory, `reset` starts it
again.
"""

import asyncio
import contextlib
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.board import scripts
from edge.board.errors import BoardError, BoardGone, NoPort, NotMicroPython, OutOfMemory, PortBusy, WrongBoard
from firmware.image import arch_of

PROBE_TIMEOUT_S = 8.0  # a board answers within one second
_PROBES = 3  # what is sent while a board restarts is lost
_START_S = 15.0  # of any other call: mpremote itself gives up after 10 s where it can
SCRIPT_TIMEOUT_S = 120.0  # hashing 70 files on an RP2040 takes 10 s
SLOWEST_BYTES_S = 1_000  # of a copy: 115200 baud, in hexadecimal, to flash that is being erased
_RESTART_S = 1.5  # mpremote's reset waits 0.1 s; then a USB port is away for about a second
_MAX_LINES = 2_000  # of output that are kept; a listing has about a hundred
_LOOK = "`mpremote connect list` names those there are"
_MPY_VERSION = 6
_MPY_SUB_VERSION = 3  # of native code: MicroPython 1.23 and later

OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What answers on the port. `arch` is mpy-cross's name of what it runs."""

    arch: str
    platform: str
    version: str


class Board:
    """The board on `port`. Every method raises a BoardError that says what to do."""

    def __init__(self, port: str, *, probe_timeout_s: float = PROBE_TIMEOUT_S):
        self.port = port
        self._probe_timeout_s = probe_timeout_s

    async def probe(self) -> Interpreter:
        """Who is there. NoPort, PortBusy, NotMicroPython; WrongBoard for another Python."""
        self._check_port()
        lines: list[str] = []
        for _ in range(_PROBES):
            with contextlib.suppress(BoardGone):
                lines = await self._ask()
            if lines:
                break
        return interpreter_of(self.port, lines)

    async def _ask(self) -> list[str]:
        """The answer to PROBE; nothing from a board that had no memory left for it and was restarted."""
        try:
            return await self._answers(scripts.PROBE, self._probe_timeout_s)
        except OutOfMemory:
            await self._mpremote(["soft-reset"], self._probe_timeout_s)
            return []

    async def run(self, script: str, on_line: OnLine | None = None) -> list[str]:
        """What a program of scripts.py answers, line by line. BoardError when it fails there."""
        return await self._answers(script, SCRIPT_TIMEOUT_S, on_line)

    async def copy(self, files: Sequence[tuple[Path, str]], on_file: Callable[[int], None]) -> None:
        """Copy files to paths on the board; `on_file` gets the index of each as it begins."""
        arguments: list[str] = []
        for source, target in files:
            arguments += ["+", "fs", "cp", str(source), f":{target}"]
        size = sum(source.stat().st_size for source, _ in files)
        begun = 0

        def on_line(line: str) -> None:
            nonlocal begun
            if line.startswith("cp "):
                on_file(begun)
                begun += 1

        await self._mpremote(arguments[1:], _START_S + size / SLOWEST_BYTES_S, on_line)

    async def reset(self) -> None:
        """Start the board anew and wait until it is back: what talks to it at once stops the restart."""
        await self._mpremote(["reset"], _START_S)
        await asyncio.sleep(_RESTART_S)

    async def _answers(self, script: str, timeout_s: float, on_line: OnLine | None = None) -> list[str]:
        found: list[str] = []

        def sift(line: str) -> None:
            _, mark, answer = line.partition(scripts.MARK)
            if mark:
                found.append(answer.strip())
                if on_line is not None:
                    on_line(found[-1])

        await self._mpremote(["exec", script], timeout_s, sift)
        return found

    async def _mpremote(
        self, arguments: Sequence[str], timeout_s: float, on_line: OnLine | None = None
    ) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", "-m", "mpremote", "connect", self.port, "resume", *arguments),
            stdout=PIPE,
            stderr=STDOUT,
        )
        try:
            async with asyncio.timeout(timeout_s):
                said = await _follow(process, on_line)
                code = await process.wait()
        except TimeoutError:
            raise BoardGone(f"the board on {self.port} stopped answering") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code:
            raise self._error(said)

    def _check_port(self) -> None:
        try:
            port = os.open(self.port, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
        except PermissionError:
            raise PortBusy(f"{self.port} cannot be opened: may this user use serial ports?") from None
        except FileNotFoundError:
            raise NoPort(f"there is no port {self.port}: plug the board in; {_LOOK}") from None
        except OSError as error:
            raise NoPort(f"{self.port} cannot be opened: {error.strerror}; {_LOOK}") from None
        try:
            if not os.isatty(port):
                raise NoPort(f"{self.port} is not a serial port; {_LOOK}")
        finally:
            os.close(port)

    def _error(self, said: list[str]) -> BoardError:
        """What the output of a failed mpremote means."""
        last = next((line.strip() for line in reversed(said) if line.strip()), "it says nothing")
        text = "\n".join(said)
        if "failed to access" in text:
            return PortBusy(f"{self.port} is in use by another program: close it and try again")
        if "could not enter raw repl" in text or "SerialException" in text:
            return BoardGone(f"the board on {self.port} stopped answering")
        if "MemoryError" in text:
            return OutOfMemory(f"the board on {self.port} is out of memory: reset it and try again")
        if re.search(r"OSError: .*(\b28\b|ENOSPC)", text):
            return BoardError(f"the file system of the board on {self.port} is full")
        return BoardError(f"the board on {self.port} refused: {last}")


def interpreter_of(port: str, lines: Sequence[str]) -> Interpreter:
    """What the answer to scripts.PROBE says. NotMicroPython; WrongBoard for one that can't run a build."""
    if not lines:
        raise NotMicroPython(
            f"nothing on {port} answers as MicroPython does: install MicroPython 1.23 or later on the board,"
            " and check the cable"
        )
    name, mpy, platform, version = lines[-1].split()
    if name != "micropython":
        raise WrongBoard(f"{port} runs {name} {version}; the firmware needs MicroPython 1.23 or later")
    code = int(mpy)
    if code < 0 or code & 0xFF != _MPY_VERSION or code >> 8 & 3 != _MPY_SUB_VERSION:
        raise WrongBoard(
            f"MicroPython {version} on {port} does not load .mpy files of version"
            f" {_MPY_VERSION}.{_MPY_SUB_VERSION}: install 1.23 or later"
        )
    return Interpreter(arch_of(code), platform, version)


async def _follow(process: Process, on_line: OnLine | None) -> list[str]:
    said: list[str] = []
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    while line := await process.stdout.readline():
        text = line.decode(errors="replace").rstrip()
        if len(said) < _MAX_LINES:
            said.append(text)
        if on_line is not None:
            on_line(text)
    return said
