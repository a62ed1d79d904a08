"""A Solarium that has been used for years: accounts, payments, their ledger, and orders that are all replied.

The service's own code decides the payments, many at once; what would deliver their orders is left out.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, update

from backend.kit.database import Database
from backend.kit.migrations import migrate
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.kit.vault import Vault
from backend.solarium.accounts import account_row, business_row
from backend.solarium.confirmations import Confirmations
from backend.solarium.schemas import ConfirmRequest
from backend.solarium.store import REPLIED, Store
from tests.bench.bench import API_KEY
from tests.bench.fill import in_parts
from tests.bench.solarium_load import (
    BUSINESS_ACCOUNT,
    FIRST_REFERENCE,
    PRICE_SUBUNIT,
    PROVIDER_KEY,
)
from tests.bench.solarium_side import account

TOGETHER = 2_000
RECEIVED_AT = datetime(2025, 12, 1, 10, 30, tzinfo=UTC)


async def fill(database: Database, *, master_key: bytes, devices: int, payments: int) -> None:
    """Store that many accounts, each with a device, and that many payments."""
    await migrate(database, "solarium")
    clock = SystemClock()
    store = Store(Vault(master_key, "solarium", SystemEntropy()).pepper)
    confirmations = Confirmations(store=store, clock=clock, entropy=SystemEntropy())

    def put_accounts(connection: Connection) -> None:
        accounts = [account(number) for number in range(devices)]
        rows = [account_row(each, clock.now_ms()) for each in accounts]
        store.put_accounts(connection, [business_row(accounts[0])], rows)

    def put_payments(connection: Connection, numbers: Sequence[int]) -> None:
        confirmations.decide(connection, [_payment(number, devices) for number in numbers])
        connection.execute(delete(store.outbox.table))

    def put_key(connection: Connection) -> None:
        store.keys.install(connection, API_KEY, "bench", (), clock.now_ms())

    def end_orders(connection: Connection) -> None:
        connection.execute(update(store.tables.token_orders).values(state=REPLIED))

    await database.write(put_key)
    await database.write(put_accounts)
    await in_parts(database, payments, put_payments, together=TOGETHER)
    await database.alter(end_orders)  # however long it takes


def _payment(number: int, devices: int) -> ConfirmRequest:
    return ConfirmRequest(
        reference=str(FIRST_REFERENCE + number * 7919 % devices),  # a prime: the accounts in no order
        amount_subunit=PRICE_SUBUNIT * (1 + number % 3),
        currency="UGX",
        sender_phone_number="256700000001",
        provider_tx=f"OLD{number:012}",
        provider_key=PROVIDER_KEY,
        momoep_id=str(number),
        business_account=BUSINESS_ACCOUNT,
        received_at=RECEIVED_AT,
    )
