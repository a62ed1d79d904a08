"""Requests, polls, callbacks, time-outs, duplicates and kills in any order: what was paid is booked once.

A whole life of a payment in virtual time. The provider and billing are fakes of momo's ports that fail as
they are told; momo, its outbox and its database are the real ones.
"""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings

from backend.kit.errors import NotFound, Unavailable
from backend.kit.http import Unreachable
from backend.momo.ports import Succeeded
from backend.momo.states import PAID, SETTLED, STATUS, TABLE, Event, State
from simulator.clock import SeededEntropy
from tests.backend.momo.life import PAYMENT, SCRIPT, BillingFake, ProviderFake, live, service_of
from tests.databases import examples


def test_what_was_paid_is_booked_once_and_nothing_else(virtually, new_database_url, database_kind):
    @settings(max_examples=examples(database_kind), suppress_health_check=[HealthCheck.too_slow])
    @given(script=SCRIPT)
    def is_booked_once(script):
        url = new_database_url()

        async def story(loop):
            payment, provider, billing = await live(loop, url, script)
            paid = bool(provider.taken_at) and script["pays"]
            assert sum(billing.booked.values()) == int(paid)
            assert payment.status == ("confirmed" if paid else "failed")

        virtually(story)
        new_database_url.drop(url)

    is_booked_once()


def test_checklist_105_a_slow_customer_is_unknown_after_a_minute_and_credited_after_an_hour(
    virtually, database_url
):
    """Resolutions 23: a time-out means unknown; a late success still credits."""
    script = {"requests": [], "statuses": [], "billing": [], "latency_s": 0.0, "pays": True}

    async def story(loop):
        provider = ProviderFake(loop, {**script, "decides_after_s": 3600.0})
        billing = BillingFake([])
        database = loop.database(database_url)
        momo = service_of(database, loop, SeededEntropy(1), billing, provider)
        await momo.start()
        payment = await momo.pay(**PAYMENT)
        assert (await momo.wait(payment.payment_id, wait_s=8)).status == "pending"
        assert loop.time() == 8
        await asyncio.sleep(100)
        assert (await momo.wait(payment.payment_id, wait_s=0)).status == "unknown"
        assert (await momo.audit(older_than_s=60)).stuck == (payment.payment_id,)
        await asyncio.sleep(3600 + 600)
        assert (await momo.wait(payment.payment_id, wait_s=30)).status == "confirmed"
        assert sum(billing.booked.values()) == 1
        await momo.stop()
        await database.close()

    virtually(story)


def test_a_waiter_is_woken_by_the_commit(virtually, database_url):
    """The long poll answers at the moment of the confirmation, not at the next look."""
    script = {"requests": [], "statuses": [], "latency_s": 0.0, "pays": True, "decides_after_s": 0.25}

    async def story(loop):
        provider = ProviderFake(loop, script)
        database = loop.database(database_url)
        momo = service_of(database, loop, SeededEntropy(1), BillingFake([]), provider)
        await momo.start()
        payment = await momo.pay(**PAYMENT)

        async def call_back():
            await asyncio.sleep(0.25)
            await momo.callback(hook="mtn", secret=provider.secrets[0], body=b"{}")

        calling = asyncio.ensure_future(call_back())
        assert (await momo.wait(payment.payment_id, wait_s=8)).status == "confirmed"
        assert loop.time() < 0.27
        await calling
        await momo.stop()
        await database.close()

    virtually(story)


def test_a_payment_that_the_provider_never_saw_fails_in_the_end(virtually, database_url):
    script = {"requests": ["no answer"] * 99, "statuses": [], "latency_s": 0.0, "pays": True}

    async def story(loop):
        provider = ProviderFake(loop, {**script, "decides_after_s": 0.0})
        database = loop.database(database_url)
        momo = service_of(database, loop, SeededEntropy(1), BillingFake([]), provider)
        await momo.start()
        payment = await momo.pay(**PAYMENT)
        await asyncio.sleep(500)
        assert (await momo.wait(payment.payment_id, wait_s=0)).status == "unknown"
        await asyncio.sleep(500)
        settled = await momo.wait(payment.payment_id, wait_s=0)
        assert (settled.status, settled.reason) == ("failed", "NOT_RECEIVED")
        assert len(provider.secrets) > 1, "within the first minute it was asked again"
        await momo.stop()
        await database.close()

    virtually(story)


def told(virtually, url, *, provider_of, billing=None, look_at_s):
    """The payment and the audit at some seconds of its life, with a provider of a kind of its own."""
    seen = []

    async def story(loop):
        provider = provider_of(loop, {"requests": [], "statuses": [], "latency_s": 0.0})
        database = loop.database(url)
        momo = service_of(database, loop, SeededEntropy(1), billing or BillingFake([]), provider)
        await momo.start()
        payment = await momo.pay(**PAYMENT)
        for at in look_at_s:
            await asyncio.sleep(at - loop.time())
            seen.append((await momo.wait(payment.payment_id, wait_s=0), await momo.audit(older_than_s=30)))
        await momo.stop()
        await database.close()

    virtually(story)
    return seen


