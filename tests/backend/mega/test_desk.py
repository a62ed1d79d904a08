"""Customers who write: BAL, TOKEN, PAY <amount> (checklist 96)."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.kit.errors import Unavailable, Unprocessable
from backend.kit.http import TimedOut
from backend.kit.outbox import Leased
from backend.mega import keywords
from backend.mega.desk import ANSWER_TRIES, FOLLOW_AGAIN_S, LOST_S, MAX_HOURLY, Partners
from backend.mega.keywords import Balance, LastToken, Pay, wish_of
from backend.mega.ports import Received
from tests.backend.mega.rig import ProviderFake, TraceableFake, at_rest, later, settled

UGANDA, KENYA = "256772123456", "254722123456"


@dataclass
class Account:
    reference: str = "254543"
    currency: str = "UGX"
    balance_subunit: int = 1_200_00
    days_left: int = 3


@dataclass
class Route:
    business_account: str = "paybill"
    currency: str = "UGX"
    provider_key: str = "ug_mtn_mobilemoney"


@dataclass
class Payment:
    payment_id: str
    status: str


class TooLow(Unprocessable):
    code = "amount_too_low"


@dataclass
class SolariumFake:
    """Accounts by (number, market); `errors` are dealt first."""

    owned: dict = field(default_factory=lambda: {(UGANDA, "UG"): [Account()]})
    typed: dict = field(default_factory=lambda: {"254543": ["*00 427 443 49#"]})
    errors: list = field(default_factory=list)

    async def accounts(self, *, msisdn, market):
        if self.errors:
            raise self.errors.pop(0)
        return self.owned.get((msisdn, market), [])

    async def tokens(self, *, msisdn, market, reference):
        assert reference in [account.reference for account in self.owned[msisdn, market]]
        return self.typed.get(reference, [])


@dataclass
class Stored:
    """A fate: the payment is there, and its answer is lost."""

    error: Exception


@dataclass
class MomoFake:
    """Each idempotency key pays once; `fates` are dealt first, `status` is what a payment has become."""

    fates: list = field(default_factory=list)
    paid: dict = field(default_factory=dict)
    route: Route | None = field(default_factory=Route)
    status: str = "pending"
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    async def resolve(self, *, reference, market, msisdn):
        assert msisdn
        return self.route

    async def pay(self, *, idempotency_key, **payment):
        fate = self.fates.pop(0) if self.fates else None
        stored = isinstance(fate, Stored)
        fate = fate.error if isinstance(fate, Stored) else fate
        if isinstance(fate, Exception) and not (stored or isinstance(fate, TimedOut)):
            raise fate
        self.paid.setdefault(idempotency_key, payment)
        if fate is not None:
            raise fate
        return Payment("p1", self.status)

    async def wait(self, payment_id, *, wait_s):
        return Payment(payment_id, self.status)

    async def find(self, idempotency_key):
        self.looked.set()
        return Payment("p1", self.status) if idempotency_key in self.paid else None


@dataclass
class Desk:
    mega: object
    solarium: SolariumFake
    momo: MomoFake
    provider: ProviderFake
    clock: object
    count: int = 0

    async def write(self, text, *, sender=UGANDA, provider="africastalking", rows=1, again=False):
        """A customer writes, and everything that follows happens; what he has been answered."""
        self.count += not again
        before = sum(self.mega._dispatcher.counters.values())
        await self.mega.receive(provider, Received(f"in-{self.count}", sender, "8008", text))
        await settled(self.mega, before + rows)
        return [text for _, text, _ in self.provider.sent]


@pytest.fixture
async def desk(build, clock):
    provider, solarium, momo = ProviderFake(), SolariumFake(), MomoFake()
    mega = build({"africastalking": provider, "infobip": TraceableFake()})
    mega.attend(Partners(accounts=solarium, payments=momo))
    await mega.start()
    yield Desk(mega, solarium, momo, provider, clock)
    await mega.stop()


async def test_checklist_96_bal_answers_days_and_balance(desk):
    assert await desk.write("bal", rows=2) == ["Account 254543: 3 days left, balance UGX 1,200."]


async def test_a_debt_is_told_as_it_is(desk):
    """A reversal may leave a balance below nothing."""
    for balance_subunit, told in ((-50, "-0.50"), (-1_234_50, "-1,234.50"), (-200, "-2")):
        desk.solarium.owned[UGANDA, "UG"] = [Account(balance_subunit=balance_subunit)]
        assert (await desk.write("BAL", rows=2))[-1].endswith(f"balance UGX {told}.")


async def test_checklist_96_token_repeats_the_last_tokens_digits(desk):
    assert await desk.write(" Token. ", rows=2) == [
        "Account 254543, type this on the keypad: *00 427 443 49#"
    ]
    desk.solarium.typed = {}
    assert (await desk.write("TOKEN", rows=2))[-1] == "Account 254543 has no token yet."


async def test_checklist_96_pay_starts_a_payment_once(desk):
    answers = await desk.write("PAY 5000", rows=2)
    assert answers == ["Confirm UGX 5,000 for account 254543 with your PIN. Your token comes by SMS."]
    ((key, payment),) = desk.momo.paid.items()
    assert key.startswith("sms:")
    assert payment == {
        "reference": "254543",
        "amount_subunit": 5000_00,
        "currency": "UGX",
        "business_account": "paybill",
        "provider_key": "ug_mtn_mobilemoney",
        "msisdn": UGANDA,
    }
    await desk.write("PAY 5000", rows=0, again=True)  # the provider repeats its webhook
    assert len(desk.momo.paid) == 1


async def test_a_payment_that_fails_later_is_told(desk):
    await desk.write("PAY 5000", rows=2)
    desk.momo.status = "failed"
    await later(desk.mega, desk.clock, FOLLOW_AGAIN_S, times=4)
    assert [text for _, text, _ in desk.provider.sent][1:] == [
        "Your payment of UGX 5,000 for account 254543 failed. Nothing was paid."
    ]


@pytest.mark.parametrize(
    ("refusal", "answer"),
    [
        (TooLow("x"), "UGX 5 is too little for account 254543. Nothing was paid."),
        (Unprocessable("x"), "Account 254543 can't be paid this way now. Nothing was paid."),
    ],
)
async def test_a_refused_payment_is_told(desk, refusal, answer):
    desk.momo.fates = [refusal]
    assert await desk.write("PAY 5", rows=2) == [answer]


async def test_an_account_without_a_route_can_not_be_paid(desk):
    desk.momo.route = None
    assert (await desk.write("PAY 5", rows=2))[0].startswith("Account 254543 can't be paid")
    assert desk.momo.paid == {}


async def test_after_a_time_out_the_same_payment_is_asked_for_again(desk):
    desk.momo.fates = [TimedOut("no answer")] * (ANSWER_TRIES + 1)
    await desk.write("PAY 5000")
    for times in range(2, ANSWER_TRIES + 3):
        await later(desk.mega, desk.clock, 60, times)
    await settled(desk.mega, ANSWER_TRIES + 3)
    assert len(desk.momo.paid) == 1
    assert desk.provider.sent[0][1].startswith("Confirm UGX 5,000")


@pytest.mark.parametrize("first", [TimedOut("no answer"), Unavailable("the answer to its commit was lost")])
@pytest.mark.parametrize(("became", "told"), [("confirmed", []), ("failed", [keywords.UNAVAILABLE])])
async def test_who_may_have_been_asked_for_his_pin_is_not_told_to_pay_again(desk, first, became, told):
    desk.momo.fates = [Stored(first), *[Unavailable("momo is away")] * ANSWER_TRIES]
    await desk.write("PAY 5000")
    for times in range(2, ANSWER_TRIES + 1):
        await later(desk.mega, desk.clock, 60, times)
    assert desk.provider.sent == []
    await later(desk.mega, desk.clock, LOST_S, ANSWER_TRIES)
    await asyncio.wait_for(desk.momo.looked.wait(), 10)  # it is pending: he is told nothing yet
    await at_rest(desk.mega._dispatcher)
    assert desk.provider.sent == []
    desk.momo.status = became
    await later(desk.mega, desk.clock, FOLLOW_AGAIN_S, ANSWER_TRIES + 1 + len(told))
    assert [text for _, text, _ in desk.provider.sent] == told


async def test_a_payment_that_was_never_taken_in_hand_is_told_in_the_end(desk):
    desk.momo.fates = [Unavailable("momo is away")] * ANSWER_TRIES
    await desk.write("PAY 5000")
    for times in range(2, ANSWER_TRIES + 1):
        await later(desk.mega, desk.clock, 60, times)
    await later(desk.mega, desk.clock, LOST_S, ANSWER_TRIES + 2)
    assert [text for _, text, _ in desk.provider.sent] == [keywords.UNAVAILABLE]
    assert desk.momo.paid == {}


async def test_a_partner_that_stays_away_is_told_in_the_end(desk):
    desk.solarium.errors = [Unavailable("x")] * ANSWER_TRIES
    await desk.write("BAL")
    for times in range(2, ANSWER_TRIES + 1):
        await later(desk.mega, desk.clock, 60, times)
    await settled(desk.mega, ANSWER_TRIES + 1)
    assert [text for _, text, _ in desk.provider.sent] == [keywords.UNAVAILABLE]


async def test_two_accounts(desk):
    desk.solarium.owned[UGANDA, "UG"] = [Account(), Account(reference="A-77", days_left=1)]
    assert (await desk.write("BAL", rows=2))[0].splitlines() == [
        "Account 254543: 3 days left, balance UGX 1,200.",
        "Account A-77: 1 day left, balance UGX 1,200.",
    ]
    assert (await desk.write("PAY 50", rows=2))[-1] == (
        "You have several accounts: 254543, A-77. Send PAY 50 and the account, such as PAY 50 254543."
    )
    assert (await desk.write("PAY 50 b-1", rows=2))[-1] == "This number has no account b-1."
    assert desk.momo.paid == {}
    await desk.write("pay 50 a-77", rows=2)
    assert [payment["reference"] for payment in desk.momo.paid.values()] == ["A-77"]


async def test_only_in_the_customers_market(desk):
    """A number of Kenya has no account in Uganda, whichever provider it comes through."""
    desk.solarium.owned = {(KENYA, "UG"): [Account()]}
    assert await desk.write("BAL", sender=KENYA, rows=0) == []  # africastalking is no provider of Kenya's
    await desk.write("BAL", sender=KENYA, provider="infobip", rows=2)
    infobip = desk.mega._delivery._providers["infobip"]
    assert [text for _, text, _ in infobip.sent] == [keywords.NO_ACCOUNT]
    assert await desk.write("BAL", sender="46733123450", rows=0) == []


async def test_strangers_are_answered_keywords_only(desk):
    desk.solarium.owned = {}
    assert await desk.write("I am away until Monday", rows=1) == []
    assert await desk.write("TOKEN", rows=2) == [keywords.NO_ACCOUNT]
    desk.solarium.owned = {(UGANDA, "UG"): [Account()]}
    assert (await desk.write("how much?", rows=2))[-1] == keywords.HELP


async def test_one_number_does_not_make_us_send_without_end(desk):
    for _ in range(MAX_HOURLY):
        await desk.write("BAL", rows=2)
    assert len(await desk.write("BAL", rows=0)) == MAX_HOURLY
    desk.clock.advance(3601)
    assert len(await desk.write("BAL", rows=2)) == MAX_HOURLY + 1


async def test_killed_after_the_answer_was_sent_it_is_not_sent_twice(desk):
    await desk.write("BAL", rows=2)
    row = await desk.mega._database.read(lambda c: desk.mega._store.inbound_of(c, "africastalking", "in-1"))
    await desk.mega._desk._answer(Leased(99, "answer", row.id, {}, 2, 0, 0))
    assert (await desk.mega.audit()).messages_by_status == {"sent": 1}


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("BAL", Balance()),
        ("bal.", Balance()),
        ("  Token!\n", LastToken()),
        ("PAY 5000", Pay(5000, None)),
        ("pay  5000  SC/1", Pay(5000, "SC/1")),
        ("PAY 0", None),
        ("PAY", None),
        ("PAY -5", None),
        ("PAY 5.50", None),
        ("PAY 5,000", None),
        ("PAY ٥", None),
        ("PAY 9999999999", None),
        ("PAY 5 a b", None),
        ("BALANCE", None),
        ("", None),
    ],
)
def test_wishes(text, wish):
    assert wish_of(text) == wish


@given(st.text(max_size=50))
def test_any_text_is_read(text):
    wish = wish_of(text)
    assert wish is None or isinstance(wish, Balance | LastToken) or 0 < wish.amount_major < 10**9
