"""The way up: takes what waits as a batch, has it ingested, publishes the answers, and then acknowledges.

A packet that means nothing, or whose frame is refused, is counted, logged with its reason and acknowledged:
it would fail again for ever. When the ingest itself fails nothing is acknowledged, and the batch is tried
again; when it fails again and again, though it says it is there, in halves: a packet that fails alone as
often is a dead letter (spec/mqtt.md), so that no device can stop the others.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from bridge import core
from bridge.backoff import Backoff
from bridge.core import Ignored, Publication, StateReport, Uplink
from bridge.mqtt import MqttLink
from bridge.paho_session import Packet, Session, SessionLostError
from bridge.ports import Ingest, IngestAnswer, OpsEvent

_MAX_BATCH = 256
"""One transaction; larger ones gain little and delay the first acknowledgement."""

_ATTEMPTS = 5
"""Of a whole batch, and of a packet alone, before it is split or given up; parts in between have one."""

_NOT_NOW = 503
"""The `status` of a service's error that says that it is away."""

_T = TypeVar("_T")


class _PersistentError(Exception):
    """The service is there and fails on this input every time."""


class UplinkPump:
    """Moves what devices say from the broker to the ingest."""

    def __init__(
        self,
        *,
        link: MqttLink,
        ingest: Ingest,
        backoff: Backoff,
        counters: Counter[str],
        log: FilteringBoundLogger,
    ) -> None:
        self._link = link
        self._ingest = ingest
        self._backoff = backoff
        self._counters = counters
        self._log = log

    async def run(self) -> None:
        """Move batches until cancelled."""
        while True:
            session = await self._link.session()
            try:
                await self._move(session, await session.take(_MAX_BATCH))
            except SessionLostError:
                self._counters["batches_given_up"] += 1  # all of it comes again

    async def _move(self, session: Session, packets: Sequence[Packet]) -> None:
        uplinks: list[Uplink] = []
        reports: list[StateReport] = []
        for packet in packets:
            match core.read(packet.topic, packet.payload):
                case Uplink() as uplink:
                    uplinks.append(uplink)
                case StateReport() as report:
                    reports.append(report)
                case Ignored(reason):
                    self._drop("ignored", reason, serial=None)
        publications = await self._ingest_frames(session, uplinks)
        publications += await self._report_states(session, reports)
        await session.publish(publications)
        session.acknowledge(packets)

    async def _ingest_frames(self, session: Session, uplinks: Sequence[Uplink]) -> list[Publication]:
        if not uplinks:
            return []
        pairs = [(uplink.serial, uplink.frame) for uplink in uplinks]
        answers = await self._ingest_pairs(session, pairs, attempts=_ATTEMPTS)
        self._counters["frames"] += len(uplinks)
        publications: list[Publication] = []
        for uplink, answer in zip(uplinks, answers, strict=True):
            if answer is not None:
                publications += self._answer(uplink.serial, answer)
        return publications

    async def _ingest_pairs(
        self, session: Session, pairs: Sequence[tuple[str, bytes]], *, attempts: int
    ) -> list[IngestAnswer | None]:
        """The answer to each; None for one that fails alone."""
        if len(pairs) == 1:
            attempts = _ATTEMPTS
        try:
            ask = self._ingest.ingest
            return list(await self._insist(session, lambda: ask(pairs), attempts=attempts))
        except _PersistentError as error:
            if len(pairs) == 1:
                self._drop("dead_letters", str(error), serial=pairs[0][0])
                return [None]
        middle = len(pairs) // 2
        first = await self._ingest_pairs(session, pairs[:middle], attempts=1)
        return first + await self._ingest_pairs(session, pairs[middle:], attempts=1)

    def _answer(self, serial: str, answer: IngestAnswer) -> list[Publication]:
        if answer.refused is not None:
            self._drop("refused", answer.refused, serial=serial)
            return []
        return [core.downlink(serial, frame) for frame in answer.down] + self._events(answer.events)

    def _events(self, events: Sequence[OpsEvent]) -> list[Publication]:
        """Skip an event that no topic fits; the frame that made it is stored all the same."""
        publications: list[Publication] = []
        for event in events:
            try:
                publications.append(core.ops_event(event, qos=0))
            except ValueError as error:
                self._drop("event_dropped", str(error), serial=event.serial)
        return publications

    async def _report_states(self, session: Session, reports: Sequence[StateReport]) -> list[Publication]:
        """Report per device in order, all devices at once."""
        by_serial: dict[str, list[StateReport]] = {}
        for report in reports:
            by_serial.setdefault(report.serial, []).append(report)
        results = await asyncio.gather(
            *(self._report_device(session, device) for device in by_serial.values()), return_exceptions=True
        )
        publications: list[Publication] = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            publications += result
        self._counters["states"] += len(reports)
        return publications

    async def _report_device(self, session: Session, reports: Sequence[StateReport]) -> list[Publication]:
        publications: list[Publication] = []
        for report in reports:
            ask = self._ingest.report_state
            try:
                events = await self._insist(
                    session,
                    lambda ask=ask, report=report: ask(report.serial, report.online, report.boot_id),
                    attempts=_ATTEMPTS,
                )
            except _PersistentError as error:
                self._drop("dead_letters", str(error), serial=report.serial)
                continue
            publications += self._events(events)
        return publications

    async def _insist(self, session: Session, ask: Callable[[], Awaitable[_T]], *, attempts: int) -> _T:
        """Ask until there is an answer, for ever while the service is away.

        Raises SessionLostError when the session ends meanwhile, _PersistentError after `attempts` that the
        service failed on.
        """
        failures = blamed = 0
        while True:
            (outcome,) = await asyncio.gather(ask(), return_exceptions=True)
            if not isinstance(outcome, BaseException):
                return outcome
            if not isinstance(outcome, Exception):
                raise outcome
            failures += 1
            blamed += not _is_away(outcome)
            self._counters["ingest_failures"] += 1
            self._log.error("ingest_failed", error=type(outcome).__name__, failures=failures)
            if blamed >= attempts:
                raise _PersistentError(type(outcome).__name__)
            await asyncio.sleep(self._backoff.delay_s(failures))
            if not session.alive:
                raise SessionLostError

    def _drop(self, what: str, reason: str, *, serial: str | None) -> None:
        self._counters[what] += 1
        self._log.warning(f"uplink_{what}", reason=reason, serial=serial)


def _is_away(error: Exception) -> bool:
    """Whether it says "not now", and nothing about what was asked."""
    return isinstance(error, OSError) or getattr(error, "status", None) == _NOT_NOW
