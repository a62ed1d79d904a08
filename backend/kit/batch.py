"""Batches: requests that wait together are decided by one set-based transaction, or read from one snapshot.

One transaction a request costs a commit and a thread hop each; a batch shares them. While one batch is on its
way the next one gathers, so nothing waits for a timer: a lone request is decided at once.
The answers are given after the commit. See ARCHITECTURE.md, Writes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar, cast

from sqlalchemy import Connection

from backend.kit.commits import Work
from backend.kit.database import Database
from backend.kit.errors import InternalError, Unavailable

Request = TypeVar("Request")
Answer = TypeVar("Answer")
T = TypeVar("T")
Decide = Callable[[Connection, Sequence[Request]], Sequence[Answer]]

# So that 256 connections never wait for one batch all together: while one is being written, the requests of
# others are read and answered. 10 to 15 % more than with 512; batches of 64 pay for their commits again.
MAX_BATCH = 192
# Where the database takes several writers, one batch's round trips leave it idle for another: 30 % more.
OVERLAPPING = 2
MAX_WAITING = 20_000  # about four seconds of work at 5,000/s: beyond that a client had better come again


class _Transact(Protocol):
    """`Database.write` or `Database.read`."""

    def __call__(self, work: Work[T], /) -> Awaitable[T]: ...


class _Batch(Generic[Request, Answer]):
    """What both kinds do.

    `decide(connection, requests)` returns one answer a request, in order. If it raises, the batch is decided
    again one request at a time, so that one bad request fails alone; if the database is away, all are
    told so.
    """

    def __init__(
        self,
        transact: _Transact,
        decide: "Decide[Request, Answer]",
        *,
        max_batch: int = MAX_BATCH,
        max_waiting: int = MAX_WAITING,
        at_once: int = 1,
    ):
        self._transact = transact
        self._decide = decide
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: list[tuple[Request, asyncio.Future[Answer]]] = []
        self._at_once = at_once
        self._runners: set[asyncio.Task[None]] = set()

    async def submit(self, request: Request) -> Answer:
        """The answer to `request`. Unavailable if too many wait, or what `decide` raised."""
        if len(self._waiting) >= self._max_waiting:
            raise Unavailable("too many requests are waiting; try again in a moment", retry_after_s=1)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if len(self._runners) < self._at_once:
            runner = asyncio.create_task(self._run(), name="batch")
            self._runners.add(runner)
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
                await self._settle(batch)
        finally:
            self._runners.remove(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _settle(self, batch: list[tuple[Request, "asyncio.Future[Answer]"]]) -> None:
        requests = [request for request, _ in batch]
        try:
            answers = await self._transact(lambda connection: self._decided(connection, requests))
        except Exception as error:  # noqa: BLE001 - handed to whoever submitted
            if len(batch) == 1 or isinstance(error, Unavailable):
                for _, future in batch:
                    _fail(future, error)
                return
            for single in batch:
                await self._settle([single])
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def _decided(self, connection: Connection, requests: Sequence[Request]) -> Sequence[Answer]:
        answers = self._decide(connection, requests)
        if len(answers) != len(requests):
            raise InternalError(f"{len(answers)} answers to {len(requests)} requests; nothing is written")
        return answers


class WriteBatch(_Batch[Request, Answer]):
    """`submit` answers after the commit of the transaction that decided the request.

    `overlapping`: on PostgreSQL two batches are on their way at once. `decide` locks what it changes in one
    order, and keeps nothing between calls.
    """

    def __init__(
        self,
        database: Database,
        decide: "Decide[Request, Answer]",
        *,
        max_batch: int = MAX_BATCH,
        max_waiting: int = MAX_WAITING,
        overlapping: bool = False,
    ):
        at_once = OVERLAPPING if overlapping and not database.one_writer else 1
        super().__init__(
            database.write,
            decide,
            max_batch=-(-max_batch // at_once),
            max_waiting=max_waiting,
            at_once=at_once,
        )


class ReadBatch(_Batch[Request, Answer]):
    """`submit` answers from a snapshot that is taken after the call; `decide` only reads."""

    def __init__(self, database: Database, decide: "Decide[Request, Answer]"):
        super().__init__(database.read, decide)


def _fail(future: "asyncio.Future[Answer]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
