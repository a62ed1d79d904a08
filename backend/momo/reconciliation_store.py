"""All SQL of reconciliation: its runs with their reports, and the differences that were found.

    run         running -> done or failed; a failed or abandoned one of a slot may be taken up again
    difference  open -> resolved (a later run does not find it any more), or closed by an operator;
                found again after that, a resolved one is open again, a closed one stays closed

A difference is one row for ever, by provider key, kind and subject: however many runs see it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    RowMapping,
    Table,
    Text,
    and_,
    or_,
    select,
    update,
)

from backend.kit.rows import id_column, insert_into

RUNNING, DONE, FAILED = "running", "done", "failed"
OPEN, RESOLVED, CLOSED = "open", "resolved", "closed"
MAX_OPEN = 10_000  # open differences of a provider that a run looks at again
MAX_NAMES = 500  # in one statement

Subject = tuple[str, str]  # kind (comparison.py) and what it is about


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants to run: `slot` is unique for a provider; one that is there may be taken up again."""

    provider_key: str
    slot: str
    first_ms: int
    last_ms: int
    now_ms: int
    retry_before_ms: int  # a failed run that began before may be made again
    abandoned_before_ms: int  # a running one that began before died with its process


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run; `report` and `error` in JSON and words, when it has ended."""

    id: int
    provider_key: str
    slot: str
    first_ms: int
    last_ms: int
    state: str
    started_at_ms: int
    ended_at_ms: int | None
    attempts: int
    error: str | None
    report: str | None


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """A difference; `difference` and `line` in JSON."""

    id: int
    provider_key: str
    kind: str
    subject: str
    state: str
    found_at_ms: int
    seen_at_ms: int
    ended_at_ms: int | None
    closed_by: str | None
    closed_reason: str | None
    difference: str
    line: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A difference that a run has found."""

    kind: str
    subject: str
    difference: str
    line: str | None


@dataclass(frozen=True, slots=True)
class Noted:
    """Of what a run has found: what is new, or was resolved and is back; and what an operator has closed."""

    new: set[Subject]
    closed: set[Subject]


