"""A provider as a fake of momo's port, with a statement too, and a payment that it was asked for."""

import asyncio

from backend.momo.ports import Standing, Taken

PAYMENT = {
    "reference": "254543",
    "amount_subunit": 500_00,
    "currency": "KES",
    "business_account": "247247",
    "provider_key": "ke_equity_eazzypay",
    "msisdn": "254763000111",
}


class ProviderFake:
    """Takes everything, and says of a payment what `outcomes` has for its id."""

    base_url, hook, repeatable, callback_answer = "http://provider", "equity", True, None
    cut_at = None
    reach_ms = None

    def __init__(self):
        self.outcomes, self.lines = {}, []

    def check(self, *, amount_subunit, currency):
        pass

    async def request(self, debit):
        return Taken(f"H-{debit.provider_ref}")

    async def status(self, debit, heard):
        return self.outcomes.get(debit.payment_id, Standing.PENDING)

    async def statement(self, first_ms, last_ms):
        return self.lines


async def asked_for(momo, key):
    """A payment that the provider has taken; its row."""
    payment = await momo.pay(**PAYMENT, idempotency_key=key)
    while True:
        row = await momo._database.read(lambda c: momo._store.by_id(c, payment.payment_id))
        if row.handle is not None:
            return row
        await asyncio.sleep(0.01)
