"""Devices come in: entered here, their secrets handed to Moto's and M2M's registries through the outbox.

    registering -> in_stock   both have it; one without a link key only Moto, until its board is provisioned
                -> refused    one does not take it; sending it in again with other values is allowed

Until they have it the secrets are sealed in the outbox row; then they are nowhere here but as one keyed hash,
by which the same device again is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Conflict, Forbidden, Unprocessable
from backend.kit.keys import Client
from backend.kit.outbox import Dead, Done, Handler, Leased, Outcome, Outgoing
from backend.kit.runtime import Clock
from backend.kit.vault import Vault
from backend.solarium.actions_store import Action, note
from backend.solarium.operations_store import IN_STOCK, REFUSED, REGISTERING, EnteredRow, OperationsStore
from backend.solarium.operator_schemas import DeviceRequest, DeviceView
from backend.solarium.orders import Partners
from backend.solarium.store import Store

REGISTER_DEVICE = "register_device"
PERMANENT = (BadRequest, Conflict, Forbidden, Unprocessable)


@dataclass(frozen=True, slots=True)
class Entries:
    """Devices that are ready to be entered."""

    rows: Sequence[EnteredRow]
    outgoing: Sequence[Outgoing] = field(repr=False)


class Registration:
    """A part of the service, as `External` is."""

    def __init__(self, *, store: Store, database: Database, clock: Clock, vault: Vault, partners: Partners):
        self._store = store
        self._operations = OperationsStore(store.tables, store.operations)
        self._database = database
        self._clock = clock
        self._vault = vault
        self._partners = partners

    def handlers(self) -> Mapping[str, Handler]:
        """By outbox kind."""
        return {REGISTER_DEVICE: self.register}

    async def create(self, wanted: DeviceRequest, by: Client) -> DeviceView:
        """Enter one device. Conflict: it is here already."""
        by.check(wanted.market)

        def create(connection: Connection) -> None:
            if self.standing(connection, [wanted]):
                raise Conflict("the device is here already")
            self.enter(connection, self.entries([wanted]))
            action = Action("create_device", wanted.serial, wanted.market)
            note(connection, self._store, by, action, self._clock.now_ms())

        await self._database.write(create)
        return DeviceView(wanted.serial, wanted.market, wanted.token_family, REGISTERING)

    def standing(self, connection: Connection, devices: Sequence[DeviceRequest]) -> dict[str, bool]:
        """Of those that are here and were not refused: whether they were entered with the same values."""
        known = self._operations.identities(connection, [device.serial for device in devices])
        return {
            device.serial: known[device.serial][1] == self._identity(device)
            for device in devices
            if device.serial in known and known[device.serial][0] != REFUSED
        }

    def entries(self, devices: Sequence[DeviceRequest]) -> Entries:
        """What entering them writes, sealed and hashed: the work that needs no transaction."""
        now_ms = self._clock.now_ms()
        return Entries(
            [
                EnteredRow(
                    device.serial,
                    device.market,
                    device.token_family,
                    REGISTERING,
                    now_ms,
                    self._identity(device),
                )
                for device in devices
            ],
            [Outgoing(REGISTER_DEVICE, device.serial, self._payload(device)) for device in devices],
        )

    def enter(self, connection: Connection, entries: Entries) -> None:
        """Enter devices that are not known, in the caller's transaction.

        Conflict: another transaction has entered one of them meanwhile, with other values.
        """
        self._operations.put_devices(connection, entries.rows)
        stored = self._operations.identities(connection, [row.serial for row in entries.rows])
        if any(stored[row.serial][1] != row.identity_hash for row in entries.rows):
            raise Conflict("a device was entered with other values in this moment; look again")
        self._store.outbox.put(connection, entries.outgoing, self._clock.now_ms())

    async def register(self, row: Leased) -> Outcome:
        """Tell Moto, and M2M if it has a link key, of a device."""
        market = cast(str, row.payload["market"])
        try:
            await self._partners.tokens.register(
                serial=row.key,
                secret_hex=self._opened(row, "sealed_secret").hex(),
                family=cast(str, row.payload["family"]),
                market=market,
                starting_code=cast("int | None", row.payload["starting_code"]),
            )
            if "sealed_link_key" in row.payload:
                await self._partners.devices.register(
                    serial=row.key,
                    market=market,
                    link_key_hex=self._opened(row, "sealed_link_key").hex(),
                    password=self._opened(row, "sealed_password").decode(),
                )
        except PERMANENT as error:
            return Dead(f"{error.code}: {error.detail}", lambda c: self._turn(c, row.key, REFUSED))
        return Done(lambda connection: self._turn(connection, row.key, IN_STOCK))

    def _turn(self, connection: Connection, serial: str, state: str) -> None:
        self._operations.move_device(connection, serial, of=REGISTERING, to=state)

    def _opened(self, row: Leased, name: str) -> bytes:
        return self._vault.open(bytes.fromhex(cast(str, row.payload[name])), row.key)

    def _identity(self, device: DeviceRequest) -> str:
        """A keyed hash of all that a device is entered with."""
        hexes = (device.secret.lower(), (device.link_key or "").lower())
        told = (device.serial, device.market, device.token_family, *hexes, device.password or "")
        return self._vault.fingerprint("\x00".join((*told, str(device.starting_code))))

    def _payload(self, device: DeviceRequest) -> dict[str, object]:
        link: dict[str, object] = {}
        if device.link_key is not None and device.password is not None:
            link = {
                "sealed_link_key": self._vault.seal(bytes.fromhex(device.link_key), device.serial).hex(),
                "sealed_password": self._vault.seal(device.password.encode(), device.serial).hex(),
            }
        return {
            **link,
            "sealed_secret": self._vault.seal(bytes.fromhex(device.secret), device.serial).hex(),
            "family": device.token_family,
            "market": device.market,
            "starting_code": device.starting_code,
        }
