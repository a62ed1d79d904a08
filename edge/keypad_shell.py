"""A keypad on standard input: one entry a line in, one JSON object a line out (`payg device keypad`).

The controller is the firmware's own, its flash a file (or RAM). An answer is written after the state it
reports is durable, so whoever has read it may kill the process.
"""

import json
import os
import select
from collections.abc import Callable, Iterator
from typing import TextIO

from firmware.answer import answer
from firmware.config import Config, ConfigError
from firmware.controller import Controller
from firmware.hal import Hal
from firmware.hal.unix import UnixHal, blank_flash, open_flash
from firmware.state import provision
from firmware.store import StoreError

MAX_LINE = 256  # no entry is as long; the rest of a longer line is not kept
_READ_BYTES = 4096
MAX_MOVE_S = 100 * 366 * 86_400  # one move of the manual clock; a century is more than a device lives


class KeypadError(ValueError):
    """An argument, or the store, makes no device; the text says what to do instead."""


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
    stdin: TextIO,
    stdout: TextIO,
) -> int:
    """Answer the entries of `stdin` until it ends; the exit status.

    `count` is the highest counter value the device has accepted (None: it accepted nothing). KeypadError
    before the first line is read.
    """
    config = _config(family, secret_hex, starting_code, count)
    controller, hal = _open(config, store, manual_clock=manual_clock)
    for line in _lines(stdin, lambda: None if manual_clock else controller.poll(hal.ticks_ms()) / 1000):
        entry = line.strip()
        move_s = _move_s(entry) if isinstance(hal, ManualHal) else None
        if move_s is not None and isinstance(hal, ManualHal):
            hal.now_ms += move_s * 1000
            controller.poll(hal.now_ms)
            controller.save()
            continue
        controller.poll(hal.ticks_ms())
        members = answer(controller, controller.entry(entry, hal.ticks_ms()))
        controller.save()
        try:
            stdout.write(json.dumps(members) + "\n")
            stdout.flush()
        except BrokenPipeError:  # nobody reads the answers any more; the state is stored
            break
    controller.poll(hal.ticks_ms())
    controller.save()
    return 0


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
        data = os.read(descriptor, _READ_BYTES)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode("ascii", "replace")  # a byte that is no ASCII is no digit either
        rest = rest[:MAX_LINE]
        if not data:
            if rest:
                yield rest.decode("ascii", "replace")
            return


def _config(family: str, secret_hex: str, starting_code: int | None, count: int | None) -> Config:
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
        )
    except ConfigError as error:
        raise KeypadError(str(error)) from None


def _open(config: Config, store: str | None, *, manual_clock: bool) -> tuple[Controller, Hal]:
    try:
        if store is None:
            flash = blank_flash()
            provision(config, flash)
        else:
            flash = open_flash(store, config, True)
        hal = UnixHal(flash)
        if manual_clock:
            hal = ManualHal(flash)
            hal.now_ms = 0
        return Controller(config, hal), hal
    except StoreError as error:
        raise KeypadError(f"{error}; name another file with --store, or remove this one") from None
    except OSError as error:
        raise KeypadError(f"cannot use the store {store}: {error.strerror}") from None


def _move_s(entry: str) -> int | None:
    """The seconds of a line like `+3600`; None for any other line."""
    digits = entry[1:]
    if not entry.startswith("+") or not (digits.isascii() and digits.isdigit()) or len(digits) > 10:
        return None
    return int(digits) if int(digits) <= MAX_MOVE_S else None
