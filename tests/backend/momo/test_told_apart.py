"""A provider that can only say which transactions a payment may have been (Daraja's list)."""

import pytest

from backend.momo.ports import Incoming, OneOf, Standing, Succeeded
from tests.backend.momo.conftest import running
from tests.backend.momo.provider import PAYMENT, asked_for


@pytest.fixture
async def momo(build, provider):
    async with running(build(providers={"ke_equity_eazzypay": provider})) as momo:
        yield momo


def one_of(*receipts, otherwise=Standing.PENDING):
    return OneOf(tuple(Succeeded(receipt, 500_00, "KES") for receipt in receipts), otherwise)


async def paid(momo, provider, key, outcome):
    row = await asked_for(momo, key)
    provider.outcomes[row.id] = outcome
    await momo.callback(hook="equity", secret=momo._callback_paths.secret_of(row.id), body=b"{}")
    assert (await momo.wait(row.id, wait_s=5)).status == "confirmed"
    return row


async def test_a_transaction_is_of_one_payment_only(momo, provider, billing):
    """Two equal pushes within minutes: one told, one whose answer and callback were lost."""
    await paid(momo, provider, "k1", Succeeded("T1", 500_00, "KES"))
    lost = await asked_for(momo, "k2")
    for seen, stands in (
        (one_of("T1", otherwise=Standing.NOT_FOUND), Standing.NOT_FOUND),  # never taken: not by T1
        (one_of("T1", otherwise=Standing.PENDING), Standing.PENDING),
        (one_of("T1", "T2"), Succeeded("T2", 500_00, "KES")),
        (one_of("T1", "T2", "T3", otherwise=Standing.NOT_FOUND), Standing.PENDING),  # of these nobody knows
    ):
        provider.outcomes[lost.id] = seen
        assert await momo._transfers.seen(lost) == stands
    await paid(momo, provider, "k3", one_of("T1", "T3"))
    assert {tx for tx, _ in billing.booked} == {"T1", "T3"}


async def test_a_push_that_the_till_told_of_too_is_still_a_push(momo, provider, billing):
    notice = Incoming(
        provider_tx="T1",
        provider_key=PAYMENT["provider_key"],
        reference="254543",
        business_account="247247",
        amount_subunit=500_00,
        currency="KES",
        sender="254763000111",
    )
    assert await momo.inbound.confirm(notice)
    await paid(momo, provider, "k1", one_of("T1"))
    assert len(billing.booked) == 1
