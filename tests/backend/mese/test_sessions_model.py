"""Any sequence of inputs, repeats, splits, old hops, failures, restarts: an answer each, one payment."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.kit.database import open_database
from backend.kit.http import TimedOut, Unreachable
from backend.mese.schemas import Hop
from backend.mese.service import MeseService
from simulator.clock import ManualClock, SeededEntropy

INPUT = st.sampled_from(["1", "2", "254543", "777", "5000", "0", "9", "", "5*000", "*", "x", "1000001"])
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
    st.tuples(st.just("up"), st.none()),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("redial"), st.none()),
)


class Walk:
    """A customer with one phone; every session's texts, and what was answered to each."""

    def __init__(self, url, payments, sms):
        self.url, self.payments, self.sms = url, payments, sms
        self.entropy = SeededEntropy(3)
        self.number = 0
        self.told: dict[tuple[int, str], str] = {}
        self.texts = [""]
        self.shown: list[str] = []
        self.open()

    def open(self):
        self.database = open_database(self.url, "mese", inline=True)
        self.host = MeseService(
            database=self.database,
            clock=ManualClock(1_764_583_800_000),
            entropy=self.entropy,
            payments=self.payments,
            sms=self.sms,
        )

    async def hop(self, text):
        asked = any("1. Confirm" in answer for answer in self.shown)
        paid = len(self.payments.paid)
        answer = await self.host.hop(Hop(f"s{self.number}", "256772123456", text))
        assert answer.startswith(("CON ", "END "))
        assert len(answer) <= 182
        assert self.told.setdefault((self.number, text), answer) == answer, "a repeat is answered the same"
        assert asked or len(self.payments.paid) == paid, "nothing is paid that was not shown"
        self.shown.append(answer)

    def longer(self, typed):
        before = self.texts[-1]
        self.texts.append(f"{before}*{typed}" if before else typed)
        return self.texts[-1]

    async def type(self, typed):
        await self.hop(self.longer(typed))

    async def move(self, move, argument):
        match move:
            case "type":
                await self.type(argument)
            case "dial to the question":
                await self.move("redial", None)
                for typed in ("1", "254543", "5000"):
                    await self.type(typed)
            case "at once":
                await self.type("*".join(argument))
            case "together":
                text = self.longer(argument)
                await asyncio.gather(*(self.hop(text) for _ in range(3)))
            case "repeat":
                await self.hop(self.texts[-1 - min(argument, len(self.texts) - 1)])
            case "down":
                self.payments.down[argument] = Unreachable("no connection")
            case "lost":
                self.payments.down[argument] = TimedOut("no answer")
            case "up":
                self.payments.down.clear()
            case "restart":
                await self.database.close()
                self.open()
            case "redial":
                self.number, self.texts, self.shown = self.number + 1, [""], []
                await self.hop("")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(moves=st.lists(MOVE, max_size=25))
def test_never_paid_twice_always_answered(moves, migrated, payments_fake, sms):
    async def walk():
        with tempfile.TemporaryDirectory() as folder:
            payments = payments_fake()
            walk = Walk(migrated(Path(folder)), payments, sms)
            await walk.hop("")
            for move, argument in moves:
                await walk.move(move, argument)
                assert len(payments.paid) <= walk.number + 1, "a session pays once"
            await walk.database.close()

    asyncio.run(walk())
