"""Tokens of both families in any order, replayed, synced, cut off and jumbled, against what was paid.

2,000 sequences, 100,000 with HYPOTHESIS_PROFILE=explore; half of them for each family, so that two workers
share them. Digits that are a token of two counts (acceptance.py: one in 32,768 and so on) are not issued
here; test_checks.py has those.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware.config import PREPAID_S
from firmware.credit import MAX_STEP_MS, SAVE_INTERVAL_S
from protocols.magicbox import wire
from protocols.tokens import moto, openpaygo
from tests.firmware.rig import (
    CUTS,
    DAY_S,
    K1,
    K1_STARTING_CODE,
    MOTO_SECRET,
    Bench,
    NorFlash,
    PowerCut,
    moto_config,
    openpaygo_config,
)

IS_EXPLORING = settings().max_examples >= 5_000
SEQUENCES = 50_000 if IS_EXPLORING else 1_000
pytestmark = pytest.mark.timeout(4 * 3_600 if IS_EXPLORING else 120)

COUNTS = 1_500  # no sequence gets as far
DAYS = st.sampled_from([0, 1, 7, 30])
CUT = st.none() | st.tuples(st.integers(0, 3), st.sampled_from(CUTS))

Token = tuple[str, int, int, str]  # kind (add, set, sync, off), days, count, digits
Cut = tuple[int, str] | None  # in which flash operation, and how it leaves it


class Paid:
    """The model: what was paid, and which tokens were used for it."""

    def __init__(self) -> None:
        self.used = {1}
        self.last = self.floor = 1
        self.left_s = 0.0
        self.unlimited = False

    def enter(self, kind: str, days: int, count: int) -> str:
        ahead = count - self.last
        late = (kind == "add" and ahead >= -15 and count > self.floor) or (kind == "sync" and ahead >= -63)
        if ahead > (100 if kind == "sync" else 64):
            return "invalid"
        if count in self.used or not (ahead > 0 or late):
            return "already_used"
        self.used.add(count)
        self.last = max(self.last, count)
        if kind in {"set", "off"} or (kind == "sync" and ahead > 0):
            self.floor = max(self.floor, count)
        if kind in {"set", "off"}:
            self.left_s, self.unlimited = days * DAY_S, kind == "off"
        elif kind == "add" and not self.unlimited:
            self.left_s += days * DAY_S
        return "accepted"


@cache
def _openpaygo_digits(value: int) -> list[str]:
    """The tokens of a value at every count from 0 (which is none) on."""
    chain = openpaygo.Chain(K1, K1_STARTING_CODE, value)
    digits = [""]
    for _ in range(COUNTS):
        chain.step()
        digits.append(openpaygo.format_token(chain.token()))
    return _unambiguous(digits)


@cache
def _moto_digits(command: int, payload: int) -> list[str]:
    return _unambiguous([str(moto.encode(MOTO_SECRET, command, payload, n)) for n in range(COUNTS)])


def _unambiguous(digits: list[str]) -> list[str]:
    twice = {own for own, number in Counter(digits).items() if number > 1}
    return ["" if own in twice else own for own in digits]


class Replay(RuleBasedStateMachine):
    """The issuer's counter only grows; what it issued is entered in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.paid = Paid()
        self.bench = self.provisioned()
        self.issued: list[Token] = []
        self.next_count = 2
        self.commands = 0
        self.frames: list[bytes] = []

    def provisioned(self) -> Bench:
        raise NotImplementedError

    def meant(self, kind: str, days: int) -> tuple[str, int]:
        """What the family has for it."""
        raise NotImplementedError

    def digits(self, kind: str, days: int, count: int) -> str:
        """The token; none for a count that has no such token, or one like another count's."""
        raise NotImplementedError

    @rule(
        kind=st.sampled_from(["add", "add", "add", "set", "sync", "off"]),
        days=DAYS,
        lost=st.sampled_from([0, 0, 0, 0, 3, 20, 60, 90]),
    )
    def issue(self, kind: str, days: int, lost: int) -> None:
        """A new token, perhaps after others that nobody ever sees."""
        kind, days = self.meant(kind, days)
        count = self.next_count + lost
        while not self.digits(kind, days, count):
            count += 1
        self.issued.append((kind, days, count, self.digits(kind, days, count)))
        self.next_count = count + 1

    @precondition(lambda self: self.issued)
    @rule(back=st.integers(0, 3) | st.integers(0, 60), sealed=st.booleans(), cut=CUT)
    def enter(self, back: int, sealed: bool, cut: Cut) -> None:
        """One of the tokens, however old; after a power cut again, as a customer or a back end would."""
        kind, days, count, digits = self.issued[-1 - back % len(self.issued)]
        if not sealed:
            self._wait_for_the_keypad()
        expected = self.paid.enter(kind, days, count)
        self.commands += 1
        try:
            with self._power(cut):
                assert self._enter(digits, sealed=sealed) == expected
        except PowerCut:
            self.bench.reboot()
            waited_s = 0 if sealed else self._wait_out_the_pause()
            done = "already_used" if expected == "accepted" else expected  # if the first time was stored
            assert self._enter(digits, sealed=sealed) in {expected, "" if sealed else done}
            self._settle(waited_s)

    @rule(seconds=st.sampled_from([1, 9, 60, 800, 3_600, 40_000, 400_000]))
    def wait(self, seconds: int) -> None:
        self.bench.wait(seconds)
        self._passes(seconds)

    @rule(seconds=st.integers(0, 800), cut=CUT)
    def live_until_the_power_goes(self, seconds: int, cut: Cut) -> None:
        """Polled whenever the device wants it; the power goes in a save, or at the end."""
        hal = self.bench.hal
        end_ms = hal.now_ms + seconds * 1000
        with suppress(PowerCut), self._power(cut):
            while hal.now_ms < end_ms:
                wait_ms = self.bench.controller.poll(hal.now_ms)
                step_ms = min(wait_ms, end_ms - hal.now_ms)
                hal.now_ms += step_ms
                self._passes(step_ms / 1000)
        self.bench.reboot()
        self._settle()

    @rule(jump_ms=st.integers(-(2**35), -1) | st.integers(MAX_STEP_MS + 1, 2**40))
    def clock_jumps(self, jump_ms: int) -> None:
        self.bench.hal.now_ms += jump_ms
        self.bench.controller.poll(self.bench.hal.now_ms)

    @rule(unix_s=st.integers(0, 0xFFFFFFFF))
    def clock_is_set(self, unix_s: int) -> None:
        self.bench.command(wire.Time(unix_s))

    @rule()
    def mistype(self) -> None:
        self._wait_for_the_keypad()
        assert self.bench.result("12") == "invalid"

    @precondition(lambda self: self.frames)
    @rule(data=st.data())
    def replay_a_frame(self, data: st.DataObject) -> None:
        """Most are refused; one that only asked again for an answer may be taken, and changes nothing."""
        self.bench.receive(data.draw(st.sampled_from(self.frames)))

    @invariant()
    def the_device_owes_what_was_paid(self) -> None:
        controller = self.bench.controller
        if self.paid.unlimited:
            assert controller.status == wire.STATE_PAYG_DISABLED
        else:
            assert controller.credit_s == math.ceil(self.paid.left_s)
        assert self.bench.hal.relay == (self.paid.unlimited or self.paid.left_s > 0)
        assert controller.token_count == self.paid.last

    def _enter(self, digits: str, *, sealed: bool) -> str:
        if not sealed:
            return self.bench.result(digits)
        self.bench.acknowledge_all()
        frame = self.bench.sealed(wire.Token(self.commands, digits.encode()))
        assert self.bench.receive(frame)
        self.frames.append(frame)
        done = self.bench.controller.results.find(self.commands)
        assert done is not None
        return done[1].decode()

    @contextmanager
    def _power(self, cut: Cut) -> Iterator[None]:
        """Power that goes as `cut` says."""
        flash = self.bench.flash
        assert isinstance(flash, NorFlash)
        if cut is not None:
            flash.cut_at, flash.cut = flash.operations + cut[0], cut[1]
        try:
            yield
        finally:
            flash.cut_at = -1

    def _wait_out_the_pause(self) -> int:
        """Seconds: a stored pause begins again with the power, whatever had run off of it since the save."""
        waited_s = self.bench.enter("").retry_in_s or 0
        self.bench.wait(waited_s)
        return waited_s

    def _settle(self, waited_s: int = 0) -> None:
        """A cut may give and take as much light as credit.py says, whatever was paid."""
        if not self.paid.unlimited:
            left_s = self.bench.controller.credit_s
            assert -PREPAID_S - waited_s <= left_s - self.paid.left_s < SAVE_INTERVAL_S
            self.paid.left_s = left_s

    def _passes(self, seconds: float) -> None:
        if not self.paid.unlimited:
            self.paid.left_s = max(0, self.paid.left_s - seconds)

    def _wait_for_the_keypad(self) -> None:
        if self.bench.result("") == "locked":
            self.wait(40_000)  # the longest pause is 512 minutes


