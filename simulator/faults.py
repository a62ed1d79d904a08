"""Faults on purpose: die at a named step of the path, as a power cut of the whole machine would.

A step is "NAME.METHOD:before" or "NAME.METHOD:after" of a port between two rooms (world.py names them), or a
step that a part reports itself. `PAYG_UP_DIE_AT=moto.order:after` makes `payg up` kill itself with SIGKILL
when that step is reached; `PAYG_UP_STEPS=FILE` writes down each step as it is first reached.
"""

import functools
import inspect
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar, cast

Port = TypeVar("Port")


def die() -> None:
    """End this process as a power cut would: nothing is flushed, nothing is closed."""
    os.kill(os.getpid(), signal.SIGKILL)


class Faults:
    """Knows where to die, and remembers which steps were reached."""

    def __init__(
        self, *, die_at: str | None = None, steps_file: Path | None = None, die: Callable[[], None] = die
    ):
        self._die_at = die_at
        self._steps_file = steps_file
        self._die = die
        self._seen: set[str] = set()

    def reached(self, step: str) -> None:
        """The path is at `step`."""
        if step == self._die_at:
            self._die()
        if self._steps_file is not None and step not in self._seen:
            self._seen.add(step)
            with self._steps_file.open("a") as file:
                file.write(step + "\n")

    def tap(self, port: Port, name: str) -> Port:
        """`port`, reporting "NAME.METHOD:before" and ":after" for each asynchronous method called on it."""
        return cast(Port, _Tap(port, name, self))


class _Tap:
    def __init__(self, port: object, name: str, faults: Faults):
        self._port = port
        self._name = name
        self._faults = faults

    def __getattr__(self, method: str) -> object:
        found = getattr(self._port, method)
        if not inspect.iscoroutinefunction(found):
            return found

        call = cast("Callable[..., Awaitable[object]]", found)

        @functools.wraps(call)
        async def reporting(*args: object, **kwargs: object) -> object:
            self._faults.reached(f"{self._name}.{method}:before")
            result = await call(*args, **kwargs)
            self._faults.reached(f"{self._name}.{method}:after")
            return result

        return reporting
