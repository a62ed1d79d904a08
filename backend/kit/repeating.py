"""Work that is due by time alone: one named task a process, which outlives whatever goes wrong in a turn.

A turn that fails is logged and comes again after the usual pause: the database may be away, or have a row
that a defect of ours stumbles over. What is due by a commit is the dispatcher's instead (dispatcher.py).
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from backend.kit.errors import BackendError


class Repeating:
    """Runs `turn`, pauses for `every_s`, and so on. `name` is the task's, and how its log line begins."""

    def __init__(self, turn: Callable[[], Awaitable[None]], *, every_s: float, service: str, name: str):
        self._turn = turn
        self._every_s = every_s
        self._service = service
        self._name = name
        self._logger = structlog.get_logger(service=service)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """The first turn begins at once."""
        self._task = asyncio.create_task(self._run(), name=f"{self._service}-{self._name}")

    async def stop(self) -> None:
        """Stop at once, in the middle of a turn too."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._turn()
            except BackendError as error:
                self._logger.error(f"{self._name}.failed", error=error.detail)
            except Exception as error:
                self._logger.error(f"{self._name}.failed", error=repr(error), exc_info=True)
            await asyncio.sleep(self._every_s)
