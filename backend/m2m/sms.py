"""Commands by SMS: the text line of a command to the number of a silent device's modem (checklist 77).

delivery.py puts the row, this is its handler. A device that was heard since then gets it the other ways. That
one is online is believed for ONLINE_S after it was heard: with a broker that dies its last will is lost.
"""

from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Conflict, Unprocessable
from backend.kit.outbox import Dead, Done, Leased, Outcome, Policy, Retry
from backend.kit.runtime import Clock
from backend.m2m import lines
from backend.m2m.commands import OPEN
from backend.m2m.delivery import SMS
from backend.m2m.ports import Sms
from backend.m2m.rows import CommandRow, Device
from backend.m2m.store import Store

POLICY = Policy(attempts=11)  # as many as a callback has
ONLINE_S = 86_400.0  # a device says how it is four times an hour, if nobody configured it otherwise
PERMANENT = (BadRequest, Conflict, Unprocessable)  # the same call would be refused for ever


class SmsWay:
    """The outbox handler. after_s: how long a device must be silent."""

    def __init__(self, *, store: Store, database: Database, clock: Clock, sms: Sms, after_s: float):
        self._store = store
        self._database = database
        self._clock = clock
        self._sms = sms
        self._after_s = after_s

    async def send(self, row: Leased) -> Outcome:
        """One attempt; Mega counts the reference, so one command is one short message."""
        found = await self._database.read(lambda connection: self._read(connection, int(row.key)))
        if found is None:
            return Done()
        command, device = found
        if device.msisdn is None:
            return Done()
        silent_s = ONLINE_S if device.online else self._after_s
        if (device.last_seen_ms or 0) > self._clock.now_ms() - silent_s * 1000:
            return Retry("the device is there", after_s=self._after_s, free=True)
        line = lines.of(command)
        if line is None:
            return Dead("this command fits only into a frame")
        try:
            await self._sms.send(
                to=device.msisdn, text=line, market=device.market, reference=f"m2m-command-{command.id}"
            )
        except PERMANENT as error:
            return Dead(f"{error.code}: {error.detail}")
        now_ms = self._clock.now_ms()
        return Done(lambda connection: self._store.mark_sent(connection, [command.id], now_ms, SMS))

    def _read(self, connection: Connection, command_id: int) -> tuple[CommandRow, Device] | None:
        """The command, if it still waits, and its device."""
        command = self._store.command(connection, command_id)
        if command is None or command.state not in OPEN or command.expires_at_ms <= self._clock.now_ms():
            return None
        device = self._store.device(connection, command.serial)
        return None if device is None else (command, device)
