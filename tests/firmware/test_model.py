"""Tokens of both families in any order, replayed, by keypad and command, against what was paid."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocols.magicbox import wire
from tests.firmware.rig import DAY_S, Bench, moto_config, moto_token, openpaygo_config, opg_token

Issued = tuple[str, int, int, str]  # kind (add, set, sync, off), days, count, digits


class Paid:
    """What was paid: the model."""

    def __init__(self) -> None:
        self.used: set[int] = set()
        self.last, self.floor, self.left_s, self.unlimited = 1, 1, 0, False

    def enter(self, kind: str, days: int, count: int) -> bool:
        ahead = count > self.last
        late_add = kind == "add" and self.last - 15 <= count and count > self.floor
        late_sync = kind == "sync" and self.last - 63 <= count
        if count in self.used or not (ahead or late_add or late_sync):
            return False
        self.used.add(count)
        self.last = max(self.last, count)
        if kind in {"set", "off"} or (kind == "sync" and ahead):
            self.floor = max(self.floor, count)
        if kind in {"set", "off"}:
            self.left_s, self.unlimited = days * DAY_S, kind == "off"
        elif kind == "add" and not self.unlimited:
            self.left_s += days * DAY_S
        return True


class Tokens(RuleBasedStateMachine):
    """The issuer's counter only grows; what it issued is entered in any order."""

    bench: Bench
    family: str

    def __init__(self) -> None:
        super().__init__()
        self.paid = Paid()
        self.paid.used = {1}
        self.issued: list[Issued] = []
        self.next_count = 2
        self.commands = 0
        self.uptime_s = 0

    @initialize(family=st.sampled_from(["moto", "openpaygo"]))
    def provision(self, family: str) -> None:
        self.family = family
        config = moto_config(last_count=1) if family == "moto" else openpaygo_config(last_count=1)
        self.bench = Bench(config)

    @rule(kind=st.sampled_from(["add", "add", "add", "set", "sync", "off"]), days=st.integers(0, 40))
    def issue(self, kind: str, days: int) -> None:
        count = self.next_count
        if self.family == "moto":
            # An absolute unlock counts from activation; of 0 days it locks, whenever that was.
            command = {"add": "unlock_relative", "sync": "counter_sync"}.get(kind)
            if command is None:
                self.issued.append(("set", 0, count, moto_token("unlock_absolute", 0, count)))
            else:
                payload = 0 if kind == "sync" else days
                self.issued.append((kind, days, count, moto_token(command, payload, count)))
            self.next_count = count + 1
            return
        count += (count % 2 == 0) != (kind == "add")
        value = {"off": 998, "sync": 999}.get(kind, days)
        self.issued.append((kind, days, count, opg_token(value, count)))
        self.next_count = count + 1

    @precondition(lambda self: self.issued)
    @rule(data=st.data(), sealed=st.booleans())
    def enter(self, data: st.DataObject, sealed: bool) -> None:
        kind, days, count, digits = data.draw(st.sampled_from(self.issued[-40:]))
        if count - self.paid.last > 64:
            return
        if not sealed:
            self._wait_for_the_keypad()
        expected = "accepted" if self.paid.enter(kind, days, count) else "already_used"
        if not sealed:
            assert self.bench.result(digits) == expected
            return
        self.commands += 1
        self.bench.acknowledge_all()
        self.bench.command(wire.Token(self.commands, digits.encode()))
        done = self.bench.controller.results.find(self.commands)
        assert done is not None
        assert done[1].decode() == expected

    @rule(hours=st.integers(1, 100))
    def wait(self, hours: int) -> None:
        self.bench.wait(hours * 3600)
        if not self.paid.unlimited:
            self.paid.left_s = max(0, self.paid.left_s - hours * 3600)

    @rule()
    def pull_the_plug(self) -> None:
        """Every step here ends with a save, so a cut gives nothing back (test_credit.py has the bound)."""
        self.bench.reboot()

    @rule()
    def mistype(self) -> None:
        self._wait_for_the_keypad()
        assert self.bench.result("12") == "invalid"

    def _wait_for_the_keypad(self) -> None:
        if self.bench.result("") == "locked":
            self.wait(9)  # hours; the longest pause is 512 minutes

    @invariant()
    def the_device_owes_what_was_paid(self) -> None:
        if not hasattr(self, "bench"):
            return
        controller = self.bench.controller
        if self.paid.unlimited:
            assert controller.status == wire.STATE_PAYG_DISABLED
        else:
            assert controller.credit_s == self.paid.left_s
        assert self.bench.hal.relay == (self.paid.unlimited or self.paid.left_s > 0)
        assert controller.token_count == self.paid.last


TestTokens = Tokens.TestCase
TestTokens.settings = settings(stateful_step_count=30)
