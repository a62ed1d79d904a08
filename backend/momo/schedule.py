"""When reconciliation runs by itself: once a day for each provider, for the day before (UTC).

Every TICK_S (kit/repeating.py) it looks which days are due and not done. A day of before the first payment
is none; one that failed comes again (reconciliation.py, RETRY_MS) until it is LOOK_BACK days old, which a
provider's statement does not reach. A run that is cut off by a stop comes again when it counts as abandoned.
Copies of momo on one database share the slots: each day is made once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from backend.kit.database import Database
from backend.kit.errors import BackendError, Conflict
from backend.kit.runtime import Clock
from backend.momo.reconciliation import DAY_MS, SCHEDULED, Reconciliation, Span, whole_day
from backend.momo.store import Store

TICK_S = 60.0
LOOK_BACK = 2  # days; Daraja's list goes back 48 hours
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Plan:
    """`hour_utc`: from when on the day before is reconciled. providers: None for all; none: no runs."""

    hour_utc: int = 3
    providers: tuple[str, ...] | None = None
    settle: bool = True


class Schedule:
    """Runs what is due, one after the other."""

    def __init__(
        self, *, database: Database, clock: Clock, store: Store, reconciliation: Reconciliation, plan: Plan
    ):
        self._database = database
        self._clock = clock
        self._store = store
        self._reconciliation = reconciliation
        self._plan = plan
        self._first_ms: int | None = None
        self._log = structlog.get_logger(service="momo")

    async def tick(self) -> None:
        """Run everything that is due now."""
        for span in await self._due():
            try:
                await self._reconciliation.run(span, settle=self._plan.settle, each=True)
            except Conflict:
                continue  # another copy has it, or it failed a moment ago
            except BackendError as error:
                self._log.error(
                    "reconciliation.failed",
                    provider_key=span.provider_key,
                    day=span.slot,
                    error=error.detail,
                )

    async def _due(self) -> list[Span]:
        providers = self._reconciliation.providers
        if self._plan.providers is not None:
            providers = tuple(key for key in providers if key in self._plan.providers)
        days = await self._days()
        if not days or not providers:
            return []
        slots = [f"{SCHEDULED}{day}" for day in days]
        done = await self._database.read(lambda c: self._store.reconciliation.ended_slots(c, slots))
        return [
            whole_day(key, day, slot=f"{SCHEDULED}{day}")
            for day in days
            for key in providers
            if (key, f"{SCHEDULED}{day}") not in done
        ]

    async def _days(self) -> Sequence[int]:
        """Days since 1970 that are due: over for `hour_utc` hours, not too old, not before all payments."""
        if self._first_ms is None:
            self._first_ms = await self._database.read(self._store.first_made_ms)
        if self._first_ms is None:
            return ()
        last = (self._clock.now_ms() - self._plan.hour_utc * HOUR_MS) // DAY_MS - 1
        return range(max(self._first_ms // DAY_MS, last - LOOK_BACK + 1), last + 1)
