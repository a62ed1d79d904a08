"""Short messages to customers: orders.py has those with a token; here is the one of a payment without days.

    send_receipt   a payment bought nothing: too little, no device yet, a debt. No token tells, so this does

Mega sends one message for a `reference`, however often it is asked.
"""

from collections.abc import Mapping

import msgspec
import structlog
from sqlalchemy import Connection

from backend.kit.database import Database
from backend.kit.errors import BadRequest, Conflict, InternalError, Unprocessable
from backend.kit.outbox import Dead, Done, Handler, Leased, Outcome, Outgoing
from backend.solarium.ledger_store import payer
from backend.solarium.ports import Sms
from backend.solarium.posting import Account
from backend.solarium.store import Store

SEND_RECEIPT = "send_receipt"
NO_ROUTE = "no_route"  # Mega serves no short messages in this market (resolutions 22)
PERMANENT = (BadRequest, Conflict, Unprocessable)  # the same call would be refused for ever


class Without(msgspec.Struct, frozen=True):
    """What a payment without days left on its account, as the outbox row says it."""

    amount_subunit: int
    currency: str
    balance_subunit: int
    price_per_day_subunit: int
    paired: bool


def receipt(payment_id: int, account: Account, *, amount_subunit: int, balance_subunit: int) -> Outgoing:
    """The row to put with a payment that has bought no days."""
    told = Without(
        amount_subunit,
        account.currency,
        balance_subunit,
        account.price_per_day_subunit,
        bool(account.device),
    )
    return Outgoing(SEND_RECEIPT, str(payment_id), msgspec.to_builtins(told))


class Messages:
    """Hands messages to Mega."""

    def __init__(self, *, store: Store, database: Database, sms: Sms):
        self._store = store
        self._database = database
        self._sms = sms
        self._log = structlog.get_logger(service="solarium")

    def handlers(self) -> Mapping[str, Handler]:
        """By outbox kind."""
        return {SEND_RECEIPT: self.send_receipt}

    async def send_receipt(self, row: Leased) -> Outcome:
        """Tell the owner of the account what came of a payment."""

        def read(connection: Connection) -> tuple[str, str, str] | None:
            return payer(connection, self._store, int(row.key))

        found = await self._database.read(read)
        if found is None:
            raise InternalError("an outbox row names a payment without an account")
        msisdn, market, reference = found
        told = msgspec.convert(row.payload, Without)
        return await self.send(to=msisdn, text=_text(told), market=market, reference=f"payment:{reference}")

    async def send(self, *, to: str, text: str, market: str, reference: str) -> Outcome:
        """Give a message to Mega. A market that has none is an alert, and no dead letter."""
        try:
            await self._sms.send(to=to, text=text, market=market, reference=reference)
        except Unprocessable as error:
            if NO_ROUTE not in (error.code, *error.detail.replace(":", " ").split()):
                return Dead(f"{error.code}: {error.detail}")
            self._log.error("sms.no_route", reference=reference, market=market)
        except PERMANENT as error:
            return Dead(f"{error.code}: {error.detail}")
        return Done()


def _text(told: Without) -> str:
    text = f"Payment of {_money(told.currency, told.amount_subunit)} received, thank you. "
    if told.balance_subunit < 0:
        return f"{text}Your account still owes {_money(told.currency, -told.balance_subunit)}."
    text += f"On your account: {_money(told.currency, told.balance_subunit)}. "
    if not told.paired:
        return f"{text}It buys days as soon as your device is installed."
    return f"{text}A day costs {_money(told.currency, told.price_per_day_subunit)}."


def _money(currency: str, amount_subunit: int) -> str:
    whole, cents = divmod(amount_subunit, 100)
    return f"{currency} {whole}" + (f".{cents:02}" if cents else "")
