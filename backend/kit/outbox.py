"""The outbox: everything that leaves a service is a row of the transaction that decided it.

    put       in the deciding transaction; `key` makes it idempotent, and brings a dead row to life again
    lease     take due rows for LEASE_MS; a process that dies gives them back by time (or at once at its next
              start, if no other copy of the service is at work then)
    finish    done: the row goes, together with what the outcome writes, in one transaction
              retry: due again after a backoff · dead: kept for an operator

`Dispatcher` (dispatcher.py) runs handlers inside the service; `RowFeed` (feed.py) lets the bridge pull.
A row whose attempts are used up is dead. Delivery is at least once: every receiver deduplicates by key.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import tenacity
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Update,
    and_,
    delete,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)
from tenacity.wait import wait_base

from backend.kit.commits import OutboxSignal
from backend.kit.rows import Given, RowsStatement, id_column
from backend.kit.rows import Statement as RowsText

LEASE_MS = 30_000  # longer than a handler may take, with room for the commit (dispatcher.py)
MAX_ERROR = 500  # characters of the last error that are kept

WAITING = "waiting"
DEAD = "dead"

PUT_COLUMNS = ("kind", "key", "payload", "state", "due_at_ms", "attempts", "created_at_ms")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A row to put. `key` is unique within its kind for as long as the row lives."""

    kind: str
    key: str
    payload: Mapping[str, object]
    due_at_ms: int | None = None  # None: now


