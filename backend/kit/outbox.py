"""The outbox: everything that leaves a service is a row of the transaction that decided it.

    put       in the deciding transaction; `key` makes it idempotent
    lease     take due rows for LEASE_MS; a process that dies gives them back by time (or at once at its next
              start, where no other process shares the database)
    finish    done: the row goes, together with what the outcome writes, in one transaction
              retry: due again after a backoff · dead: kept for an operator

`Dispatcher` runs handlers inside the service; `Feed` (feed.py) lets the bridge pull instead.
A row whose attempts are used up is dead. Delivery is at least once: every receiver deduplicates by key.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
import structlog
import tenacity
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    delete,
    func,
    select,
    update,
)
from tenacity.wait import wait_base

from backend.kit.batch import WriteBatch
from backend.kit.database import Database, OutboxSignal
from backend.kit.errors import BackendError
from backend.kit.rows import RowsStatement
from backend.kit.runtime import Clock

LEASE_MS = 30_000  # longer than any handler's own time-outs together
IDLE_S = 30.0  # how long a dispatcher sleeps when nothing is due: wakes come from commits
CONCURRENCY = 32  # rows in the hands of one dispatcher; more only queue at the receiver
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
    """A row in our hands; `attempt` counts from 1."""

    id: int
    kind: str
    key: str
    payload: dict[str, object]
    attempt: int
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Done:
    """It left. `then` writes what follows from it, in the transaction that removes the row."""

    then: Callable[[Connection], None] | None = None


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
            Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
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
        self._put = RowsStatement(lambda given: given.insert_new(self.table, PUT_COLUMNS))

    def put(self, connection: Connection, rows: Sequence[Outgoing], now_ms: int) -> None:
        """Add rows to the caller's transaction; a row whose (kind, key) is there already is left as it is."""
        if not rows:
            return
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
            for row in rows
        ]
        self._put.run(connection, values)
        connection.info[OutboxSignal.MARK] = True

    def lease(self, connection: Connection, kinds: Sequence[str], limit: int, now_ms: int) -> list[Leased]:
        """Up to `limit` due rows, oldest first, not given to anybody else for LEASE_MS."""
        table = self.table
        due = (
            select(table.c.id)
            .where(table.c.state == WAITING, table.c.kind.in_(kinds), table.c.due_at_ms <= now_ms)
            .order_by(table.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        statement = (
            update(table)
            .where(table.c.id.in_(due.scalar_subquery()))
            .values(due_at_ms=now_ms + LEASE_MS, attempts=table.c.attempts + 1)
            .returning(
                table.c.id,
                table.c.kind,
                table.c.key,
                table.c.payload,
                table.c.attempts,
                table.c.created_at_ms,
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

    def again(
        self, connection: Connection, leased: Leased, error: str, due_at_ms: int, *, free: bool
    ) -> None:
        """Give a row back until `due_at_ms`; `free` takes the attempt off the count again."""
        connection.execute(
            update(self.table)
            .where(self.table.c.id == leased.id)
            .values(due_at_ms=due_at_ms, last_error=error[:MAX_ERROR], attempts=leased.attempt - int(free))
        )

    def bury(self, connection: Connection, leased: Leased, error: str) -> None:
        """Keep a row as a dead letter."""
        connection.execute(
            update(self.table)
            .where(self.table.c.id == leased.id)
            .values(state=DEAD, last_error=error[:MAX_ERROR])
        )

    def release(self, connection: Connection, now_ms: int) -> None:
        """Make every leased row due: for a start where no other process shares the database."""
        statement = update(self.table).where(
            self.table.c.state == WAITING, self.table.c.attempts > 0, self.table.c.due_at_ms > now_ms
        )
        connection.execute(statement.values(due_at_ms=now_ms))


class Dispatcher:
    """Leases due rows and runs their handlers, at most `concurrency` at a time. Bound to one service."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        database: Database,
        clock: Clock,
        handlers: Mapping[str, Handler],
        policies: Mapping[str, Policy],
        service: str,
        concurrency: int = CONCURRENCY,
    ):
        self._outbox = outbox
        self._database = database
        self._clock = clock
        self._handlers = dict(handlers)
        self._policies = dict(policies)
        self._kinds = tuple(handlers)
        self._concurrency = concurrency
        self._log = structlog.get_logger(service=service)
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._finish: WriteBatch[tuple[Leased, Outcome], None] = WriteBatch(database, self._finished)
        self._loop: asyncio.Task[None] | None = None
        self.counters = {"done": 0, "retried": 0, "dead": 0, "crashed": 0}

    async def start(self) -> None:
        """Take over what a dead process held, then run until `stop`."""
        if self._database.exclusive:
            await self._database.write(
                lambda connection: self._outbox.release(connection, self._clock.now_ms())
            )
        self._database.on_outbox(self._wake.set)
        self._loop = asyncio.create_task(self._run(), name="dispatcher")

    async def stop(self) -> None:
        """Stop at once; what was in hand is leased still and comes again."""
        tasks = [*self._running, *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                sleep_s = await self._round()
            except Exception as error:  # noqa: BLE001 - the database may be away; the loop must outlive it
                self._log.error("outbox.lease_failed", error=repr(error))
                sleep_s = 1.0
            try:
                async with asyncio.timeout(sleep_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _round(self) -> float:
        free = self._concurrency - len(self._running)
        if free <= 0:
            return IDLE_S

        due_at_ms = await self._database.read(
            lambda connection: self._outbox.next_due_ms(connection, self._kinds)
        )
        if due_at_ms is None:
            return IDLE_S
        now_ms = self._clock.now_ms()
        if due_at_ms > now_ms:
            return min(IDLE_S, (due_at_ms - now_ms) / 1000 + 0.001)
        rows = await self._database.write(
            lambda connection: self._outbox.lease(connection, self._kinds, free, self._clock.now_ms())
        )
        for row in rows:
            task = asyncio.create_task(self._handle(row), name=f"outbox-{row.kind}-{row.id}")
            self._running.add(task)
            task.add_done_callback(self._ended)
        return IDLE_S if len(self._running) >= self._concurrency else 0.0

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _handle(self, row: Leased) -> None:
        try:
            outcome = await self._handlers[row.kind](row)
        except BackendError as error:
            outcome = Retry(f"{error.code}: {error.detail}", after_s=error.retry_after_s)
        except Exception as error:  # noqa: BLE001 - a defect of ours must not stop the others
            self.counters["crashed"] += 1
            self._log.error("outbox.handler_failed", kind=row.kind, key=row.key, error=repr(error))
            outcome = Retry(repr(error))
        try:
            await self._finish.submit((row, outcome))
        except Exception as error:  # noqa: BLE001 - the lease runs out and the row comes again
            self._log.error("outbox.finish_failed", kind=row.kind, key=row.key, error=repr(error))

    def _finished(self, connection: Connection, results: Sequence[tuple[Leased, Outcome]]) -> list[None]:
        now_ms = self._clock.now_ms()
        gone: list[int] = []
        for row, outcome in results:
            policy = self._policies.get(row.kind, Policy())
            match outcome:
                case Done(then):
                    if then is not None:
                        then(connection)
                    gone.append(row.id)
                case Retry(error, after_s, free) if free or row.attempt < policy.attempts:
                    delay_s = policy.after_s(row.attempt) if after_s is None else after_s
                    self._outbox.again(connection, row, error, now_ms + int(delay_s * 1000), free=free)
                    if not free:
                        self.counters["retried"] += 1
                        self._log.info(
                            "outbox.retry", kind=row.kind, key=row.key, error=error, after_s=delay_s
                        )
                case Retry(error, _, _):
                    self._died(connection, row, error)
                    if policy.on_dead is not None:
                        policy.on_dead(connection, row)
                case Dead(error, then):
                    self._died(connection, row, error)
                    if then is not None:
                        then(connection)
        if gone:
            self._outbox.done(connection, gone)
            self.counters["done"] += len(gone)
        return [None] * len(results)

    def _died(self, connection: Connection, row: Leased, error: str) -> None:
        self._outbox.bury(connection, row, error)
        self.counters["dead"] += 1
        self._log.error("outbox.dead_letter", kind=row.kind, key=row.key, attempts=row.attempt, error=error)
