"""What customers may ask about their own accounts, by the number that they call from (MESE, Mega).

A number sees the accounts that are registered for it in its market, and nothing of another's.
"""

from typing import cast

from backend.kit.database import Database
from backend.kit.runtime import Clock
from backend.kit.vault import Vault
from backend.solarium.customers_store import DAY_MS, CustomerRow, accounts_of_number, last_tokens
from backend.solarium.orders import typed_keys
from backend.solarium.schemas import CustomerAccount
from backend.solarium.store import Store


class Customers:
    """A part of the service, as `External` is."""

    def __init__(self, *, store: Store, database: Database, clock: Clock, vault: Vault):
        self._tables = store.tables
        self._database = database
        self._clock = clock
        self._vault = vault

    async def accounts(self, *, msisdn: str, market: str) -> list[CustomerAccount]:
        """The accounts of a number, oldest first, at most MAX_ACCOUNTS (customers_store.py)."""
        rows = await self._database.read(
            lambda connection: accounts_of_number(connection, self._tables, msisdn=msisdn, market=market)
        )
        now_ms = self._clock.now_ms()
        return [_account(row, now_ms) for row in rows]

    async def tokens(self, *, msisdn: str, market: str, reference: str) -> list[str]:
        """The tokens of the last payment of a number's account, as they are typed; empty: there are none."""
        orders = await self._database.read(
            lambda connection: last_tokens(
                connection, self._tables, msisdn=msisdn, market=market, reference=reference
            )
        )
        return [
            typed_keys(self._vault.open(cast(bytes, order.sealed_digits), order.id).decode(), order)
            for order in orders
        ]


def _account(row: CustomerRow, now_ms: int) -> CustomerAccount:
    left_ms = max(0, row.paid_until_ms - now_ms)
    return CustomerAccount(
        reference=row.reference,
        currency=row.currency,
        balance_subunit=row.balance_subunit,
        days_left=-(-left_ms // DAY_MS),
    )
