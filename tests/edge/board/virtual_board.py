"""A virtual board as a process of its own, as `payg board virtual` starts it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.scenarios.up_process import PAYG

HEAP = "96wK"
Json = dict[str, Any]


class VirtualBoard:
    """The process; `port` is what it printed. What the board says is read line by line."""

    def __init__(self, image: Path, heap: str = HEAP):
        self._image = image
        self._heap = heap
        self._process: asyncio.subprocess.Process | None = None
        self.port = ""
        self.said: list[str] = []

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(str(PAYG), "board", "virtual", "--image", str(self._image), "--heap", self._heap),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self.port = (await self.line()).removeprefix("port: ")
        await self.line()  # the prompt's banner, or the firmware's first line

    async def line(self, timeout_s: float = 30) -> str:
        """The next line that it prints on its terminal."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(timeout_s):
            line = await self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the board ended; it said {self.said[-20:]}")
        self.said.append(line.decode().rstrip())
        return self.said[-1]

    async def until(self, timeout_s: float = 60, **wanted: object) -> Json:
        """The first JSON line in which all `wanted` members have these values."""
        async with asyncio.timeout(timeout_s):
            while True:
                _, brace, rest = (await self.line(timeout_s)).partition("{")
                try:
                    said = json.loads(brace + rest)
                except ValueError:
                    continue
                if all(said.get(name) == value for name, value in wanted.items()):
                    return said

    async def type_keys(self, keys: str) -> Json:
        """What the controller answers to an entry."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{keys}\n".encode())
        while "result" not in (said := await self.until()):
            continue
        return said

    async def cut_power(self) -> None:
        """SIGKILL for the supervisor and the interpreter at once."""
        self.kill()
        assert self._process is not None
        await self._process.wait()

    def kill(self) -> None:
        """Do not wait for the end."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()


@asynccontextmanager
async def powered(image: Path, heap: str = HEAP) -> AsyncIterator[VirtualBoard]:
    """A board that is on, and off at the end."""
    board = VirtualBoard(image, heap)
    await board.start()
    try:
        yield board
    finally:
        await board.cut_power()
