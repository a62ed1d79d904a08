"""Requests, polls, callbacks, time-outs, duplicates and kills in any order: what was paid is booked once.

A whole life of a payment in virtual time. The provider and billing are fakes of momo's ports that fail as
they are told; momo, its outbox and its database are the real ones.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.kit.errors import NotFound, Unavailable
from backend.kit.http import TimedOut, Unreachable
from backend.momo.ports import Failed, Standing, Succeeded
from backend.momo.service import Config, MomoService
from backend.momo.states import PAID, SETTLED, STATUS, TABLE, Event, State
from simulator.clock import SeededEntropy
from tests.databases import examples


@dataclass
class Validated:
    status: str
    customer_name: str | None = None


PAYMENT = {
    "reference": "254543",
    "amount_subunit": 5000_00,
    "currency": "UGX",
    "business_account": "paybill",
    "provider_key": "ug_mtn_mobilemoney",
    "msisdn": "256772123456",
    "idempotency_key": "k1",
}
TROUBLE = ("away", "busy", "no connection", "no answer")


def trouble(fate: str) -> Unavailable:
    """The error of a fate."""
    match fate:
        case "away":
            return Unavailable("HTTP 503")
        case "busy":
            return Unavailable("HTTP 429", retry_after_s=3)
        case "no connection":
            return Unreachable("no connection")
    return TimedOut("no answer")


class ProviderFake:
    """The customer decides `decides_after_s` after a request was taken; `takes`: how often he was asked.

    Repeatable: a reference that was taken before is not taken again.
    """

    base_url = "http://provider"
    hook = "mtn"
    callback_answer = None

    def __init__(self, loop, script):
        self.loop, self.script = loop, script
        self.requests, self.statuses = list(script["requests"]), list(script["statuses"])
        self.repeatable = script.get("repeatable", True)
        self.takes = 0
        self.taken_at: dict[str, float] = {}
        self.secrets: list[str] = []

    def check(self, *, amount_subunit, currency):
        pass

    async def request(self, debit):
        self.secrets.append(debit.callback_url.rsplit("/", 1)[-1])
        fate = self.requests.pop(0) if self.requests else "taken"
        if fate in ("taken", "taken, no answer"):
            self.takes += not (self.repeatable and debit.provider_ref in self.taken_at)
            self.taken_at.setdefault(debit.provider_ref, self.loop.time())
        await asyncio.sleep(self.script["latency_s"])
        if fate == "refused":
            return Failed("FORBIDDEN")
        if fate in TROUBLE or fate == "taken, no answer":
            raise trouble(fate)
        return Standing.PENDING

    async def status(self, debit, heard):
        assert debit.base_url == "http://provider"
        fate = self.statuses.pop(0) if self.statuses else "answers"
        await asyncio.sleep(self.script["latency_s"])
        if fate in TROUBLE:
            raise trouble(fate)
        return self.truth(debit.provider_ref)

    def truth(self, provider_ref):
        taken_at = self.taken_at.get(provider_ref)
        if taken_at is None:
            return Standing.NOT_FOUND
        if self.loop.time() < taken_at + self.script["decides_after_s"]:
            return Standing.PENDING
        return Succeeded(f"tx-{provider_ref}", 5000_00, "UGX") if self.script["pays"] else Failed("EXPIRED")


class BillingFake:
    """Books once by key; `fates` says how the first calls go wrong, before or after it is booked."""

    def __init__(self, fates, amount_subunit=5000_00):
        self.fates, self.booked, self.amount_subunit = list(fates), Counter(), amount_subunit

    async def validate(self, **_):
        return Validated("ok")

    async def confirm(self, *, provider_tx, provider_key, amount_subunit, **_):
        assert amount_subunit == self.amount_subunit
        fate = self.fates.pop(0) if self.fates else "answers"
        await asyncio.sleep(0.01)
        if fate in TROUBLE and fate != "no answer":
            raise trouble(fate)
        new = (provider_tx, provider_key) not in self.booked
        self.booked[provider_tx, provider_key] += new
        if fate == "no answer":
            raise TimedOut("no answer")
        return new


def service_of(database, loop, entropy, billing, provider):
    return MomoService(
        database=database,
        clock=loop,
        entropy=entropy,
        config=Config("http://momo", b"pepper"),
        billing=billing,
        providers={"ug_mtn_mobilemoney": provider},
    )


REQUEST = st.sampled_from(["taken", "taken, no answer", "refused", *TROUBLE])
ANSWER = st.sampled_from(["answers", *TROUBLE])
SECONDS = st.floats(0, 700, allow_nan=False)
SCRIPT = st.fixed_dictionaries(
    {
        "requests": st.lists(REQUEST, max_size=6),
        "statuses": st.lists(ANSWER, max_size=8),
        "billing": st.lists(ANSWER, max_size=5),
        "decides_after_s": st.one_of(st.floats(0, 3), SECONDS),
        "pays": st.booleans(),
        "repeatable": st.booleans(),
        "latency_s": st.sampled_from([0.0, 0.05, 4.0]),
        "callbacks": st.lists(SECONDS, max_size=5),
        "kills": st.lists(st.one_of(st.floats(0, 4), SECONDS), max_size=4),
        "pays_again": st.lists(SECONDS, max_size=2),
    }
)


async def live(loop, url, script):
    """The whole story; the settled payment, the provider and billing."""
    provider, billing = ProviderFake(loop, script), BillingFake(script["billing"])
    entropy = SeededEntropy(5)
    database = loop.database(url)
    momo = service_of(database, loop, entropy, billing, provider)
    await momo.start()
    first = await momo.pay(**PAYMENT)

    happenings = sorted(
        [(at, "callback") for at in script["callbacks"]]
        + [(at, "kill") for at in script["kills"]]
        + [(at, "pay") for at in script["pays_again"]]
    )
    for at, what in happenings:
        await asyncio.sleep(max(0.0, at - loop.time()))
        match what:
            case "callback" if provider.secrets:
                await momo.callback(hook="mtn", secret=provider.secrets[-1], body=b"{}")
            case "kill":
                await momo.stop()
                momo = service_of(database, loop, entropy, billing, provider)
                await momo.start()
            case "pay":
                assert (await momo.pay(**PAYMENT)).payment_id == first.payment_id
    payment = first
    while payment.status not in ("confirmed", "failed") and loop.time() < 2 * 3600:
        await asyncio.sleep(60)
        payment = await momo.wait(first.payment_id, wait_s=0)
    await asyncio.sleep(120)  # whatever is still on its way
    audit = await momo.audit()
    assert len(set(provider.secrets)) <= 1, "every request of a payment has one callback path"
    assert len(provider.taken_at) <= 1, "every request of a payment has one reference"
    assert provider.takes <= 1, "nobody is asked twice, also where the provider would not notice"
    assert audit.dead_letters == 0
    await momo.stop()
    await database.close()
    return payment, provider, billing


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
