"""Devices come in: entered here, their secrets handed to Moto's registry through the outbox.

    registering -> in_stock   Moto has it
                -> refused    Moto does not take it; sending it in again with other values is allowed

Until Moto has it the secret is sealed in the outbox row; then it is nowhere here.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Conflict, Forbidden, Unprocessable
from backend.kit.keys import Client
from backend.kit.outbox import Dead, Done, Handler, Leased, Outcome, Outgoing
from backend.kit.runtime import Clock
from backend.kit.vault import Vault
from backend.solarium.operations import check_market
from backend.solarium.operations_store import IN_STOCK, REFUSED, REGISTERING, OperationsStore
from backend.solarium.operator_schemas import DeviceRequest, DeviceView
from backend.solarium.ports import Tokens
from backend.solarium.store import Store

REGISTER_DEVICE = "register_device"
PERMANENT = (BadRequest, Conflict, Forbidden, Unprocessable)


class Registration:
    """A part of the service, as `External` is."""

    def __init__(self, *, store: Store, database: Database, clock: Clock, vault: Vault, tokens: Tokens):
        self._store = store
        self._operations = OperationsStore(store.tables, store.operations)
        self._database = database
        self._clock = clock
        self._vault = vault
        self._tokens = tokens

    def handlers(self) -> Mapping[str, Handler]:
        """By outbox kind."""
        return {REGISTER_DEVICE: self.register}

    async def create(self, wanted: DeviceRequest, by: Client) -> DeviceView:
        """Enter one device. Conflict: it is here already."""
        check_market(by, wanted.market)

        def create(connection: Connection) -> None:
            if self.known(connection, [wanted.serial]):
                raise Conflict("the device is here already")
            self.enter(connection, [wanted])

        await self._database.write(create)
        return DeviceView(wanted.serial, wanted.market, wanted.token_family, REGISTERING)

    def known(self, connection: Connection, serials: Sequence[str]) -> set[str]:
        """Those that are here and that Moto has not refused."""
        states = self._operations.device_states(connection, serials)
        return {serial for serial, state in states.items() if state != REFUSED}

    def enter(self, connection: Connection, devices: Sequence[DeviceRequest]) -> None:
        """Enter devices that are not known, in the caller's transaction."""
        now_ms = self._clock.now_ms()
        rows = [
            {
                "serial": device.serial,
                "market": device.market,
                "token_family": device.token_family,
                "state": REGISTERING,
                "account_id": None,
                "created_at_ms": now_ms,
            }
            for device in devices
        ]
        self._operations.put_devices(connection, rows)
        outgoing = [Outgoing(REGISTER_DEVICE, device.serial, self._payload(device)) for device in devices]
        self._store.outbox.put(connection, outgoing, now_ms)

    async def register(self, row: Leased) -> Outcome:
        """Tell Moto of a device."""
        sealed = bytes.fromhex(cast(str, row.payload["sealed_secret"]))
        try:
            await self._tokens.register(
                serial=row.key,
                secret_hex=self._vault.open(sealed, row.key).hex(),
                family=cast(str, row.payload["family"]),
                market=cast(str, row.payload["market"]),
                starting_code=cast("int | None", row.payload["starting_code"]),
            )
        except PERMANENT as error:
            return Dead(f"{error.code}: {error.detail}", lambda c: self._turn(c, row.key, REFUSED))
        return Done(lambda connection: self._turn(connection, row.key, IN_STOCK))

    def _turn(self, connection: Connection, serial: str, state: str) -> None:
        self._operations.move_device(connection, serial, of=REGISTERING, to=state)

    def _payload(self, device: DeviceRequest) -> dict[str, object]:
        return {
            "sealed_secret": self._vault.seal(bytes.fromhex(device.secret), device.serial).hex(),
            "family": device.token_family,
            "market": device.market,
            "starting_code": device.starting_code,
        }
