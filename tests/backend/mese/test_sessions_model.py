"""Any sequence of inputs, repeats, splits, old hops, ends, failures, restarts: one answer, one payment."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.kit.database import open_database
from backend.kit.http import TimedOut, Unreachable
from backend.mese.languages import LANGUAGES
from backend.mese.schemas import Ending, Hop
from backend.mese.service import MeseService
from simulator.clock import ManualClock, SeededEntropy
from tests.databases import examples

PHONES = ("256772123456", "256772000002", "250788300001")  # one account, two of them, one in another market
INPUT = st.sampled_from(
    ["1", "2", "3", "4", "254543", "254544", "777", "5000", "0", "00", "9", "", "5*000", "*", "x", "1000001"]
)
CONFIRMS = [language.texts["confirm"].rpartition("?")[2] for language in LANGUAGES.values()]
MOVE = st.one_of(
    st.tuples(st.just("type"), INPUT),
    st.tuples(st.just("dial to the question"), st.none()),
    st.tuples(st.just("together"), st.just("1")),
    st.tuples(st.just("at once"), st.just(["1", "254543", "5000", "1"])),
    st.tuples(st.just("at once"), st.lists(INPUT, min_size=2, max_size=5)),
    st.tuples(st.just("together"), INPUT),
    st.tuples(st.just("repeat"), st.integers(0, 6)),
    st.tuples(st.just("down"), st.sampled_from(["resolve", "validate", "pay", "wait"])),
    st.tuples(st.just("lost"), st.sampled_from(["pay", "wait"])),
    st.tuples(st.just("accounts down"), st.none()),
    st.tuples(st.just("up"), st.none()),
    st.tuples(st.just("end"), st.sampled_from(["Success", "Incomplete", "Failed"])),
    st.tuples(st.just("speak"), st.sampled_from(["1", "2"])),
    st.tuples(st.just("phone"), st.sampled_from(PHONES)),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("redial"), st.none()),
)


class Walk:
    """A customer with a phone at a time; every session's texts, and what was answered to each."""

    def __init__(self, url, payments, accounts, sms):
        self.url, self.payments, self.accounts, self.sms = url, payments, accounts, sms
        self.phone_number = PHONES[0]
        self.entropy = SeededEntropy(3)
        self.number = 0
        self.told: dict[tuple[int, str], str] = {}
        self.texts = [""]
        self.shown: list[str] = []
        self.ended = False
        self.open()

    def open(self):
        self.database = open_database(self.url, "mese", inline=True)
        self.host = MeseService(
            database=self.database,
            clock=ManualClock(1_764_583_800_000),
            entropy=self.entropy,
            payments=self.payments,
            accounts=self.accounts,
            sms=self.sms,
        )

    async def hop(self, text):
        asked = any(confirms in answer for answer in self.shown for confirms in CONFIRMS)
        paid = len(self.payments.paid)
        answer = await self.host.hop(Hop(f"s{self.number}", self.phone_number, text))
        assert answer.startswith(("CON ", "END "))
        assert len(answer) <= 182
        if "443 49#" not in answer and "443 49#" not in self.told.get((self.number, text), ""):
            assert self.told.setdefault((self.number, text), answer) == answer, "a repeat is the same"
        assert self.may_pay(asked) or len(self.payments.paid) == paid, "nothing is paid that was not shown"
        if self.phone_number == PHONES[2]:
            assert "443 49#" not in answer, "another market's token"
            assert "Account 254543" not in answer
        self.shown.append(answer)

    def may_pay(self, asked):
        """Whether a payment may come of a hop: who calls from Rwanda knows no account that the fake has."""
        return asked and not self.ended and self.phone_number != PHONES[2]

    def longer(self, typed):
        before = self.texts[-1]
        self.texts.append(f"{before}*{typed}" if before else typed)
        return self.texts[-1]

    async def type(self, typed):
        await self.hop(self.longer(typed))

    async def move(self, move, argument):
        await getattr(self, move.replace(" ", "_"))(argument)

    async def dial_to_the_question(self, _):
        await self.redial(None)
        for typed in ("1", "254543", "5000"):
            await self.type(typed)

    async def at_once(self, inputs):
        await self.type("*".join(inputs))

    async def together(self, typed):
        text = self.longer(typed)
        await asyncio.gather(*(self.hop(text) for _ in range(3)))

    async def repeat(self, back):
        await self.hop(self.texts[-1 - min(back, len(self.texts) - 1)])

    async def down(self, call):
        self.payments.down[call] = Unreachable("no connection")

    async def lost(self, call):
        self.payments.down[call] = TimedOut("no answer")

    async def accounts_down(self, _):
        self.accounts.down = Unreachable("no connection")

    async def up(self, _):
        self.payments.down.clear()
        self.accounts.down = None

    async def end(self, status):
        for _ in range(2):
            await self.host.end(Ending(f"s{self.number}", self.phone_number, status, *[""] * 4))
        self.ended = True

    async def speak(self, choice):
        await self.redial(None)
        await self.type("4")
        await self.type(choice)

    async def phone(self, number):
        self.phone_number = number
        await self.redial(None)

    async def restart(self, _):
        await self.database.close()
        self.open()

    async def redial(self, _):
        self.number, self.texts, self.shown, self.ended = self.number + 1, [""], [], False
        await self.hop("")


def test_checklist_21_never_paid_twice_always_answered(
    new_database_url, database_kind, payments_fake, accounts_fake, sms
):
    async def walked(url, moves):
        payments = payments_fake()
        walk = Walk(url, payments, accounts_fake(), sms)
        await walk.hop("")
        for move, argument in moves:
            await walk.move(move, argument)
            assert len(payments.paid) <= walk.number + 1, "a session pays once"
        await walk.database.close()

    @settings(max_examples=examples(database_kind), suppress_health_check=[HealthCheck.too_slow])
    @given(moves=st.lists(MOVE, max_size=25))
    def is_paid_once(moves):
        url = new_database_url()
        asyncio.run(walked(url, moves))
        new_database_url.drop(url)

    is_paid_once()
