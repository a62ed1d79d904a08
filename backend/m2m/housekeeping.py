"""What is due by time alone: commands that expire, records that are too old. One named task a process.

Both are decided under the rows' locks, so copies of the service may all do it.
"""

import asyncio

import structlog

from backend.m2m.lifecycle import EXPIRE_AT_ONCE, Lifecycle
from backend.m2m.retention import Retention

EVERY_S = 10.0  # how late an expiry is noted; a command is not sent after its time in any case


class Housekeeping:
    """See the module."""

    def __init__(self, *, lifecycle: Lifecycle, retention: Retention, every_s: float = EVERY_S):
        self._lifecycle = lifecycle
        self._retention = retention
        self._every_s = every_s
        self._log = structlog.get_logger(service="m2m")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run until `stop`."""
        self._task = asyncio.create_task(self._run(), name="m2m-housekeeping")

    async def stop(self) -> None:
        """Stop at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def turn(self) -> None:
        """End what is overdue, and purge the next devices."""
        while await self._lifecycle.expire() == EXPIRE_AT_ONCE:
            continue
        gone = await self._retention.step()
        if gone:
            self._log.info("records.purged", count=gone)

    async def _run(self) -> None:
        while True:
            try:
                await self.turn()
            except Exception as error:  # noqa: BLE001 - the database may be away; the task must outlive it
                self._log.error("housekeeping.failed", error=repr(error))
            await asyncio.sleep(self._every_s)
