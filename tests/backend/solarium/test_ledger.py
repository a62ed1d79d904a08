"""Invariant 1 under any sequence of confirms, in any batches, and what one batch does with its duplicates."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from backend.kit.database import Database, open_database
from backend.solarium.service import Solarium
from simulator.clock import ManualClock, SeededEntropy
from tests.backend.solarium.fakes import PRICE, FakePartners, account, make_service, payment
from tests.databases import NewDatabase, examples

payments = st.fixed_dictionaries(
    {
        "tx": st.integers(1, 8).map(str),
        "reference": st.sampled_from(["254543", "2", "3", "unknown"]),
        "amount_subunit": st.integers(1, 3 * PRICE) | st.integers(1, 2_000 * PRICE),
        "currency": st.sampled_from(["UGX", "UGX", "UGX", "KES"]),
        "provider_key": st.sampled_from(["ug_mtn_mobilemoney", "ug_airtel_money"]),
    }
)


async def confirm_all(url: str, batches: list[list[dict[str, Any]]]) -> None:
    accepted: dict[tuple[str, str], int] = {}
    database = open_database(url, "solarium", inline=True)
    service = make_service(database, ManualClock(0), SeededEntropy(1), FakePartners())
    await service.start()
    await service.register_accounts([account(), account("2"), account("3", price_per_day_subunit=7)])
    for batch in batches:
        answers = await asyncio.gather(*(service.confirm(**payment(**each)) for each in batch))
        for each, new in zip(batch, answers, strict=True):
            key = (each["tx"], each["provider_key"])
            assert new == (key not in accepted)
            accepted.setdefault(key, each["amount_subunit"])
    audit = await service.audit()
    assert audit.sound
    assert audit.payments == audit.ledger_transactions == len(accepted)
    total = await database.read(lambda connection: debits(connection, service))
    assert total >= sum(accepted.values())
    await service.stop()
    await database.close()


def debits(connection: Connection, service: Solarium) -> int:
    entries = service._store.tables.ledger_entries  # pyright: ignore[reportPrivateUsage]
    return connection.execute(select(func.coalesce(func.sum(entries.c.debit_subunit), 0))).scalar_one()


def test_any_sequence_of_confirms_keeps_invariant_1(
    new_database_url: NewDatabase, database_kind: str
) -> None:
    @settings(max_examples=examples(database_kind, 25))
    @given(st.lists(st.lists(payments, max_size=8), max_size=5))
    def is_kept(batches: list[list[dict[str, Any]]]) -> None:
        url = new_database_url()
        asyncio.run(confirm_all(url, batches))
        new_database_url.drop(url)

    is_kept()


async def test_duplicates_within_a_batch_are_told_from_the_first(service: Solarium) -> None:
    bodies = [payment("A"), payment("B"), payment("A", amount_subunit=1), payment("B"), payment("C")]
    answers = await asyncio.gather(*(service.confirm(**body) for body in bodies))
    assert answers == [True, True, False, False, True]
    audit = await service.audit()
    assert (audit.payments, audit.sound) == (3, True)


async def test_a_batch_gives_what_single_payments_give(service: Solarium) -> None:
    """2.5 days each: the halves add up in the order the payments came."""
    await asyncio.gather(*(service.confirm(**payment(str(n))) for n in range(4)))
    audit = await service.audit()
    assert (audit.days_sold, audit.sound) == (10, True)
    items = await service.feed.lease(limit=10, wait_s=5)
    assert [b'"days":%d' % days in item.payload for item, days in zip(items, (2, 3, 2, 3), strict=True)] == [
        True
    ] * 4


async def test_business_accounts_keep_references_apart(service: Solarium) -> None:
    await service.register_accounts([account(business_account="600200", device="other")])
    assert await service.confirm(**payment("A", business_account="600200"))
    (item,) = await service.feed.lease(limit=10, wait_s=5)
    assert item.serial == "other"


async def test_an_account_takes_every_provider_of_its_business_account(service: Solarium) -> None:
    await service.register_accounts([account("2", provider_key="ug_airtel_money")])
    for number, key in enumerate(("ug_mtn_mobilemoney", "ug_airtel_money")):
        assert await service.confirm(**payment(str(number), provider_key=key))
    audit = await service.audit()
    assert (audit.days_sold, audit.sound) == (5, True)
    route = await service.resolve(reference="254543", market="UG")
    assert route is not None
    assert route.provider_key == "ug_airtel_money"


@pytest.mark.parametrize("plan", [{"price_per_day_subunit": 0}, {"min_days": 0}, {"max_days": 0}])
def test_a_plan_that_could_not_be_sold_is_refused(plan: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="the plan needs"):
        account(**plan)


async def test_registering_again_changes_nothing(service: Solarium) -> None:
    assert await service.confirm(**payment())
    await service.register_accounts([account(price_per_day_subunit=1)])
    assert await service.confirm(**payment("2"))
    assert (await service.audit()).days_sold == 5


async def test_the_data_survive_a_restart(service: Solarium, database: Database, clock: ManualClock) -> None:
    assert await service.confirm(**payment())
    await service.stop()
    again = make_service(database, clock, SeededEntropy(2), FakePartners())
    await again.start()
    assert not await again.confirm(**payment())
    assert (await again.audit()).payments == 1
    await again.stop()
