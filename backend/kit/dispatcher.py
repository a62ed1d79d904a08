"""The dispatcher: leases due outbox rows and runs their handlers, each kind within a limit of its own.

A handler returns an Outcome. It is written by `_finished`, in batches, only where the row is still in our
hands: not cancelled meanwhile, not leased by another process after ours took too long. A defect of ours in
one row is logged with its traceback, and stops no other.
See outbox.py for the rows.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal

import structlog
from sqlalchemy import Connection

from backend.kit.batch import WriteBatch
from backend.kit.commits import Kinds
from backend.kit.database import Database
from backend.kit.errors import BackendError, Unavailable
from backend.kit.outbox import Dead, Done, Handler, Leased, Outbox, Outcome, Policy, Retry, Settler
from backend.kit.runtime import Clock

IDLE_S = 30.0  # how long it sleeps when nothing is due: wakes come from commits
AWAY_S = 1.0  # when the database is away
HELD_S = 0.1  # and when what is due is in other hands
CONCURRENCY = 32  # rows of one kind in the hands of one dispatcher; more only queue at the receiver
HANDLER_S = 20.0  # longer than a handler's own time-outs; the rest of LEASE_MS is for the commit
LATE = 60  # attempts, about an hour of them: it may go on for ever, but somebody must hear of it
UNWRITTEN = "what follows from its outcome could not be written; see the log"

Written = Literal["done", "retried", "free", "dead", "lost"]


class Dispatcher:
    """Leases due rows and runs their handlers, at most `concurrency` of a kind at a time. For one service."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        database: Database,
        clock: Clock,
        handlers: Mapping[str, Handler],
        service: str,
        policies: Mapping[str, Policy] | None = None,
        settlers: Mapping[str, Settler] | None = None,
        concurrency: int = CONCURRENCY,
        handler_s: float = HANDLER_S,
    ):
        self._outbox = outbox
        self._database = database
        self._clock = clock
        self._handlers = dict(handlers)
        self._policies = dict.fromkeys(handlers, Policy()) | dict(policies or {})
        self._settlers = dict(settlers or {})
        self._concurrency = concurrency
        self._handler_s = handler_s
        self._logger = structlog.get_logger(service=service)
        self._wake = asyncio.Event()
        self._running: dict[str, dict[int, asyncio.Task[None]]] = {kind: {} for kind in handlers}
        self._finish: WriteBatch[tuple[Leased, Outcome], Written] = WriteBatch(database, self._finished)
        self._loop: asyncio.Task[None] | None = None
        self.counters = {"done": 0, "retried": 0, "dead": 0, "crashed": 0}

    async def start(self) -> None:
        """Take over what a dead process held, then run until `stop`."""
        await self._database.write(self._take_over)
        self._database.on_outbox(self._put)
        self._loop = asyncio.create_task(self._run(), name="dispatcher")

    async def stop(self) -> None:
        """Stop at once; what was in hand is leased still and comes again."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        tasks = [task for running in self._running.values() for task in running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _take_over(self, connection: Connection) -> None:
        if self._database.is_alone(connection):
            self._outbox.release(connection, self._clock.now_ms())

    def _put(self, kinds: Kinds) -> None:
        """Rows of `kinds` were committed: worth a look only where there is room for one more."""
        if any(kind in kinds and len(running) < self._concurrency for kind, running in self._running.items()):
            self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                sleep_s = await self._round()
            except BackendError as error:  # the database is away
                self._logger.error("outbox.lease_failed", error=error.detail)
                sleep_s = AWAY_S
            except Exception as error:
                self._logger.error("outbox.lease_failed", error=repr(error), exc_info=True)
                sleep_s = AWAY_S
            try:
                async with asyncio.timeout(sleep_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _round(self) -> float:
        """Start what is due and has room; how long nothing more will be due."""
        room = [kind for kind, running in self._running.items() if len(running) < self._concurrency]
        due_at_ms = await self._database.read(
            lambda connection: {kind: self._outbox.next_due_ms(connection, [kind]) for kind in room}
        )
        times = {kind: at_ms for kind, at_ms in due_at_ms.items() if at_ms is not None}
        if not times:
            return IDLE_S
        now_ms = self._clock.now_ms()
        due = [kind for kind, at_ms in times.items() if at_ms <= now_ms]
        if not due:
            return min(IDLE_S, (min(times.values()) - now_ms) / 1000 + 0.001)
        held = {kind: list(self._running[kind]) for kind in due}
        rows = await self._database.write(lambda connection: self._leased(connection, held))
        for row in rows:
            task = asyncio.create_task(self._handle(row), name=f"outbox-{row.kind}-{row.id}")
            self._running[row.kind][row.id] = task
            task.add_done_callback(lambda _, row=row: self._ended(row))
        return 0.0 if rows else HELD_S

    def _leased(self, connection: Connection, held: Mapping[str, Sequence[int]]) -> list[Leased]:
        """Lease of each kind what there is room for; `held` are in hand, even if the clock was moved."""
        now_ms = self._clock.now_ms()
        rows: list[Leased] = []
        for kind, ids in held.items():
            room = self._concurrency - len(ids)
            rows += self._outbox.lease(connection, [kind], room, now_ms, besides=ids)
        return rows

    def _ended(self, row: Leased) -> None:
        del self._running[row.kind][row.id]
        self._wake.set()

    async def _handle(self, row: Leased) -> None:
        outcome = await self._outcome(row)
        # What can't be written with what follows from it is written without: to be tried again, or as dead.
        for writable in (outcome, Retry(UNWRITTEN), Dead(UNWRITTEN)):
            try:
                written = await self._finish.submit((row, writable))
            except Unavailable as error:  # the lease runs out and the row comes again
                self._logger.warning("outbox.finish_failed", kind=row.kind, key=row.key, error=error.detail)
                return
            except Exception as error:
                self.counters["crashed"] += 1
                about = {"kind": row.kind, "key": row.key, "error": repr(error)}
                self._logger.error("outbox.finish_failed", **about, exc_info=True)
                continue
            self._count(row, writable, written)
            return

    async def _outcome(self, row: Leased) -> Outcome:
        if row.attempt > self._policies[row.kind].attempts:  # the last one died, with its process perhaps
            return Retry(f"attempt {row.attempt - 1} did not end")
        try:
            async with asyncio.timeout(self._handler_s):
                return await self._handlers[row.kind](row)
        except BackendError as error:
            return Retry(f"{error.code}: {error.detail}", after_s=error.retry_after_s)
        except TimeoutError:
            return Retry("handler took too long")
        except Exception as error:
            self.counters["crashed"] += 1
            about = {"kind": row.kind, "key": row.key, "error": repr(error)}
            self._logger.error("outbox.handler_failed", **about, exc_info=True)
            return Retry(repr(error))

    def _finished(self, connection: Connection, results: Sequence[tuple[Leased, Outcome]]) -> list[Written]:
        ours = self._outbox.ours(connection, [row for row, _ in results])
        gone: list[Leased] = []
        settled: dict[str, list[object]] = {}
        written: list[Written] = []
        for row, outcome in results:
            if row.id not in ours:
                written.append("lost")
            elif isinstance(outcome, Done):
                if outcome.then is not None:
                    outcome.then(connection)
                if outcome.result is not None:
                    settled.setdefault(row.kind, []).append(outcome.result)
                gone.append(row)
                written.append("done")
            else:
                written.append(self._failed(connection, row, outcome))
        for kind, together in settled.items():
            self._settlers[kind](connection, together)
        if gone:
            self._outbox.left(connection, gone)
        return written

    def _failed(self, connection: Connection, row: Leased, outcome: Retry | Dead) -> Written:
        policy = self._policies[row.kind]
        match outcome:
            case Retry(error, after_s, free) if free or row.attempt < policy.attempts:
                delay_s = policy.after_s(row.attempt) if after_s is None else after_s
                due_at_ms = self._clock.now_ms() + int(delay_s * 1000)
                self._outbox.again(connection, row, error, due_at_ms, free=free)
                return "free" if free else "retried"
            case Retry(error, _, _):
                self._outbox.bury(connection, row, error)
                if policy.on_dead is not None:
                    policy.on_dead(connection, row)
            case Dead(error, then):
                self._outbox.bury(connection, row, error)
                if then is not None:
                    then(connection)
        return "dead"

    def _count(self, row: Leased, outcome: Outcome, written: Written) -> None:
        """After the commit."""
        if written in self.counters:
            self.counters[written] += 1
        if isinstance(outcome, Done) or written == "free":
            return
        is_late = written == "retried" and row.attempt % LATE == 0
        log = self._logger.error if written == "dead" or is_late else self._logger.info
        event = {"dead": "outbox.dead_letter", "retried": "outbox.retry"}.get(written, "outbox.lost")
        log(
            "outbox.late" if is_late else event,
            kind=row.kind,
            key=row.key,
            attempts=row.attempt,
            error=outcome.error,
        )