class ReconciliationStore:
    """Its tables, in the MetaData of momo."""

    def __init__(self, metadata: MetaData):
        self.runs = Table(
            "reconciliation_runs",
            metadata,
            id_column(),
            Column("provider_key", Text, nullable=False),
            Column("slot", Text, nullable=False),
            Column("first_ms", BigInteger, nullable=False),
            Column("last_ms", BigInteger, nullable=False),
            Column("state", Text, nullable=False),
            Column("started_at_ms", BigInteger, nullable=False),
            Column("ended_at_ms", BigInteger),
            Column("attempts", Integer, nullable=False),
            Column("error", Text),
            Column("report", Text),
            Index("reconciliation_runs_slot", "provider_key", "slot", unique=True),
        )
        self.differences = Table(
            "reconciliation_differences",
            metadata,
            id_column(),
            Column("provider_key", Text, nullable=False),
            Column("kind", Text, nullable=False),
            Column("subject", Text, nullable=False),
            Column("state", Text, nullable=False),
            Column("found_at_ms", BigInteger, nullable=False),
            Column("seen_at_ms", BigInteger, nullable=False),
            Column("ended_at_ms", BigInteger),
            Column("closed_by", Text),
            Column("closed_reason", Text),
            Column("difference", Text, nullable=False),
            Column("line", Text),
            Index("reconciliation_differences_subject", "provider_key", "kind", "subject", unique=True),
            Index("reconciliation_differences_state", "provider_key", "state"),
        )

    def claim(self, connection: Connection, claim: Claim) -> int | None:
        """The id of the run, now ours; None: it is done, or in other hands."""
        table = self.runs
        statement = insert_into(connection.dialect.name, table).values(
            provider_key=claim.provider_key,
            slot=claim.slot,
            first_ms=claim.first_ms,
            last_ms=claim.last_ms,
            state=RUNNING,
            started_at_ms=claim.now_ms,
            attempts=1,
        )
        again = statement.on_conflict_do_update(
            index_elements=["provider_key", "slot"],
            set_={"state": RUNNING, "started_at_ms": claim.now_ms, "attempts": table.c.attempts + 1},
            where=or_(
                and_(table.c.state == FAILED, table.c.started_at_ms <= claim.retry_before_ms),
                and_(table.c.state == RUNNING, table.c.started_at_ms <= claim.abandoned_before_ms),
            ),
        )
        return connection.execute(again.returning(table.c.id)).scalar()

    def end(
        self, connection: Connection, run_id: int, *, report: str | None, error: str | None, now_ms: int
    ) -> None:
        """A run is done, with its report, or has failed."""
        values = {"report": report, "error": error, "ended_at_ms": now_ms}
        state = DONE if error is None else FAILED
        connection.execute(update(self.runs).where(self.runs.c.id == run_id).values(state=state, **values))

    def ended_slots(self, connection: Connection, slots: Sequence[str]) -> set[tuple[str, str]]:
        """(provider key, slot) of the runs that are done."""
        table = self.runs
        statement = select(table.c.provider_key, table.c.slot).where(
            table.c.slot.in_(slots), table.c.state == DONE
        )
        return {(str(key), str(slot)) for key, slot in connection.execute(statement)}

    def run(self, connection: Connection, run_id: int) -> RunRow | None:
        """One run."""
        row = connection.execute(select(self.runs).where(self.runs.c.id == run_id)).mappings().first()
        return None if row is None else _run(row)

    def list_runs(
        self, connection: Connection, *, providers: Sequence[str], before: int, limit: int
    ) -> list[RunRow]:
        """Runs of some providers, newest first; `before` is the id of the last one of the page before."""
        table = self.runs
        statement = select(table).where(table.c.provider_key.in_(providers), table.c.id < before)
        rows = connection.execute(statement.order_by(table.c.id.desc()).limit(limit)).mappings()
        return [_run(row) for row in rows]

    def open_differences(self, connection: Connection, provider_key: str) -> list[DifferenceRow]:
        """What is open of a provider, oldest first."""
        table = self.differences
        statement = (
            select(table)
            .where(table.c.provider_key == provider_key, table.c.state == OPEN)
            .order_by(table.c.id)
            .limit(MAX_OPEN)
        )
        return [_difference(row) for row in connection.execute(statement).mappings()]

    def list_differences(
        self,
        connection: Connection,
        *,
        providers: Sequence[str],
        state: str | None,
        before: int,
        limit: int,
    ) -> list[DifferenceRow]:
        """Differences of some providers, newest first; paged as runs are."""
        table = self.differences
        statement = select(table).where(table.c.provider_key.in_(providers), table.c.id < before)
        if state is not None:
            statement = statement.where(table.c.state == state)
        rows = connection.execute(statement.order_by(table.c.id.desc()).limit(limit)).mappings()
        return [_difference(row) for row in rows]

    def note(self, connection: Connection, provider_key: str, seen: Sequence[Seen], now_ms: int) -> Noted:
        """Write what a run has found."""
        states = self._states(connection, provider_key, seen)
        rows = [
            {
                "provider_key": provider_key,
                "kind": str(each.kind),
                "subject": each.subject,
                "state": OPEN,
                "found_at_ms": now_ms,
                "seen_at_ms": now_ms,
                "difference": each.difference,
                "line": each.line,
            }
            for each in seen
            if states.get((each.kind, each.subject)) != CLOSED
        ]
        if rows:
            self._put(connection, rows)
        subjects = {(each.kind, each.subject) for each in seen}
        return Noted(
            new={subject for subject in subjects if states.get(subject) in (None, RESOLVED)},
            closed={subject for subject in subjects if states.get(subject) == CLOSED},
        )

    def resolve(self, connection: Connection, ids: Collection[int], now_ms: int) -> None:
        """Open differences that are no more."""
        table = self.differences
        wanted = sorted(ids)
        for start in range(0, len(wanted), MAX_NAMES):
            some = wanted[start : start + MAX_NAMES]
            statement = update(table).where(table.c.id.in_(some), table.c.state == OPEN)
            connection.execute(statement.values(state=RESOLVED, ended_at_ms=now_ms))

    def close(
        self,
        connection: Connection,
        difference_id: int,
        *,
        providers: Sequence[str],
        by: str,
        reason: str,
        now_ms: int,
    ) -> DifferenceRow | None:
        """An operator has dealt with an open difference; None: there is none of that id."""
        table = self.differences
        statement = (
            update(table)
            .where(table.c.id == difference_id, table.c.state == OPEN, table.c.provider_key.in_(providers))
            .values(state=CLOSED, ended_at_ms=now_ms, closed_by=by, closed_reason=reason)
            .returning(table)
        )
        row = connection.execute(statement).mappings().first()
        return None if row is None else _difference(row)

    def _states(
        self, connection: Connection, provider_key: str, seen: Sequence[Seen]
    ) -> Mapping[Subject, str]:
        table = self.differences
        states: dict[Subject, str] = {}
        subjects = sorted({each.subject for each in seen})
        for start in range(0, len(subjects), MAX_NAMES):
            some = subjects[start : start + MAX_NAMES]
            statement = select(table.c.kind, table.c.subject, table.c.state).where(
                table.c.provider_key == provider_key, table.c.subject.in_(some)
            )
            rows = connection.execute(statement)
            states.update({(str(kind), str(subject)): str(state) for kind, subject, state in rows})
        return states

    def _put(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        table = self.differences
        statement = insert_into(connection.dialect.name, table)
        fresh = statement.excluded
        again = statement.on_conflict_do_update(
            index_elements=["provider_key", "kind", "subject"],
            set_={
                "state": OPEN,
                "seen_at_ms": fresh.seen_at_ms,
                "ended_at_ms": None,
                "difference": fresh.difference,
                "line": fresh.line,
            },
            where=table.c.state != CLOSED,
        )
        ordered = sorted(rows, key=lambda row: (str(row["kind"]), str(row["subject"])))
        connection.execute(again, ordered)


def _run(row: RowMapping) -> RunRow:
    values: dict[str, Any] = dict(row)
    return RunRow(**values)


def _difference(row: RowMapping) -> DifferenceRow:
    values: dict[str, Any] = dict(row)
    return DifferenceRow(**values)
