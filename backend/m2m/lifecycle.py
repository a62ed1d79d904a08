"""The end of commands, and what operators do about them (resolutions 15, invariant 4).

    created -> sent -> replied      by the device (ingest.py), or as a partner reports
    created, sent -> expired        when their time is over (housekeeping.py), or as a partner reports
    created, sent -> cancelled      by a client, with a registration in a market not its client's, or a SYNC
                                    that its device's loss of its store has overtaken (ingest.py)
    expired -> created              by an operator's retry; an open command is sent again by it

Only sent -> replied fires the callback. Every change locks the command's device first, as ingest.py does, so
that a reply and an end never both win. lifecycle_store.py has the SQL.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Conflict, NotFound, TooManyRequests
from backend.kit.outbox import DeadLetter, Outgoing
from backend.kit.runtime import Clock, iso, parse_iso
from backend.m2m import billing, callbacks, delivery, events, recovery
from backend.m2m.commands import CANCELLED, EXPIRED, MAX_OPEN, OPEN, REPLIED, STATES
from backend.m2m.delivery import DOWN, REPORTED, SMS
from backend.m2m.events import ops_row
from backend.m2m.ingest import MAX_RESPONSE
from backend.m2m.lifecycle_store import LifecycleStore, Viewer
from backend.m2m.rows import CommandRow, Device
from backend.m2m.schemas import (
    CommandPage,
    CommandView,
    DeadLetterPage,
    DeadLetterView,
    ReportRequest,
)
from backend.m2m.store import Store

MAX_PAGE = 200  # commands of an answer
EXPIRE_AT_ONCE = 200  # commands that end in one transaction
LETTERS = (callbacks.KIND, billing.KIND, SMS, recovery.KIND)  # outbox kinds that can die
EXECUTED = "executed"
FAILED = "failed"
REPORTS = (EXECUTED, FAILED, EXPIRED)


class Lifecycle:
    """See the module. life_ms: how long a command lives unless it says otherwise."""

    def __init__(
        self, *, store: Store, database: Database, clock: Clock, life_ms: int, sms_after_ms: int | None
    ):
        self._store = store
        self._sql = LifecycleStore(store)
        self._database = database
        self._clock = clock
        self._life_ms = life_ms
        self._sms_after_ms = sms_after_ms

    async def get(self, command_id: int, viewer: Viewer) -> CommandView:
        """One command. NotFound: there is none that the viewer may see."""
        row = await self._database.read(lambda connection: self._sql.find(connection, command_id, viewer))
        return _view(_found(row))

    async def page(
        self, viewer: Viewer, *, serial: str | None, state: str | None, before: int | None, limit: int
    ) -> CommandPage:
        """Commands that the viewer may see, newest first; `state` one of STATES, None: any."""
        if state is not None and state not in STATES:
            raise BadRequest(f"A status is one of {', '.join(STATES)}")
        rows = await self._database.read(
            lambda connection: self._sql.page(
                connection,
                viewer,
                serial=serial,
                states=STATES if state is None else (state,),
                before=before,
                limit=limit,
            )
        )
        return CommandPage([_view(row) for row in rows], rows[-1].id if len(rows) == limit else None)

    async def cancel(self, command_id: int, viewer: Viewer) -> CommandView:
        """End a command that is open; again changes nothing. Conflict: it has ended otherwise.

        A device that was sent it may have done it all the same: its answer is too late.
        """

        def cancel(connection: Connection) -> CommandRow:
            row, device = self._locked(connection, command_id, viewer)
            if row.state not in (*OPEN, CANCELLED):
                raise Conflict(f"The command has ended: {row.state}")
            self._end(connection, {row.id: device}, CANCELLED)
            return _found(self._sql.find(connection, command_id, viewer))

        return _view(await self._database.write(cancel))

    def cancel_foreign(self, connection: Connection, device: Device, market: str) -> None:
        """A locked device goes to `market`: commands of clients that may not act there are cancelled."""
        foreign = self._sql.foreign(connection, device.serial, market)
        if foreign:
            self._end(connection, dict.fromkeys(foreign, device), CANCELLED)

    def send_by_sms(self, connection: Connection, device: Device) -> None:
        """A locked device's modem has a new number: what is open goes there too, as a new command does."""
        if self._sms_after_ms is None:
            return
        now_ms = self._clock.now_ms()
        waiting = self._store.open_commands(connection, [device.serial]).get(device.serial, [])
        rows = [delivery.sms_row(command.id, now_ms + self._sms_after_ms) for command in waiting]
        self._store.outbox.put(connection, rows, now_ms)

    async def retry(self, command_id: int, viewer: Viewer) -> CommandView:
        """Send a command again now: one that is open, or one that expired, which gets a life as a new one.

        Conflict: it was answered or cancelled. TooManyRequests: the device has too many open ones.
        """

        def retry(connection: Connection) -> CommandRow:
            row, device = self._locked(connection, command_id, viewer)
            if row.state not in (*OPEN, EXPIRED):
                raise Conflict(f"The command has ended: {row.state}")
            now_ms = self._clock.now_ms()
            if row.state == EXPIRED:
                count = self._store.count_open(connection, [row.serial]).get(row.serial, 0)
                if count >= MAX_OPEN:
                    raise TooManyRequests("Too many unanswered commands for this device")
            is_over = row.state == EXPIRED or row.expires_at_ms <= now_ms
            expires_at_ms = now_ms + self._life_ms if is_over else row.expires_at_ms
            self._sql.reopen(connection, row.id, expires_at_ms)
            for kind in (DOWN, SMS):  # what waits for its backoff goes now, as a new row
                self._store.outbox.cancel(connection, kind, [str(row.id)])
            rows = delivery.rows(device, row.id, now_ms, sms_after_ms=self._sms_after_ms)
            self._store.outbox.put(connection, rows, now_ms)
            return _found(self._sql.find(connection, command_id, viewer))

        return _view(await self._database.write(retry))

    async def report(self, command_id: int, request: ReportRequest, viewer: Viewer) -> CommandView:
        """A partner says how a command ended: it becomes replied, and its callback fires, or expired.

        Again changes nothing. Conflict: it has ended otherwise. BadRequest names what is wrong.
        """
        status, at_ms, response = _checked(request, self._clock.now_ms())

        def report(connection: Connection) -> CommandRow:
            row, device = self._locked(connection, command_id, viewer)
            if row.state in OPEN:
                if status == EXPIRED:
                    self._end(connection, {row.id: device}, EXPIRED)
                else:
                    self._reply(connection, row, device, response, at_ms)
            elif not _is_same(row, status, response):
                raise Conflict(f"The command has ended: {row.state}")
            return _found(self._sql.find(connection, command_id, viewer))

        return _view(await self._database.write(report))

    async def expire(self) -> int:
        """End commands whose time is over; how many did, at most EXPIRE_AT_ONCE."""

        def expire(connection: Connection) -> int:
            overdue = self._sql.overdue(connection, self._clock.now_ms(), EXPIRE_AT_ONCE)
            if not overdue:
                return 0
            devices = self._store.lock_devices(connection, {serial for _, serial in overdue})
            return self._end(connection, {key: devices[serial] for key, serial in overdue}, EXPIRED)

        return await self._database.write(expire)

    async def dead_letters(self, viewer: Viewer, *, before: int | None, limit: int) -> DeadLetterPage:
        """What was given up, newest first; of the commands and devices that the viewer may see."""

        def read(connection: Connection) -> tuple[list[DeadLetter], int | None]:
            letters = self._store.outbox.dead_letters(connection, LETTERS, limit=limit, before=before)
            following = letters[-1].id if len(letters) == limit else None
            return [letter for letter in letters if self._sees(connection, viewer, letter)], following

        letters, following = await self._database.read(read)
        return DeadLetterPage([_letter(letter) for letter in letters], following)

    async def retry_letter(self, row_id: int, viewer: Viewer) -> DeadLetterView:
        """Deliver a dead letter again, with all its attempts. NotFound: there is none."""

        def revive(connection: Connection) -> DeadLetter:
            letter = self._store.outbox.dead_letter(connection, row_id)
            if letter is None or letter.kind not in LETTERS or not self._sees(connection, viewer, letter):
                raise NotFound("no such dead letter")
            if not self._store.outbox.revive(connection, letter, self._clock.now_ms()):
                raise NotFound("no such dead letter")
            return letter

        return _letter(await self._database.write(revive))

    def _sees(self, connection: Connection, viewer: Viewer, letter: DeadLetter) -> bool:
        if not viewer.markets:
            return True
        match letter.kind:
            case billing.KIND:
                serial = billing.serial_of(letter.key)
            case recovery.KIND:
                serial = recovery.serial_of(letter.key)
            case _:
                return self._sql.find(connection, int(letter.key), viewer) is not None
        device = self._store.device(connection, serial)
        return device is not None and device.market in viewer.markets

    def _locked(self, connection: Connection, command_id: int, viewer: Viewer) -> tuple[CommandRow, Device]:
        """The command as it is when its device is locked."""
        serial = _found(self._sql.find(connection, command_id, viewer)).serial
        device = self._store.lock_devices(connection, [serial])[serial]
        return _found(self._sql.find(connection, command_id, viewer)), device

    def _end(self, connection: Connection, commands: dict[int, Device], state: str) -> int:
        """Commands end without an answer; how many did."""
        now_ms = self._clock.now_ms()
        ended = self._sql.end(connection, sorted(commands), state, now_ms)
        for kind in (DOWN, SMS):
            self._store.outbox.cancel(connection, kind, [str(command_id) for command_id in ended])
        rows: list[Outgoing] = []
        for command_id in ended:
            row = self._store.command(connection, command_id)
            if row is not None:
                rows += _told(commands[command_id], row, "", now_ms, state)
        self._store.outbox.put(connection, rows, now_ms)
        return len(ended)

    def _reply(
        self, connection: Connection, row: CommandRow, device: Device, response: str, at_ms: int
    ) -> None:
        now_ms = self._clock.now_ms()
        self._sql.replied(connection, row.id, response, at_ms, REPORTED)
        for kind in (DOWN, SMS):
            self._store.outbox.cancel(connection, kind, [str(row.id)])
        rows = _told(device, row, response, now_ms, REPLIED)
        if row.callback_url is not None:
            rows.append(Outgoing(callbacks.KIND, str(row.id), {}))
        self._store.outbox.put(connection, rows, now_ms)