@dataclass(frozen=True, slots=True)
class Leased:
    """A row in our hands until `until_ms`; `attempt` counts from 1."""

    id: int
    kind: str
    key: str
    payload: dict[str, object]
    attempt: int
    created_at_ms: int
    until_ms: int

    @property
    def is_told(self) -> bool:
        """Whether an operator hears that it was refused: at attempts 1, 2, 4, 8 ..., not every minute."""
        return self.attempt & (self.attempt - 1) == 0

    def look_again(self, why: str, now_ms: int, *, least_s: float, most_s: float) -> "Retry":
        """A poll of what is not settled: ever more seldom, after a quarter of the row's age."""
        age_s = (now_ms - self.created_at_ms) / 1000
        return Retry(why, after_s=min(max(least_s, age_s / 4), most_s), free=True)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A row that was given up, as an operator sees it; its payload may hold secrets and is not shown."""

    id: int
    kind: str
    key: str
    attempts: int
    created_at_ms: int
    last_error: str


@dataclass(frozen=True, slots=True)
class Done:
    """It left. What follows from it is written in the transaction that removes the row.

    `then` writes it for this row alone. `result` goes to the kind's Settler, with those of the other rows.
    """

    then: Callable[[Connection], None] | None = None
    result: object = None


@dataclass(frozen=True, slots=True)
class Retry:
    """It did not leave. None: when the policy says. A poll names its time and, `free`, costs no attempt."""

    error: str
    after_s: float | None = None
    free: bool = False


@dataclass(frozen=True, slots=True)
class Dead:
    """It never will: kept with its error for an operator. `then` writes what follows from that."""

    error: str
    then: Callable[[Connection], None] | None = None


Outcome = Done | Retry | Dead
Handler = Callable[[Leased], Awaitable[Outcome]]
Settler = Callable[[Connection, Sequence[Any]], None]  # the results of many rows of a kind, at once


BACKOFF = tenacity.wait_exponential(multiplier=0.5, max=60)  # 0.5 s, 1 s, 2 s ... a minute


@dataclass(frozen=True, slots=True)
class Policy:
    """How often a kind is tried, and when again. `on_dead` writes what follows when attempts run out."""

    attempts: int = 1_000_000
    wait: wait_base = BACKOFF
    on_dead: Callable[[Connection, Leased], None] | None = None

    def after_s(self, attempt: int) -> float:
        """Seconds from failed attempt number `attempt` to the next."""
        state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        state.attempt_number = attempt
        return float(self.wait(state))


class Outbox:
    """The outbox table of one service and its statements. Give it the service's MetaData."""

    def __init__(self, metadata: MetaData):
        self.table = Table(
            "outbox",
            metadata,
            id_column(),
            Column("kind", Text, nullable=False),
            Column("key", Text, nullable=False),
            Column("payload", Text, nullable=False),
            Column("state", Text, nullable=False),
            Column("due_at_ms", BigInteger, nullable=False),
            Column("attempts", Integer, nullable=False),
            Column("created_at_ms", BigInteger, nullable=False),
            Column("last_error", Text),
            Index("outbox_key", "kind", "key", unique=True),
            Index("outbox_due", "state", "kind", "due_at_ms"),
            # Ids are never given again: a handler that ends late must not remove its row's successor.
            sqlite_autoincrement=True,
        )
        self._put = RowsStatement(self._putting)

    def put(self, connection: Connection, rows: Sequence[Outgoing], now_ms: int) -> None:
        """Add rows to the caller's transaction.

        A row whose (kind, key) is there already is left as it is; a dead one is replaced, and waits again.
        """
        if not rows:
            return
        unique: dict[tuple[str, str], Outgoing] = {}
        for row in rows:  # PostgreSQL updates no row twice in one statement
            unique.setdefault((row.kind, row.key), row)
        values = [
            (
                row.kind,
                row.key,
                msgspec.json.encode(row.payload).decode(),
                WAITING,
                now_ms if row.due_at_ms is None else row.due_at_ms,
                0,
                now_ms,
            )
            for row in unique.values()
        ]
        self._put.run(connection, values)
        connection.info.setdefault(OutboxSignal.MARK, set[str]()).update(row.kind for row in rows)

    def _putting(self, given: Given) -> RowsText:
        insert = given.insert(self.table, PUT_COLUMNS)
        fresh = {name: insert.excluded[name] for name in ("payload", "state", "due_at_ms", "created_at_ms")}
        return insert.on_conflict_do_update(
            index_elements=["kind", "key"],
            set_={**fresh, "attempts": insert.excluded.attempts, "last_error": null()},
            where=self.table.c.state == literal_column(f"'{DEAD}'"),
        )

    def lease(
        self,
        connection: Connection,
        kinds: Sequence[str],
        limit: int,
        now_ms: int,
        *,
        besides: Sequence[int] = (),
    ) -> list[Leased]:
        """Up to `limit` due rows, the longest due first, not given to anybody else for LEASE_MS.

        `besides` are ids in the caller's own hands.
        """
        table = self.table
        due = (
            select(table.c.id)
            .where(table.c.state == WAITING, table.c.kind.in_(kinds), table.c.due_at_ms <= now_ms)
            .where(table.c.id.not_in(besides))
            .order_by(table.c.due_at_ms, table.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        statement = (
            update(table)
            .where(table.c.id.in_(select(due.c.id)))
            .values(due_at_ms=now_ms + LEASE_MS, attempts=table.c.attempts + 1)
            .returning(
                table.c.id,
                table.c.kind,
                table.c.key,
                table.c.payload,
                table.c.attempts,
                table.c.created_at_ms,
                table.c.due_at_ms,
            )
        )
        rows = connection.execute(statement).all()
        return [
            Leased(
                id=cast(int, row[0]),
                kind=cast(str, row[1]),
                key=cast(str, row[2]),
                payload=msgspec.json.decode(cast(str, row[3]), type=dict[str, object]),
                attempt=cast(int, row[4]),
                created_at_ms=cast(int, row[5]),
                until_ms=cast(int, row[6]),
            )
            for row in sorted(rows, key=lambda row: cast(int, row[0]))
        ]

    def next_due_ms(self, connection: Connection, kinds: Sequence[str]) -> int | None:
        """When the next waiting row becomes due, or None."""
        table = self.table
        statement = select(func.min(table.c.due_at_ms)).where(
            table.c.state == WAITING, table.c.kind.in_(kinds)
        )
        return connection.execute(statement).scalar()

    def done(self, connection: Connection, ids: Sequence[int]) -> None:
        """Remove rows that left."""
        connection.execute(delete(self.table).where(self.table.c.id.in_(ids)))

    def cancel(self, connection: Connection, kind: str, keys: Sequence[str]) -> None:
        """Remove rows that need not leave any more."""
        connection.execute(
            delete(self.table).where(and_(self.table.c.kind == kind, self.table.c.key.in_(keys)))
        )

    def ours(self, connection: Connection, rows: Sequence[Leased]) -> set[int]:
        """The ids of those rows that nobody cancelled, and nobody leased after us."""
        return set(connection.execute(select(self.table.c.id).where(*self._are_held(rows))).scalars())

    def left(self, connection: Connection, rows: Sequence[Leased]) -> None:
        """Remove rows that left, if they are still ours."""
        connection.execute(delete(self.table).where(*self._are_held(rows)))

    def again(
        self, connection: Connection, leased: Leased, error: str, due_at_ms: int, *, free: bool
    ) -> None:
        """Give a row back until `due_at_ms`, if it is still ours; `free` takes the attempt off the count."""
        connection.execute(
            self._held(leased).values(
                due_at_ms=due_at_ms, last_error=error[:MAX_ERROR], attempts=leased.attempt - int(free)
            )
        )

    def bury(self, connection: Connection, leased: Leased, error: str) -> None:
        """Keep a row as a dead letter, if it is still ours."""
        connection.execute(self._held(leased).values(state=DEAD, last_error=error[:MAX_ERROR]))

    def dead_letters(
        self, connection: Connection, kinds: Sequence[str], *, limit: int, before: int | None = None
    ) -> list[DeadLetter]:
        """Dead rows of `kinds`, newest first; `before` is the id of the last one of the page before."""
        table = self.table
        statement = select(*self._letter()).where(table.c.state == DEAD, table.c.kind.in_(kinds))
        if before is not None:
            statement = statement.where(table.c.id < before)
        rows = connection.execute(statement.order_by(table.c.id.desc()).limit(limit)).all()
        return [DeadLetter(*row) for row in rows]

    def undelivered(
        self, connection: Connection, *, attempts: int, limit: int
    ) -> list[tuple[DeadLetter, bool]]:
        """Rows that are dead (True), or wait still after so many attempts, the oldest first."""
        table = self.table
        is_dead = table.c.state == DEAD
        statement = select(*self._letter(), is_dead).where(or_(is_dead, table.c.attempts >= attempts))
        rows = connection.execute(statement.order_by(table.c.id).limit(limit)).all()
        return [(DeadLetter(*letter), bool(gone)) for *letter, gone in rows]

    def dead_letter(self, connection: Connection, row_id: int) -> DeadLetter | None:
        """One dead row."""
        statement = select(*self._letter()).where(self.table.c.id == row_id, self.table.c.state == DEAD)
        row = connection.execute(statement).first()
        return None if row is None else DeadLetter(*row)

    def revive(self, connection: Connection, letter: DeadLetter, now_ms: int) -> bool:
        """Give a dead row all its attempts again, from now on; False: it is dead no more."""
        statement = update(self.table).where(self.table.c.id == letter.id, self.table.c.state == DEAD)
        values = statement.values(state=WAITING, attempts=0, due_at_ms=now_ms, last_error=None)
        revived = connection.execute(values.returning(self.table.c.id)).first() is not None
        if revived:
            connection.info.setdefault(OutboxSignal.MARK, set[str]()).add(letter.kind)
        return revived

    def release(self, connection: Connection, now_ms: int) -> None:
        """Make every leased row due: for a start where no other copy is at work."""
        statement = update(self.table).where(
            self.table.c.state == WAITING, self.table.c.attempts > 0, self.table.c.due_at_ms > now_ms
        )
        connection.execute(statement.values(due_at_ms=now_ms))

    def _letter(self) -> tuple[ColumnElement[Any], ...]:
        """The fields of a DeadLetter."""
        table = self.table
        named = (table.c.id, table.c.kind, table.c.key, table.c.attempts, table.c.created_at_ms)
        return *named, func.coalesce(table.c.last_error, "")

    def _held(self, leased: Leased) -> Update:
        return update(self.table).where(*self._are_held([leased]))

    def _are_held(self, rows: Sequence[Leased]) -> tuple[ColumnElement[bool], ...]:
        """The rows that are leased as when we leased them.

        The attempt alone does not say so: a free retry takes its own off. The end of a lease alone neither: a
        clock may be set back.
        """
        table = self.table
        leases: dict[tuple[int, int], list[int]] = {}  # rows that were leased together share theirs
        for row in rows:
            leases.setdefault((row.attempt, row.until_ms), []).append(row.id)
        held = (
            and_(table.c.id.in_(ids), table.c.attempts == attempt, table.c.due_at_ms == until_ms)
            for (attempt, until_ms), ids in leases.items()
        )
        return table.c.state == WAITING, or_(false(), *held)