class MotoReplay(Replay):
    def provisioned(self) -> Bench:
        return Bench(moto_config(last_count=1))

    def meant(self, kind: str, days: int) -> tuple[str, int]:
        """An absolute unlock counts from activation; of 0 days it locks, whenever that was."""
        return {"add": ("add", days), "sync": ("sync", 0)}.get(kind, ("set", 0))

    def digits(self, kind: str, days: int, count: int) -> str:
        commands = {"add": moto.UNLOCK_RELATIVE, "sync": moto.COUNTER_SYNC, "set": moto.UNLOCK_ABSOLUTE}
        return _moto_digits(commands[kind], days)[count]


class OpenPaygoReplay(Replay):
    def provisioned(self) -> Bench:
        return Bench(openpaygo_config(last_count=1))

    def meant(self, kind: str, days: int) -> tuple[str, int]:
        return kind, 0 if kind in {"sync", "off"} else days

    def digits(self, kind: str, days: int, count: int) -> str:
        if (count % 2 == 0) != (kind == "add"):
            return ""
        values = {"off": openpaygo.DISABLE_VALUE, "sync": openpaygo.SYNC_VALUE}
        return _openpaygo_digits(values.get(kind, days))[count]


TestMotoReplay = MotoReplay.TestCase
TestOpenPaygoReplay = OpenPaygoReplay.TestCase
TestMotoReplay.settings = settings(max_examples=SEQUENCES, stateful_step_count=20)
TestOpenPaygoReplay.settings = settings(max_examples=SEQUENCES, stateful_step_count=20)