def _told(device: Device, row: CommandRow, response: str, now_ms: int, state: str) -> list[Outgoing]:
    """Its end for the ops topics, which are by market: a device that nobody registered may have none."""
    if not device.market:
        return []
    event = events.command_event(device, row, response, now_ms, status=state)
    return [ops_row(event, f"command/{row.id}/{now_ms}")]


def viewer_of(client: str, markets: Sequence[str]) -> Viewer:
    """Who asks with a key."""
    return Viewer(client, tuple(markets))


def _found(row: CommandRow | None) -> CommandRow:
    if row is None:
        raise NotFound("no such command")
    return row


def _is_same(row: CommandRow, status: str, response: str) -> bool:
    """Whether a command ended as a report says."""
    if status == EXPIRED:
        return row.state == EXPIRED
    return (row.state, row.device_response) == (REPLIED, response)


def _checked(request: ReportRequest, now_ms: int) -> tuple[str, int, str]:
    """(status, when, the device's response) of a report; a time ahead of ours is now."""
    if request.status not in REPORTS:
        raise BadRequest(f"A status is one of {', '.join(REPORTS)}")
    at_ms = now_ms
    if request.executed_at is not None:
        try:
            at_ms = min(max(parse_iso(str(request.executed_at)), 0), now_ms)
        except (ValueError, OverflowError):
            raise BadRequest("Invalid parameters: executed_at") from None
    message = request.error_message
    if message is not None and not isinstance(message, str):
        raise BadRequest("Invalid parameters: error_message")
    said = events.plain_text((message or "").encode("utf-8", "replace")).strip()[:MAX_RESPONSE]
    return str(request.status), at_ms, "OK" if request.status == EXECUTED else said or FAILED


def _view(row: CommandRow) -> CommandView:
    def at(moment_ms: int | None) -> str | None:
        return None if moment_ms is None else iso(moment_ms)

    return CommandView(
        id=row.id,
        identifier=row.serial,
        command=row.text,
        status=row.state,
        created_at=iso(row.created_at_ms),
        expires_at=iso(row.expires_at_ms),
        callback=_callback(row),
        sent_at=at(row.sent_at_ms),
        sent_by=row.sent_by,
        delivered_at=at(row.replied_at_ms),
        device_response=row.device_response,
        ended_at=at(row.ended_at_ms),
    )


def _callback(row: CommandRow) -> str:
    """Whether somebody is called back; who ends without an answer has nothing to tell."""
    if row.callback_url is None or row.state in (EXPIRED, CANCELLED):
        return "none"
    return "owed" if row.callback_delivered_at_ms is None else "delivered"


def _letter(letter: DeadLetter) -> DeadLetterView:
    return DeadLetterView(
        id=letter.id,
        kind=letter.kind,
        key=letter.key,
        attempts=letter.attempts,
        created_at=iso(letter.created_at_ms),
        error=letter.last_error,
    )
