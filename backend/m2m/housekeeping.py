"""What is due by time alone: commands that expire, records that are too old (kit/repeating.py runs it).

Both are decided under the rows' locks, so copies of the service may all do it.
"""

import structlog

from backend.m2m.lifecycle import EXPIRE_AT_ONCE, Lifecycle
from backend.m2m.retention import Retention

EVERY_S = 10.0  # how late an expiry is noted; a command is not sent after its time in any case


class Housekeeping:
    """What is done every EVERY_S."""

    def __init__(self, *, lifecycle: Lifecycle, retention: Retention):
        self._lifecycle = lifecycle
        self._retention = retention
        self._log = structlog.get_logger(service="m2m")

    async def turn(self) -> None:
        """End what is overdue, and purge the next devices."""
        while await self._lifecycle.expire() == EXPIRE_AT_ONCE:
            continue
        gone = await self._retention.step()
        if gone:
            self._log.info("records.purged", count=gone)
