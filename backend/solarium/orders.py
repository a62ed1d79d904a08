"""From a paid day to the device: the outbox handlers of token orders.

    order_token   Moto makes the token -> stored sealed, and two rows put:
    send_command    M2M takes it to the device; its callback makes the order `replied`
    send_sms        Mega takes it to the customer, who can type it

Each hands the order's id on as the `reference`, so a handler that is run again changes nothing twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import structlog
from sqlalchemy import Connection

from backend.kit.batch import ReadBatch
from backend.kit.database import Database
from backend.kit.errors import BackendError, InternalError, Unavailable
from backend.kit.outbox import Dead, Done, Handler, Leased, Outcome, Outgoing, Settler
from backend.kit.runtime import Clock
from backend.kit.vault import Vault
from backend.solarium.confirmations import ORDER_TOKEN
from backend.solarium.messages import PERMANENT, Messages
from backend.solarium.orders_store import orders_for, withdraw
from backend.solarium.ports import Commands, Devices, Sms, Tokens
from backend.solarium.store import Issued, Order, Store
from protocols.tokens.encoding import render

SEND_COMMAND = "send_command"
SEND_SMS = "send_sms"

KEYPAD_ENCODING = "*+0-9+#+pad3 space3"  # checklist 85
TYPED_AS_THEY_ARE = ("openpaygo",)  # families without `*` and `#`


@dataclass(frozen=True, slots=True)
class Partners:
    """The services that deliver."""

    tokens: Tokens
    devices: Devices
    commands: Commands
    sms: Sms


class Orders:
    """Handlers for the dispatcher. `callback_base` is Solarium's own base URL as M2M sees it.

    stored: an order by its id; those that are asked for together are read together.
    """

    def __init__(
        self,
        *,
        store: Store,
        database: Database,
        clock: Clock,
        vault: Vault,
        partners: Partners,
        callback_base: str,
    ):
        self._store = store
        self.stored = ReadBatch(database, store.orders)
        self._clock = clock
        self._vault = vault
        self._partners = partners
        self._callback_base = callback_base.rstrip("/")
        self._log = structlog.get_logger(service="solarium")
        self._messages = Messages(store=store, database=database, sms=partners.sms)

    def handlers(self) -> Mapping[str, Handler]:
        """By outbox kind."""
        return {
            ORDER_TOKEN: self.order_token,
            SEND_COMMAND: self.send_command,
            SEND_SMS: self.send_sms,
            **self._messages.handlers(),
        }

    def settlers(self) -> Mapping[str, Settler]:
        """By outbox kind."""
        return {ORDER_TOKEN: self._issue, SEND_COMMAND: self._store.sent}

    async def order_token(self, row: Leased) -> Outcome:
        """Have the token made; the next number of the device is Moto's to give."""
        try:
            token = await self._partners.tokens.order(
                device=cast(str, row.payload["device"]),
                command="unlock_relative",
                payload=cast(int, row.payload["days"]),
                reference=row.key,
            )
        except PERMANENT as error:
            return Dead(f"{error.code}: {error.detail}")
        except BackendError as error:
            # Reported stolen, or not in its registry: paid days wait, and only somebody can help.
            if row.is_told and not isinstance(error, Unavailable):
                device, said = row.payload["device"], f"{error.code}: {error.detail}"
                self._log.error("order.waits", order=row.key, device=device, error=said)
            raise
        sealed = self._vault.seal(token.digits.encode(), row.key)
        return Done(result=Issued(row.key, token.sequence_number, sealed))

    def _issue(self, connection: Connection, tokens: Sequence[Issued]) -> None:
        first = self._store.issue(connection, tokens)
        rows = [Outgoing(kind, order_id, {}) for order_id in first for kind in (SEND_COMMAND, SEND_SMS)]
        self._store.outbox.put(connection, rows, self._clock.now_ms())

    async def send_command(self, row: Leased) -> Outcome:
        """Give the token to M2M as an unlock command."""
        order = await self._order(row.key)
        try:
            await self._partners.commands.create(
                identifier=order.device,
                name="unlock_token",
                details={"unlock_code": self._digits(order)},
                callback_url=f"{self._callback_base}/m2m/callback/{order.id}",
                reference=order.id,
            )
        except PERMANENT as error:
            return Dead(f"{error.code}: {error.detail}")
        return Done(result=order.id)

    async def send_sms(self, row: Leased) -> Outcome:
        """Give the token to Mega as a short message to the account's own number."""
        order = await self._order(row.key)
        keys = typed_keys(self._digits(order), order)
        text = f"Payment received, thank you. Type this on the keypad: {keys}"
        return await self._messages.send(to=order.msisdn, text=text, market=order.market, reference=order.id)

    async def _order(self, order_id: str) -> Order:
        order = await self.stored.submit(order_id)
        if order is None or order.sealed_digits is None:
            raise InternalError("an outbox row names an order that has no token")
        return order

    def _digits(self, order: Order) -> str:
        return self._vault.open(cast(bytes, order.sealed_digits), order.id).decode()


def end_orders(connection: Connection, store: Store, account_id: int, device: str) -> None:
    """Send nothing more of what was on its way to a device that was swapped: its days have moved."""
    orders = orders_for(connection, store.tables, account_id, device)
    withdraw(connection, store.tables, orders)
    for kind in (ORDER_TOKEN, SEND_COMMAND, SEND_SMS):
        store.outbox.cancel(connection, kind, orders)


def typed_keys(digits: str, order: Order) -> str:
    """The token of an order as it is typed on the keypad of its device (checklist 85)."""
    if order.token_family in TYPED_AS_THEY_ARE:
        return digits
    return render(int(digits), KEYPAD_ENCODING) or digits
