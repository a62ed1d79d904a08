"""A keypad on standard input: one entry a line in, one JSON object a line out (`payg device keypad`).

The controller is the firmware's own, its flash a file (or RAM). An answer is written after the state it
reports is durable, so whoever has read it may kill the process. With the manual clock a line that begins with
`+` is never an entry: it moves the clock, or is refused on standard error.
"""

import json
import os
import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from edge.flash_file import new_flash, open_device_flash
from firmware.answer import answer
from firmware.config import PREPAID_S, Config, ConfigError
from firmware.controller import Controller
from firmware.hal import Flash, Hal
from firmware.hal.unix import UnixHal
from firmware.store import Ring, StoreError

MAX_LINE = 256  # no entry is as long; the rest of a longer line is not kept
_READ_BYTES = 4096
MAX_MOVE_S = 100 * 366 * 86_400  # one move of the manual clock; a century is more than a device lives
_STEP_S = 12 * 86_400  # of a move: the controller takes one of 12.4 days for a counter that was misread


class KeypadError(ValueError):
    """An argument, or the store, makes no device, or it ended; the text says what to do."""


class ManualHal(Hal):
    """A clock that stands still until it is moved."""

    __slots__ = ("now_ms",)

    now_ms: int

    def ticks_ms(self) -> int:
        return self.now_ms


def run(
    *,
    family: str,
    secret_hex: str,
    starting_code: int | None,
    count: int | None,
    store: str | None,
    manual_clock: bool,
    stdin: TextIO | None,
    stdout: TextIO | None,
    stderr: TextIO,
) -> int:
    """Answer the entries of `stdin` until it ends; the exit status.

    `count` is the highest counter value the device has accepted (None: it accepted nothing). KeypadError
    before the first line is read, or when the store, or an input or output, fails.
    """
    if stdin is None or stdout is None:
        raise KeypadError(
            "the entries come on standard input and the answers go to standard output: open both"
        )
    prepaid_s = 0 if manual_clock else PREPAID_S  # nobody gains by ending a process whose time stands still
    config = _config(family, secret_hex, starting_code, count, prepaid_s)
    flash = _flash(config, store)
    try:
        shell = _shell(config, flash, store, stdout, stderr, manual_clock=manual_clock)
        for line in _lines(stdin, shell.wait_s):
            shell.take(line.strip())
        shell.end()
    except _NobodyReads:  # the state is stored
        pass
    except StoreError as error:
        raise KeypadError(str(error)) from None
    finally:
        flash.close()
    return 0


class _NobodyReads(Exception):
    """The reader of the answers is gone."""


class _Shell:
    """A controller between lines and answers."""

    def __init__(
        self, config: Config, flash: Flash, stdout: TextIO, stderr: TextIO, *, manual_clock: bool
    ) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._manual: ManualHal | None = None
        self._hal: Hal = UnixHal(Ring(flash))
        if manual_clock:
            self._hal = self._manual = ManualHal(Ring(flash))
            self._manual.now_ms = 0
        self._controller = Controller(config, self._hal)

    def wait_s(self) -> float | None:
        """Do what is due; how long there is nothing more to do."""
        return None if self._manual else self._controller.poll(self._hal.ticks_ms()) / 1000

    def take(self, line: str) -> None:
        """Move the clock, or answer an entry."""
        if self._manual is not None and line.startswith("+"):
            self._move(self._manual, line)
            return
        self._controller.poll(self._hal.ticks_ms())
        members = answer(self._controller, self._controller.entry(line, self._hal.ticks_ms()))
        self._controller.save()
        try:
            self._stdout.write(json.dumps(members) + "\n")
            self._stdout.flush()
        except OSError as error:
            _forget(self._stdout)
            if isinstance(error, BrokenPipeError):
                raise _NobodyReads from None
            raise KeypadError(f"cannot write the answer: {error.strerror}; the state is stored") from None

    def end(self) -> None:
        """Store the state."""
        self._controller.poll(self._hal.ticks_ms())
        self._controller.save()

    def _move(self, hal: ManualHal, line: str) -> None:
        move_s = _move_s(line)
        if move_s is None:
            self._stderr.write(
                f"payg: {line[:20]!r} moves no clock: write + and whole seconds up to {MAX_MOVE_S}\n"
            )
            return
        while move_s:
            step_s = min(move_s, _STEP_S)
            move_s -= step_s
            hal.now_ms += step_s * 1000
            self._controller.poll(hal.now_ms)
        self._controller.save()


def _forget(stdout: TextIO) -> None:
    """Drop what could not be written, so that the interpreter does not try again when it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stdout.fileno())
        os.close(nowhere)


def _lines(stdin: TextIO, wait_s: Callable[[], float | None]) -> Iterator[str]:
    """The lines of `stdin`. While none comes, `wait_s` lets the device do what is due, and says for how long
    there is nothing more to do (None: for ever)."""
    try:
        descriptor = stdin.fileno()
    except OSError:  # not a file: a test's text
        yield from stdin
        return
    rest = b""
    while True:
        if not select.select([descriptor], [], [], wait_s())[0]:
            continue
        try:
            data = os.read(descriptor, _READ_BYTES)
        except OSError as error:
            raise KeypadError(f"cannot read standard input: {error.strerror}") from None
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode("ascii", "replace")  # a byte that is no ASCII is no digit either
        rest = rest[:MAX_LINE]
        if not data:
            if rest:
                yield rest.decode("ascii", "replace")
            return


def _config(
    family: str, secret_hex: str, starting_code: int | None, count: int | None, prepaid_s: int
) -> Config:
    try:
        secret = bytes.fromhex(secret_hex)
    except ValueError:
        raise KeypadError("the secret must be hex: an even number of the digits 0-9 and a-f") from None
    if count is not None and count < 0:
        raise KeypadError("the count must not be negative: it is the last counter value that was accepted")
    last_count = -1 if count is None else count
    try:
        return Config(
            serial="keypad",
            family=family,
            secret=secret,
            starting_code=starting_code,
            last_count=last_count,
            prepaid_s=prepaid_s,
        )
    except ConfigError as error:
        raise KeypadError(str(error)) from None


def _shell(
    config: Config, flash: Flash, store: str | None, stdout: TextIO, stderr: TextIO, *, manual_clock: bool
) -> _Shell:
    try:
        return _Shell(config, flash, stdout, stderr, manual_clock=manual_clock)
    except StoreError as error:
        raise KeypadError(f"{store}: {error}; name another file with --store") from None


def _flash(config: Config, store: str | None) -> Flash:
    try:
        if store is not None:
            return open_device_flash(Path(store), config, durable=True, may_provision=True)
    except StoreError as error:
        raise KeypadError(str(error)) from None
    except OSError as error:
        raise KeypadError(
            f"cannot use the store {store}: {error.strerror}; name another with --store"
        ) from None
    return new_flash(config)


def _move_s(entry: str) -> int | None:
    """The seconds of a line like `+3600`; None for any other line."""
    digits = entry[1:]
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 10:
        return None
    return int(digits) if int(digits) <= MAX_MOVE_S else None
