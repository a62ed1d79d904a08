"""Faults on purpose: die at a named step of the path, as a power cut of the whole machine would.

A step is "NAME.METHOD:before" or ":after" of a port between two rooms (world.py names them); of HTTP to
others it is "NAME.POST.requesttopay:before", the last word of the path. `PAYG_UP_DIE_AT=tokens.order:after`
makes `payg up` kill itself with SIGKILL when that step is reached, `...:after@5` at the fifth time;
`PAYG_UP_STEPS_FILE=FILE` writes down each step as it is first reached.
"""

import functools
import inspect
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast
from urllib.parse import urlsplit

from backend.kit.http import NO_HEADERS, HttpAnswer, HttpClient

Port = TypeVar("Port")


def die() -> None:
    """End this process as a power cut would: nothing is flushed, nothing is closed."""
    os.kill(os.getpid(), signal.SIGKILL)


class Faults:
    """Knows where to die, and remembers which steps were reached."""

    def __init__(
        self, *, die_at: str | None = None, steps_file: Path | None = None, die: Callable[[], None] = die
    ):
        step, _, times = (die_at or "").partition("@")
        self._die_at = step
        self._die_left = int(times or 1)
        self._steps_file = steps_file
        self._die = die
        self._seen: set[str] = set()

    def reached(self, step: str) -> None:
        """The path is at `step`."""
        if step == self._die_at:
            self._die_left -= 1
            if self._die_left == 0:
                self._die()
        if self._steps_file is not None and step not in self._seen:
            self._seen.add(step)
            with self._steps_file.open("a") as file:
                file.write(step + "\n")

    def tap(self, port: Port, name: str) -> Port:
        """`port`, reporting "NAME.METHOD:before" and ":after" for each asynchronous method called on it."""
        return cast(Port, _Tap(port, name, self))

    def tap_http(self, http: HttpClient, name: str) -> HttpClient:
        """`http`, reporting each request as a step."""
        return _HttpTap(http, name, self)


class _HttpTap:
    def __init__(self, http: HttpClient, name: str, faults: Faults):
        self._http = http
        self._name = name
        self._faults = faults

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes = b"",
        timeout_s: float = 10.0,
    ) -> HttpAnswer:
        words = [part for part in urlsplit(url).path.split("/") if part.isalpha()]
        step = f"{self._name}.{method}.{words[-1] if words else ''}"
        self._faults.reached(f"{step}:before")
        answer = await self._http.request(method, url, headers=headers, body=body, timeout_s=timeout_s)
        self._faults.reached(f"{step}:after")
        return answer


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
