"""The real Solarium, wired as in production, the dispatcher included.

But Moto never answers: the first orders stay in the dispatcher's hands, all others in the outbox. What is
measured is what the request itself does.
"""

import asyncio
import dataclasses

from backend.kit.batch import MAX_BATCH
from backend.kit.database import Database
from backend.kit.runtime import SystemClock, SystemEntropy
from backend.solarium.audit import audit
from backend.solarium.orders import Partners
from backend.solarium.routes import make_app
from backend.solarium.service import NewAccount, Solarium, SolariumConfig
from backend.solarium.store import Store
from tests.bench.bench import API_KEY, DEVICES, MASTER_KEY, ORDINARY, SINGLE, Running, serial
from tests.bench.solarium_load import (
    BUSINESS_ACCOUNT,
    FIRST_REFERENCE,
    PRICE_SUBUNIT,
    PROVIDER_KEY,
)
from tests.bench.solarium_ordinary import OneByOne


class Silent:
    """Partners that never answer."""

    async def order(self, **_: object) -> object:
        return await asyncio.Event().wait()

    create = send = order


async def start(database: Database, bench: str, mode: str) -> Running:
    """See bench.Side."""
    silent = Silent()
    service = Solarium(
        database=database,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        config=SolariumConfig(
            master_key=MASTER_KEY,
            callback_base="http://127.0.0.1:1",
            callback_secret=bytes(32),
            max_batch=1 if mode == SINGLE else MAX_BATCH,
        ),
        partners=Partners(tokens=silent, commands=silent, sms=silent, devices=silent),  # type: ignore[arg-type]
    )
    if mode == ORDINARY:
        one_by_one = OneByOne(service)
        service.book = one_by_one.book  # type: ignore[method-assign]
        service.validate = one_by_one.validate  # type: ignore[method-assign]
    await service.start()
    await service.register_accounts([account(number) for number in range(DEVICES)])
    await service.install_key(API_KEY, client="bench")
    return Running(make_app(service, service.keys), service.stop)


async def stored(database: Database, bench: str) -> int | None:
    """See bench.Side. The whole ledger is audited."""
    if bench != "confirm_payment":
        return None
    found = await database.read(lambda connection: audit(connection, Store(b"")))
    assert found.sound, dataclasses.replace(found, days_by_device={})
    return found.payments


def account(number: int) -> NewAccount:
    """The customer of this number, with a device."""
    return NewAccount(
        reference=f"{FIRST_REFERENCE + number}",
        business_account=BUSINESS_ACCOUNT,
        provider_key=PROVIDER_KEY,
        currency="UGX",
        market="UG",
        customer_name="John Doe",
        msisdn=f"2567{number:08}",
        device=serial(number),
        price_per_day_subunit=PRICE_SUBUNIT,
    )
