"""The registry of devices: their secrets come here once; later they are reported stolen, lost, or found.

An operator sees who tried to get tokens of them (ownership.py).
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Conflict, Forbidden, NotFound
from backend.kit.runtime import Clock, iso
from backend.kit.vault import Vault
from backend.moto import ownership
from backend.moto.generator import FAMILIES, MAX_OPENPAYGO_COUNT, MOTO, OPENPAYGO, Refused, check
from backend.moto.ownership import STATE, STATES, Attempt, Caller
from backend.moto.schemas import AttemptPage, AttemptView, DeviceRequest, StateRequest, TokenRequest
from backend.moto.store import DeviceRow, Store
from protocols.tokens import moto

MAX_NAME = 200  # characters of a serial, a reference, a client's name
MAX_SECRET_DIGITS = 128  # hex; the families' secrets have 14 and 32
LAST_SEQUENCES = {MOTO: moto.MAX_SEQUENCE_NUMBER, OPENPAYGO: MAX_OPENPAYGO_COUNT}

_MARKET = re.compile(r"[A-Z]{2}\Z")


class DeviceNotFound(NotFound):
    """The registry has no such device (checklist 88)."""


class Registry:
    """See the module."""

    def __init__(self, *, store: Store, database: Database, clock: Clock, vault: Vault):
        self._store = store
        self._database = database
        self._clock = clock
        self._vault = vault

    async def register(
        self,
        *,
        serial: str,
        secret_hex: str,
        family: str,
        market: str,
        starting_code: int | None = None,
        last_sequence: int = 0,
    ) -> None:
        """Add a device. Again with the same values changes nothing, with others it is a Conflict.

        last_sequence: what the device has used; a registered one may be further on by now, never behind.
        """
        device = self._checked(serial, secret_hex, family, market, starting_code)
        if not 0 <= last_sequence <= LAST_SEQUENCES[family]:
            raise BadRequest(f"a device's sequence is 0 to {LAST_SEQUENCES[family]}")
        device = replace(device, last_sequence=last_sequence)

        def add(connection: Connection) -> DeviceRow:
            return self._store.add_device(connection, device, self._clock.now_ms())

        stored = await self._database.write(add)
        same = (stored.family, stored.market, stored.starting_code) == (family, market, starting_code)
        same = same and stored.last_sequence >= last_sequence
        if not same or self._vault.open(stored.secret, serial) != bytes.fromhex(secret_hex):
            raise Conflict(f"{serial} is registered with other values; a device is never registered anew")

    async def register_requested(self, request: DeviceRequest, *, markets: tuple[str, ...]) -> None:
        """See `register`. BadRequest names what is wrong; Forbidden: a market of none of `markets`."""
        serial, market, secret = request.serial, request.market, request.secret
        family = "moto" if request.family is None else request.family
        if not isinstance(serial, str) or not is_name(serial):
            raise BadRequest("serial is missing or invalid")
        if not isinstance(market, str) or not _MARKET.match(market):
            raise BadRequest("market is missing or invalid")
        if not isinstance(secret, str) or len(secret) > MAX_SECRET_DIGITS or not isinstance(family, str):
            raise BadRequest("secret or family is missing or invalid")
        if markets and market not in markets:
            raise Forbidden("not authorized")
        await self.register(
            serial=serial,
            secret_hex=secret,
            family=family,
            market=market,
            starting_code=_number_of(request.starting_code, "starting_code"),
            last_sequence=_number_of(request.sequence, "sequence") or 0,
        )

    async def last_sequence(self, serial: str, *, markets: Sequence[str] = ()) -> int:
        """The last sequence number that was given to a device. DeviceNotFound as in `report`."""
        found = await self._database.read(lambda c: self._store.find(c, serial) if is_name(serial) else None)
        if found is None or (markets and found.market not in markets):
            raise DeviceNotFound("device not found")
        return found.last_sequence

    async def report(self, serial: str, request: StateRequest, *, caller: Caller) -> str:
        """A device is stolen, lost, or active again; its state. Who said so is noted as an attempt is.

        BadRequest: no such state. DeviceNotFound: none of the caller's markets.
        """
        state = request.state
        if not isinstance(state, str) or state not in STATES:
            raise BadRequest(f"state is one of {', '.join(STATES)}")
        if not is_name(serial):
            raise DeviceNotFound("device not found")
        now_ms = self._clock.now_ms()

        def report(connection: Connection) -> None:
            device = self._store.lock_devices(connection, [serial]).get(serial)
            if device is None or (caller.markets and device.market not in caller.markets):
                raise DeviceNotFound("device not found")
            self._store.set_state(connection, serial, state)
            noted = Attempt(now_ms, caller.client, STATE, serial, state, None, ownership.GIVEN)
            self._store.note(connection, [noted])

        await self._database.write(report)
        return state

    async def attempts(
        self, *, markets: Sequence[str], device: str | None, before: int | None, limit: int
    ) -> AttemptPage:
        """Who asked for tokens, newest first; with `markets`, of their devices alone."""
        rows = await self._database.read(
            lambda connection: self._store.attempts_of(
                connection, markets=markets, device=device, before=before, limit=limit
            )
        )
        views = [
            AttemptView(
                id=key,
                at=iso(row.at_ms),
                client=row.client,
                route=row.route,
                device=row.device,
                command=row.command,
                sequence_number=row.sequence_number,
                outcome=row.outcome,
            )
            for key, row in rows
        ]
        return AttemptPage(views, rows[-1][0] if len(rows) == limit else None)

    def _checked(
        self, serial: str, secret_hex: str, family: str, market: str, starting_code: int | None
    ) -> DeviceRow:
        if not is_name(serial) or family not in FAMILIES:
            raise BadRequest(f"a device has a serial and a family of {', '.join(FAMILIES)}")
        request = TokenRequest(
            device=serial,
            command="counter_sync",
            payload=0,
            secret=secret_hex,
            starting_code=starting_code,
            sequence_number=1,
        )
        try:
            wanted = check(request, default_family=family, registered=False)
        except Refused as error:
            raise BadRequest(error.detail) from error
        sealed = self._vault.seal(wanted.secret or b"", serial)
        return DeviceRow(serial, market, family, sealed, starting_code, 0)


def is_name(text: str) -> bool:
    """Whether a serial or a reference can be stored."""
    return 0 < len(text) <= MAX_NAME and "\x00" not in text


def _number_of(value: object, what: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise BadRequest(f"{what} is no integer")
