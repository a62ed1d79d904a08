"""New commands, decided in one transaction for all that wait: devices are auto-created (checklist 62).

The same reference of a client again is the first command. delivery.py says which rows a command starts with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from backend.kit.errors import BackendError, Forbidden, TooManyRequests, Unavailable
from backend.kit.runtime import Clock, iso
from backend.m2m import delivery
from backend.m2m.commands import MAX_OPEN, Wanted
from backend.m2m.rows import Device, NewCommand
from backend.m2m.store import Store
from protocols.magicbox import wire

AWAY = "This device has lost its store, and Moto, which knows its count, is away; send it again later"
AWAY_S = 5


@dataclass(frozen=True, slots=True)
class Created:
    """A command as first created; `text` is its text form."""

    id: int
    serial: str
    text: str = field(repr=False)
    created_at: str


@dataclass(frozen=True, slots=True)
class Creation:
    """What a client asks for. No markets: every market is the client's."""

    client: str
    markets: tuple[str, ...]
    wanted: Wanted

    @property
    def market(self) -> str:
        """The market of a device that this command creates."""
        return self.markets[0] if len(self.markets) == 1 else ""

    @property
    def key(self) -> tuple[str, str] | None:
        """What makes it the same as another one."""
        return None if self.wanted.reference is None else (self.client, self.wanted.reference)


class Creations:
    """See the module. life_ms: until a command expires that does not say."""

    def __init__(self, *, store: Store, clock: Clock, life_ms: int, sms_after_ms: int | None):
        self._store = store
        self._clock = clock
        self._life_ms = life_ms
        self._sms_after_ms = sms_after_ms

    def decide(self, connection: Connection, creations: Sequence[Creation]) -> list[Created | BackendError]:
        """An answer each, in order (for a WriteBatch)."""
        now_ms = self._clock.now_ms()
        markets = {creation.wanted.serial: creation.market for creation in creations}
        self._store.add_devices(connection, markets)
        devices = self._store.lock_devices(connection, markets)
        known = {
            key: Created(row.id, row.serial, row.text, iso(row.created_at_ms))
            for key, row in self._store.by_reference(
                connection, {creation.key for creation in creations if creation.key is not None}
            )
        }
        elsewhere = {created.serial for created in known.values()} - devices.keys()
        if elsewhere:  # the first of a reference was for another device
            devices |= self._store.lock_devices(connection, elsewhere)
        open_count = self._store.count_open(connection, markets)
        new: list[Creation] = []
        places: dict[tuple[str, str], int] = {}  # of the new ones that have a reference
        answers: list[Created | BackendError | int] = []  # a number is a place among the new ones
        for creation in creations:
            key = creation.key
            if key is not None and (key in known or key in places):
                first = known[key] if key in known else places[key]
                serial = first.serial if isinstance(first, Created) else new[first].wanted.serial
                answers.append(_foreign(creation, devices[serial]) or first)
                continue
            refusal = _refusal(creation, devices[creation.wanted.serial], open_count)
            if refusal is not None:
                answers.append(refusal)
                continue
            serial = creation.wanted.serial
            open_count[serial] = open_count.get(serial, 0) + 1
            if key is not None:
                places[key] = len(new)
            answers.append(len(new))
            new.append(creation)
        created = self._add(connection, new, devices, now_ms)
        return [created[answer] if isinstance(answer, int) else answer for answer in answers]

    def _add(
        self, connection: Connection, new: Sequence[Creation], devices: Mapping[str, Device], now_ms: int
    ) -> list[Created]:
        """Insert the commands and the rows of their ways."""
        ids = self._store.add_commands(connection, [self._row(creation, now_ms) for creation in new])
        rows = [
            row
            for command_id, creation in zip(ids, new, strict=True)
            for row in delivery.rows(
                devices[creation.wanted.serial], command_id, now_ms, sms_after_ms=self._sms_after_ms
            )
        ]
        self._store.outbox.put(connection, rows, now_ms)
        created_at = iso(now_ms)
        return [
            Created(command_id, creation.wanted.serial, creation.wanted.text, created_at)
            for command_id, creation in zip(ids, new, strict=True)
        ]

    def _row(self, creation: Creation, now_ms: int) -> NewCommand:
        wanted = creation.wanted
        life_ms = self._life_ms if wanted.life_s is None else wanted.life_s * 1000
        return NewCommand(
            client=creation.client,
            reference=wanted.reference,
            serial=wanted.serial,
            name=wanted.name,
            argument=wanted.argument,
            text=wanted.text,
            callback_url=wanted.callback_url,
            created_at_ms=now_ms,
            expires_at_ms=now_ms + life_ms,
            markets=",".join(creation.markets),
        )


def _foreign(creation: Creation, device: Device) -> BackendError | None:
    """Why the key may not know of the device's commands. One that nobody registered is in no market yet."""
    if creation.markets and device.market not in ("", *creation.markets):
        return Forbidden("The device is in another market")
    return None


def _refusal(creation: Creation, device: Device, open_count: Mapping[str, int]) -> BackendError | None:
    """Why there is no command."""
    if foreign := _foreign(creation, device):
        return foreign
    if open_count.get(device.serial, 0) >= MAX_OPEN:
        return TooManyRequests("Too many unanswered commands for this device")
    if creation.wanted.uncounted and device.state == wire.STATE_TAMPERED:
        return Unavailable(AWAY, retry_after_s=AWAY_S)
    return None
