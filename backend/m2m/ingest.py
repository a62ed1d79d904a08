"""What devices say, decided in one transaction for all frames, and reports in text lines, that wait.

    open      uplink.py: unseal, decode; a bad frame is refused and changes nothing
    window    a sequence that was taken before, or is too old, changes nothing; its stored records are
              acknowledged again (resolutions 16, invariant 6)
    store     each (serial, record) once, whatever frame brings it (invariant 5)
    follow    new statuses, results, gaps: commands become replied, their callbacks outbox rows
    answer    downlink.py: one sealed frame with acknowledgements, the time and commands that wait; to lines,
              lines (lines.py)

events.py says it to the ops topics, billing.py to Solarium; the bridge publishes what comes back.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from backend.kit.errors import InternalError
from backend.kit.feed import OpsEvent
from backend.kit.outbox import Outgoing
from backend.kit.runtime import Clock
from backend.m2m import billing, callbacks, downlink, events, lines, recovery, retention, uplink
from backend.m2m.commands import CANCELLED, CREATED, SENT, is_name
from backend.m2m.delivery import DOWN, HTTP, MQTT, SMS
from backend.m2m.lifecycle_store import LifecycleStore
from backend.m2m.lines import Report, Result
from backend.m2m.links import Links
from backend.m2m.rows import CommandRow, Device, GapRow, RecordRow, Reply
from backend.m2m.store import Store
from backend.m2m.uplink import Arrival, Numbered
from protocols.magicbox import wire

WRONG_LOGIN = "wrong_login"  # a refusal: the frame was not even looked at
MAX_RESPONSE = 200  # characters of a device's answer that are kept

Waiting = dict[str, list[CommandRow]]  # open commands by serial, oldest first


@dataclass(frozen=True, slots=True)
class IngestAnswer:
    """What goes back to the device and events for the ops topics; `refused` says why there are none.

    down: sealed frames, or the lines that answer lines.

    repeat: the frame's sequence was taken before. stored, duplicates: its records that were new, and not.
    """

    down: tuple[bytes, ...] = ()
    events: tuple[OpsEvent, ...] = ()
    refused: str | None = None
    repeat: bool = False
    stored: int = 0
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """(serial, frame) pairs that came together: from the bridge, or one frame or report over HTTP.

    login: the fingerprint of the password that came with it; None: who sent it was known before.
    """

    uplinks: tuple[tuple[str, bytes | Report], ...]
    over_http: bool = False
    login: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class _Changes:
    """What one decision writes besides records."""

    gaps: list[GapRow] = field(default_factory=list[GapRow])
    replies: list[Reply] = field(default_factory=list[Reply])
    cancelled: list[int] = field(default_factory=list[int])
    sent: dict[str, set[int]] = field(default_factory=lambda: {MQTT: set[int](), HTTP: set[int]()})
    outgoing: list[Outgoing] = field(default_factory=list[Outgoing])


class Ingest:
    """See the module. `counters` count what this process took. `bills`: events go to Solarium.
    `retention_days`: how long telemetry is kept.
    """

    def __init__(
        self,
        *,
        store: Store,
        links: Links,
        clock: Clock,
        resend_after_s: float,
        retention_days: int,
        bills: bool,
    ):
        self._store = store
        self._lifecycle = LifecycleStore(store)
        self._bills = bills
        self._links = links
        self._clock = clock
        self._resend_after_ms = int(resend_after_s * 1000)
        self._kept_ms = retention_days * retention.DAY_MS
        self.counters = {"accepted": 0, "repeats": 0, "refused": 0, "stored": 0, "duplicates": 0}

    def decide(self, connection: Connection, deliveries: Sequence[Delivery]) -> list[list[IngestAnswer]]:
        """The answers to each delivery, frame by frame (for a WriteBatch)."""
        now_ms = self._clock.now_ms()
        serials = {serial for delivery in deliveries for serial, _ in delivery.uplinks}
        devices = self._store.lock_devices(connection, set(filter(is_name, serials)))
        waiting = self._store.open_commands(connection, devices)
        opened = [
            [
                self._open(devices.get(serial), content, delivery)
                if isinstance(content, bytes)
                else self._read(connection, devices[serial], content, waiting)
                for serial, content in delivery.uplinks
            ]
            for delivery in deliveries
        ]
        arrivals = [entry for entries in opened for entry in entries if isinstance(entry, Arrival)]
        touched = {arrival.device.serial: arrival.device for arrival in arrivals}
        new = self._keep_records(connection, arrivals, now_ms)
        changes = _Changes()
        self._follow(arrivals, new, waiting, changes, now_ms)
        changes.outgoing += recovery.rows(arrivals, now_ms)
        answers = [[self._answer(entry, waiting, changes, now_ms) for entry in entries] for entries in opened]
        self._write(connection, changes, now_ms)
        self._store.save_devices(connection, list(touched.values()))
        return answers

    def count(self, answers: Sequence[IngestAnswer]) -> None:
        """Count committed answers."""
        for answer in answers:
            outcome = "refused" if answer.refused else "repeats" if answer.repeat else "accepted"
            self.counters[outcome] += 1
            self.counters["stored"] += answer.stored
            self.counters["duplicates"] += answer.duplicates

    def _open(self, device: Device | None, frame: bytes, delivery: Delivery) -> Arrival | str:
        """The frame, its sequence taken; or why it is refused."""
        if delivery.login is not None and not is_login(device, delivery.login):
            return WRONG_LOGIN
        try:
            link = None if device is None else self._links.of(device)
        except InternalError:
            return "key_unusable"  # another master key, or the row was changed: that device's trouble alone
        if device is None or link is None:
            return "unknown_device"
        try:
            return uplink.open_frame(device, link, frame, over_http=delivery.over_http)
        except wire.WireError as error:
            return error.reason

    def _read(self, connection: Connection, device: Device, report: Report, waiting: Waiting) -> Arrival:
        """A report in lines; its device has logged in."""
        results = [
            (device.serial, uplink.LINES_FROM + said.record)
            for said in report.said
            if isinstance(said, Result)
        ]
        known = {record for _, record in self._store.stored(connection, results)}
        return uplink.take_report(device, report, waiting.get(device.serial, []), known)

    def _keep_records(
        self, connection: Connection, arrivals: Sequence[Arrival], now_ms: int
    ) -> set[tuple[str, int]]:
        """Store what is new, and note on each arrival what it acknowledges."""
        keys = {(arrival.device.serial, entry.record) for arrival in arrivals for entry in arrival.records}
        stored = self._store.stored(connection, keys)  # and nobody else stores any: the devices are locked
        rows: dict[tuple[str, int], RecordRow] = {}
        for arrival in arrivals:
            device = arrival.device
            if not arrival.fresh:
                continue
            device.last_seen_ms, device.over_http = now_ms, arrival.over_http
            for entry in arrival.records:
                arrival.acknowledged.add(entry.record)
                if retention.is_purged(device, entry, now_ms - self._kept_ms):
                    continue
                key = (device.serial, entry.record)
                if key not in stored and key not in rows:
                    rows[key] = _row(device.serial, entry, now_ms)
        self._store.add_records(connection, list(rows.values()))
        for arrival in arrivals:
            if not arrival.fresh:
                serial = arrival.device.serial
                numbers = {entry.record for entry in arrival.records}
                arrival.acknowledged = {
                    number for number in numbers if (serial, number) in stored or (serial, number) in rows
                }
        return set(rows)

    def _follow(
        self,
        arrivals: Sequence[Arrival],
        new: set[tuple[str, int]],
        waiting: Waiting,
        changes: _Changes,
        now_ms: int,
    ) -> None:
        """What the new records change, each once, in the order in which they came."""
        left = set(new)
        for arrival in arrivals:
            if not arrival.fresh:
                continue
            for entry in arrival.records:
                key = (arrival.device.serial, entry.record)
                if key in left:
                    left.remove(key)
                    arrival.added.append(entry.record)
                    self._follow_record(arrival, entry, waiting, changes, now_ms)
            if recovery.begins_anew(arrival):
                self._cancel_syncs(arrival, waiting, changes, now_ms)
            if arrival.over_http:
                changes.outgoing += _ops_rows(arrival)

    def _follow_record(
        self, arrival: Arrival, entry: Numbered, waiting: Waiting, changes: _Changes, now_ms: int
    ) -> None:
        device = arrival.device
        # A SYNC makes a device go on from the count: only what was sealed counts.
        if arrival.link is not None and isinstance(entry.content, wire.Status | wire.TokenEvent):
            device.token_count = max(device.token_count, entry.content.token_count)
        if self._bills:
            changes.outgoing += billing.rows(device, entry, now_ms)
        match entry.content:
            case wire.Status() as status:
                # Who lost its store numbers anew by chance, the second time perhaps from below.
                is_lost = arrival.link is not None and status.state == wire.STATE_TAMPERED
                if is_lost or uplink.is_newer(entry.record, device.status_record):
                    device.status_record, device.state = entry.record, status.state
                    at_ms = events.at_ms(entry.at, now_ms)
                    arrival.events.append(events.status_event(device, status, at_ms=at_ms))
            case wire.CommandResult() as result:
                self._follow_result(arrival, result, waiting.get(device.serial, []), changes, now_ms)
            case content:
                if isinstance(content, wire.Gap):
                    base = 0 if arrival.link is not None else uplink.LINES_FROM
                    numbers = base + content.first, base + content.last
                    gap = GapRow(device.serial, entry.record, *numbers, content.reason)
                    changes.gaps.append(gap)
                event = events.record_event(device, content, now_ms)
                if event is not None:
                    arrival.events.append(event)

    def _follow_result(
        self,
        arrival: Arrival,
        result: wire.CommandResult,
        waiting: list[CommandRow],
        changes: _Changes,
        now_ms: int,
    ) -> None:
        """An open command is answered: sent, if nobody noted that yet, then replied, then its callback.

        `busy` is no answer: the device had no room and takes the command later.
        """
        index = next((i for i, command in enumerate(waiting) if command.id == result.command_id), None)
        if index is None:
            return
        command = waiting[index]
        if command.state == CREATED:
            changes.sent[_way(arrival)].add(command.id)
            command = waiting[index] = replace(command, state=SENT, sent_at_ms=now_ms)
        if result.result == wire.COMMAND_RESULT_BUSY:
            return
        del waiting[index]
        response = _response(result)
        changes.replies.append(Reply(command.id, response))
        arrival.events.append(events.command_event(arrival.device, command, response, now_ms))
        if command.callback_url is not None:
            changes.outgoing.append(Outgoing(callbacks.KIND, str(command.id), {}))

    def _cancel_syncs(self, arrival: Arrival, waiting: Waiting, changes: _Changes, now_ms: int) -> None:
        """The device lost its store: a SYNC of before would make tokens good again that it never told of."""
        serial = arrival.device.serial
        for command in waiting.get(serial, []):
            if command.name == recovery.SYNC:
                changes.cancelled.append(command.id)
                event = events.command_event(arrival.device, command, "", now_ms, status=CANCELLED)
                arrival.events.append(event)
        waiting[serial] = [each for each in waiting.get(serial, []) if each.id not in changes.cancelled]

    def _answer(
        self, opened: Arrival | str, waiting: Waiting, changes: _Changes, now_ms: int
    ) -> IngestAnswer:
        if isinstance(opened, str):
            return IngestAnswer(refused=opened)
        due = self._due(opened, waiting, now_ms)
        chosen = (
            downlink.lines_of(opened.device, due)
            if opened.link is None
            else downlink.fitting(opened.device, due)
        )
        sent = {command.id for command, _ in chosen}
        changes.sent[_way(opened)] |= sent
        if sent:  # and not once more with the next frame of this batch
            waiting[opened.device.serial] = [
                replace(command, state=SENT, sent_at_ms=now_ms) if command.id in sent else command
                for command in waiting.get(opened.device.serial, [])
            ]
        return IngestAnswer(
            down=self._down(opened, [said for _, said in chosen], now_ms // 1000),
            events=tuple(opened.events),
            repeat=not opened.fresh,
            stored=len(opened.added),
            duplicates=len(opened.records) - len(opened.added),
        )

    def _due(self, arrival: Arrival, waiting: Waiting, now_ms: int) -> list[CommandRow]:
        commands = waiting.get(arrival.device.serial, [])
        if not arrival.fresh:
            is_lost = recovery.is_lost(arrival, now_ms)
            commands = [command for command in commands if is_lost and command.name == recovery.SYNCIV]
        if not commands:
            return []
        return downlink.due_commands(
            commands, now_ms=now_ms, resend_after_ms=self._resend_after_ms, arrival=arrival
        )

    def _down(self, arrival: Arrival, said: Sequence[str | wire.Record], now_s: int) -> tuple[bytes, ...]:
        if arrival.link is None:
            return (lines.answer([str(line) for line in said], now_s),)
        records = downlink.acknowledgements(arrival.acknowledged)
        if downlink.wants_time(arrival, now_s):
            records.append(wire.Time(now_s))
        records += [record for record in said if not isinstance(record, str)]
        return (self._links.seal_down(arrival.device, arrival.link, records),) if records else ()

    def _write(self, connection: Connection, changes: _Changes, now_ms: int) -> None:
        self._store.add_gaps(connection, changes.gaps)
        for way, sent in changes.sent.items():
            self._store.mark_sent(connection, sent, now_ms, way)
        self._store.mark_replied(connection, changes.replies, now_ms)
        self._lifecycle.end(connection, changes.cancelled, CANCELLED, now_ms)
        ended = {reply.command_id for reply in changes.replies}.union(changes.cancelled)
        gone = ended.union(*changes.sent.values())
        if gone:
            self._store.outbox.cancel(connection, DOWN, [str(command_id) for command_id in sorted(gone)])
        if ended:
            self._store.outbox.cancel(connection, SMS, [str(key) for key in sorted(ended)])
        self._store.outbox.put(connection, changes.outgoing, now_ms)


def is_login(device: Device | None, fingerprint: str) -> bool:
    """Whether the fingerprint is that of the device's password. A device without one has no login."""
    stored = None if device is None else device.password_fingerprint
    return hmac.compare_digest(fingerprint, stored or "")


def _row(serial: str, entry: Numbered, now_ms: int) -> RecordRow:
    return RecordRow(
        serial=serial,
        record=entry.record,
        type=entry.type,
        at_ms=events.at_ms(entry.at, now_ms),
        received_at_ms=now_ms,
        body=entry.encoded,
    )


def _response(result: wire.CommandResult) -> str:
    """What the callback tells (checklist 72): OK, or the device's own words, or the result's name."""
    if result.result == wire.COMMAND_RESULT_OK:
        return "OK"
    name = wire.COMMAND_RESULT_NAMES.get(result.result, str(result.result))
    return events.plain_text(result.detail)[:MAX_RESPONSE] or name


def _way(arrival: Arrival) -> str:
    return HTTP if arrival.over_http else MQTT


def _ops_rows(arrival: Arrival) -> list[Outgoing]:
    """What a check-in over HTTP says to the ops topics; each record is added once, so its number is a key."""
    return [
        events.ops_row(event, f"{event.serial}/{arrival.added[0]}/{index}")
        for index, event in enumerate(arrival.events)
    ]
