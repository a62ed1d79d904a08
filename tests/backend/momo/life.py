"""A payment's whole life in virtual time: momo is real, the provider and billing fail as a script says."""

import asyncio
from collections import Counter
from dataclasses import dataclass

from hypothesis import strategies as st

from backend.kit.errors import Unavailable
from backend.kit.http import TimedOut, Unreachable
from backend.momo.ports import Failed, Standing, Succeeded
from backend.momo.service import Config, MomoService
from simulator.clock import SeededEntropy


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
