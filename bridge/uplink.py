"""The way up: takes what waits as a batch, has it ingested, publishes the answers, and then acknowledges.

A packet that means nothing, or whose frame is refused, is counted, logged with its reason and acknowledged:
it would fail again for ever. When the ingest itself fails nothing is acknowledged, and the batch is tried
again.
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

_T = TypeVar("_T")


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
        answers = await self._insist(session, lambda: self._ingest.ingest(pairs))
        self._counters["frames"] += len(uplinks)
        publications: list[Publication] = []
        for uplink, answer in zip(uplinks, answers, strict=True):
            publications += self._answer(uplink.serial, answer)
        return publications

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
            events = await self._insist(
                session,
                lambda ask=ask, report=report: ask(report.serial, report.online, report.boot_id),
            )
            publications += self._events(events)
        return publications

    async def _insist(self, session: Session, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask until there is an answer; raises SessionLostError when the session ends meanwhile."""
        failures = 0
        while True:
            (outcome,) = await asyncio.gather(ask(), return_exceptions=True)
            if not isinstance(outcome, BaseException):
                return outcome
            if not isinstance(outcome, Exception):
                raise outcome
            failures += 1
            self._counters["ingest_failures"] += 1
            self._log.error("ingest_failed", error=type(outcome).__name__, failures=failures)
            await asyncio.sleep(self._backoff.delay_s(failures))
            if not session.alive:
                raise SessionLostError

    def _drop(self, what: str, reason: str, *, serial: str | None) -> None:
        self._counters[what] += 1
        self._log.warning(f"uplink_{what}", reason=reason, serial=serial)