def test_another_amount_is_booked_as_it_was_taken(virtually, database_url):
    class Less(ProviderFake):
        def truth(self, provider_ref):
            return Succeeded("tx", 4000_00, "UGX")

    billing = BillingFake([], amount_subunit=4000_00)
    ((payment, audit),) = told(virtually, database_url, provider_of=Less, billing=billing, look_at_s=[60])
    assert payment.status == "confirmed"
    assert sum(billing.booked.values()) == 1
    assert (audit.confirmed_subunit, audit.stuck, audit.dead_letters) == ({"UGX": 4000_00}, (), 0)


def test_another_currency_waits_for_an_operator(virtually, database_url):
    class Foreign(ProviderFake):
        def truth(self, provider_ref):
            return Succeeded("tx", 5000_00, "EUR")

    billing = BillingFake([])
    ((payment, audit),) = told(virtually, database_url, provider_of=Foreign, billing=billing, look_at_s=[60])
    assert (payment.status, audit.payments_by_state) == ("unknown", {"mismatched": 1})
    assert audit.mismatched == audit.stuck == (payment.payment_id,)
    assert not billing.booked


@pytest.mark.parametrize(
    ("error", "told_then"),
    [
        (Unavailable("HTTP 503", retry_after_s=7200), ("unknown", None)),
        (Unavailable("HTTP 500"), ("unknown", None)),
        (Unreachable("no connection", retry_after_s=7200), ("failed", "NOT_SENT")),
        (Unreachable("no connection"), ("failed", "NOT_SENT")),
    ],
)
def test_resolution_23_a_provider_is_asked_within_a_minute_only(virtually, database_url, error, told_then):
    asked = []

    class Away(ProviderFake):
        async def request(self, debit):
            asked.append(self.loop.time())
            raise error

    (early, _), (minute, _), (settled, _) = told(
        virtually, database_url, provider_of=Away, look_at_s=[59, 61, 3 * 3600]
    )
    assert early.status == "pending"
    assert (minute.status, minute.reason) == told_then
    assert settled.status == "failed", "the provider does not know it after ten minutes"
    assert len(asked) == 1 if error.retry_after_s else 5 < len(asked) < 30
    assert max(asked) < 60


@pytest.mark.parametrize(("killed", "status"), [(False, "failed"), (True, "unknown")])
def test_a_request_that_waited_while_the_process_was_down(virtually, database_url, killed, status):
    """One that never left fails; one that a dying process may have sent is unknown, and polled."""

    async def story(loop):
        provider = ProviderFake(loop, {"requests": [], "statuses": [], "latency_s": 1.0, "pays": True})
        provider.script["decides_after_s"] = 4000.0
        database = loop.database(database_url)
        momo = service_of(database, loop, SeededEntropy(1), BillingFake([]), provider)
        if killed:
            await momo.start()
        payment = await momo.pay(**PAYMENT)
        if killed:
            await asyncio.sleep(0.5)
            await momo.stop()
        await asyncio.sleep(3600)
        momo = service_of(database, loop, SeededEntropy(2), BillingFake([]), provider)
        await momo.start()
        await asyncio.sleep(1)
        assert (await momo.wait(payment.payment_id, wait_s=0)).status == status
        assert len(provider.secrets) == int(killed), "nobody is asked for money an hour later"
        await momo.stop()
        await database.close()

    virtually(story)


def test_a_provider_whose_status_is_away_does_not_keep_a_payment_pending(virtually, database_url):
    class Away(ProviderFake):
        async def status(self, debit, heard):
            if self.loop.time() < 500:
                raise Unavailable("HTTP 503", retry_after_s=300)
            return Succeeded("tx", 5000_00, "UGX")

    (early, _), (late, _), (settled, audit) = told(
        virtually, database_url, provider_of=Away, look_at_s=[59, 61, 2000]
    )
    assert (early.status, late.status, settled.status) == ("pending", "unknown", "confirmed")
    assert audit.dead_letters == 0


def test_an_unknown_callback_path_keeps_nothing(virtually, database_url):
    async def story(loop):
        script = {"requests": [], "statuses": [], "latency_s": 0.0, "pays": True, "decides_after_s": 0.0}
        provider = ProviderFake(loop, script)
        database = loop.database(database_url)
        momo = service_of(database, loop, SeededEntropy(1), BillingFake([]), provider)
        await momo.start()
        payment = await momo.pay(**PAYMENT)
        await momo.wait(payment.payment_id, wait_s=8)
        for hook, secret in (("mtn", "0" * 32), ("airtel", provider.secrets[0])):
            try:
                await momo.callback(hook=hook, secret=secret, body=b"{}")
            except NotFound:
                continue
            raise AssertionError("taken")
        for _ in range(150):
            await momo.callback(hook="mtn", secret=provider.secrets[0], body=b"{}")
        table = momo._store.callbacks
        rows = await database.read(lambda connection: connection.execute(table.select()).all())
        assert len(rows) == 100, "raw callbacks are kept, up to a bound"
        await momo.stop()
        await database.close()

    virtually(story)


def test_the_table_loses_no_money():
    assert set(STATUS) == set(State)
    for state in set(State) - PAID:
        assert TABLE[state, Event.PAID] is State.SUCCEEDED
        assert TABLE[state, Event.MISPAID] is State.MISMATCHED
    assert all(state is not State.CONFIRMED for state, _ in TABLE)
    assert all(TABLE.get((state, Event.TIMED_OUT)) in (State.UNKNOWN, None) for state in State)
    assert {State.CONFIRMED, State.FAILED} == SETTLED
