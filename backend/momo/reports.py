"""What operators see of reconciliation: runs with their reports, differences, and the closing of one."""

from collections.abc import Sequence

import msgspec

from backend.kit.database import Database
from backend.kit.errors import NotFound
from backend.kit.runtime import Clock, iso
from backend.momo.reconciliation import SCHEDULED
from backend.momo.reconciliation_store import DifferenceRow, RunRow
from backend.momo.schemas import (
    Difference,
    DifferencePage,
    DifferenceView,
    ReconciliationReport,
    RunPage,
    RunView,
)
from backend.momo.store import Store


class Reports:
    """A part of the service, as `Inbound` is. `providers`: those that the caller may see."""

    def __init__(self, *, database: Database, clock: Clock, store: Store):
        self._database = database
        self._clock = clock
        self._store = store.reconciliation

    async def runs(self, providers: Sequence[str], *, before: int, limit: int) -> RunPage:
        """A page of runs, newest first."""
        rows = await self._database.read(
            lambda c: self._store.list_runs(c, providers=providers, before=before, limit=limit)
        )
        return RunPage([_run(row) for row in rows], rows[-1].id if len(rows) == limit else None)

    async def run(self, providers: Sequence[str], run_id: int) -> RunView:
        """A run with its report. NotFound: no such run."""
        row = await self._database.read(lambda connection: self._store.run(connection, run_id))
        if row is None or row.provider_key not in providers:
            raise NotFound("no such run")
        report = None if row.report is None else msgspec.json.decode(row.report, type=ReconciliationReport)
        return msgspec.structs.replace(_run(row), report=report)

    async def differences(
        self, providers: Sequence[str], *, state: str | None, before: int, limit: int
    ) -> DifferencePage:
        """A page of differences, newest first."""
        rows = await self._database.read(
            lambda c: self._store.list_differences(
                c, providers=providers, state=state, before=before, limit=limit
            )
        )
        following = rows[-1].id if len(rows) == limit else None
        return DifferencePage([_difference(row) for row in rows], following)

    async def close(
        self, providers: Sequence[str], difference_id: int, *, by: str, reason: str
    ) -> DifferenceView:
        """An operator has dealt with an open difference. NotFound: none is open under that id."""
        now_ms = self._clock.now_ms()
        row = await self._database.write(
            lambda c: self._store.close(
                c, difference_id, providers=providers, by=by, reason=reason, now_ms=now_ms
            )
        )
        if row is None:
            raise NotFound("no open difference has this id")
        return _difference(row)


def _run(row: RunRow) -> RunView:
    return RunView(
        id=row.id,
        provider_key=row.provider_key,
        since=iso(row.first_ms),
        until=iso(row.last_ms),
        state=row.state,
        scheduled=row.slot.startswith(SCHEDULED),
        started_at=iso(row.started_at_ms),
        ended_at=None if row.ended_at_ms is None else iso(row.ended_at_ms),
        attempts=row.attempts,
        error=row.error,
    )


def _difference(row: DifferenceRow) -> DifferenceView:
    return DifferenceView(
        id=row.id,
        provider_key=row.provider_key,
        kind=row.kind,
        state=row.state,
        found_at=iso(row.found_at_ms),
        seen_at=iso(row.seen_at_ms),
        ended_at=None if row.ended_at_ms is None else iso(row.ended_at_ms),
        closed_by=row.closed_by,
        closed_reason=row.closed_reason,
        difference=msgspec.json.decode(row.difference, type=Difference),
    )
