"""Records stay until they are acknowledged; what is lost is known by number; nothing numbered repeats."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from firmware.results import MAX_DETAIL
from firmware.uplink import (
    COMMAND_ROOM,
    KEPT_BYTES,
    KEYPAD_ROOM,
    MAX_TELEMETRY,
    UPDATE_ROOM,
    Uplink,
)
from protocols.magicbox import seal, wire
from tests.firmware.rig import LINK_KEY, moto_bench, moto_token


def _numbers(records: list[wire.Record]) -> list[int]:
    return [record.record for record in records if not isinstance(record, wire.Unknown)]


def test_records_are_sent_again_until_they_are_acknowledged() -> None:
    bench = moto_bench()
    first = bench.reports()
    assert [type(record).__name__ for record in first] == ["Boot", "Status"]
    assert bench.reports() == []
    bench.wait(15)
    assert bench.reports() == first
    bench.wait(29)
    assert bench.reports() == []
    bench.wait(1)
    assert bench.acknowledge_all() == first
    bench.wait(700)
    assert bench.reports() == []


def test_token_events_and_results_survive_the_power_and_telemetry_is_reported_lost() -> None:
    bench = moto_bench()
    bench.acknowledge_all()
    bench.enter(moto_token("unlock_relative", 3, 1))
    bench.command(wire.Sync(7, 0))
    before = bench.reports()
    bench.reboot()
    after = bench.reports()
    kept = [record for record in before if isinstance(record, (wire.TokenEvent, wire.CommandResult))]
    assert len(kept) == 2
    assert [record for record in after if record in kept] == kept
    gaps = [record for record in after if isinstance(record, wire.Gap)]
    lost = {number for gap in gaps for number in range(gap.first, gap.last + 1)}
    assert lost.isdisjoint(_numbers(kept))
    assert set(_numbers(before)) - set(_numbers(kept)) <= lost


def test_a_device_that_sends_and_is_never_answered_stays_small() -> None:
    """The broker takes frames while no back end reads them."""
    bench = moto_bench()
    told: set[int] = set()
    for _ in range(5 * MAX_TELEMETRY):
        bench.wait(900)
        told |= _accounted(bench.reports())
    uplink = bench.controller.uplink
    assert uplink.pending() <= MAX_TELEMETRY + 2
    uplink.rewind()
    left = bench.acknowledge_all() + bench.acknowledge_all()
    assert uplink.pending() == 0
    assert sum(isinstance(record, wire.Status) for record in left) >= MAX_TELEMETRY * 3 // 4
    last = max(_numbers(left))
    assert told | _accounted(left) == set(range(1, last + 1))


def _accounted(records: list[wire.Record]) -> set[int]:
    """The numbers of records, and those that their GAPs say are lost."""
    gaps = [record for record in records if isinstance(record, wire.Gap)]
    lost = {number for gap in gaps for number in range(gap.first, gap.last + 1)}
    return lost | set(_numbers(records))


def test_numbers_and_sequences_never_repeat_across_power_cuts() -> None:
    bench = moto_bench()
    numbers: list[int] = []
    for _ in range(12):
        bench.wait(901)
        numbers += _numbers(bench.acknowledge_all())
        bench.reboot()
    assert len(numbers) == len(set(numbers))
    assert len(bench.sent) == len(set(bench.sent))


def test_a_long_life_within_one_boot_reserves_again() -> None:
    bench = moto_bench()
    numbers: list[int] = []
    for _ in range(700):
        bench.wait(900)
        numbers += _numbers(bench.acknowledge_all())
    bench.reboot()
    numbers += _numbers(bench.acknowledge_all())
    assert len(numbers) == len(set(numbers)) > 700
    assert len(bench.sent) == len(set(bench.sent)) > 700


def test_without_room_a_new_command_is_answered_busy_and_not_done() -> None:
    bench = moto_bench()
    for number in range(1, 30):
        bench.command(wire.Token(number, moto_token("unlock_relative", 1, number).encode()))
    busy = bench.controller.token_count + 1
    assert 3 < busy < 29
    results = {
        record.command_id: record.result
        for record in bench.reports()
        if isinstance(record, wire.CommandResult)
    }
    assert results[busy - 1] == wire.COMMAND_RESULT_OK
    assert results[busy] == wire.COMMAND_RESULT_BUSY
    for number in range(busy, busy + 8):  # the keypad still has its room
        bench.enter(moto_token("unlock_relative", 1, number))
    bench.reboot()
    kept = [record for record in bench.reports() if isinstance(record, wire.TokenEvent)]
    assert len(kept) == busy - 1 + 8
    bench.command(*[wire.Ack(number, number) for number in range(10_000)][:100])
    bench.acknowledge_all()
    assert bench.command(wire.Token(busy, moto_token("unlock_relative", 1, 40).encode()))
    assert bench.controller.results.find(busy) == (wire.COMMAND_RESULT_OK, b"accepted")


def test_a_frame_stays_small() -> None:
    bench = moto_bench()
    for number in range(1, 21):
        bench.enter(moto_token("unlock_relative", 1, number))
    frame = bench.controller.take_frame(bench.hal.now_ms)
    assert frame is not None
    assert 400 < len(frame) < 600
    assert seal.unseal(seal.LinkKeys(LINK_KEY, seal.UP), frame)


def test_the_room_for_an_answer_holds_the_longest_one() -> None:
    token = wire.TokenEvent(1, 2, 0, 0, 6, 3, 4, 5)
    result = wire.CommandResult(1, 2, 3, 1, b"x" * MAX_DETAIL)
    assert len(wire.encode_records([token])) + len(wire.encode_records([result])) <= COMMAND_ROOM
    assert len(wire.encode_records([result])) <= UPDATE_ROOM
    assert 10 * len(wire.encode_records([token])) <= KEYPAD_ROOM


def test_with_an_update_under_way_there_is_always_room_for_its_answer() -> None:
    bench = moto_bench()
    bench.command(wire.Update(9, 5, bytes(32), b"f"))
    for number in range(10, 60):
        bench.command(wire.Token(number, moto_token("unlock_relative", 1, number).encode()))
    for number in range(60, 70):
        bench.enter(moto_token("unlock_relative", 1, number))
    bench.controller.update_failed("x" * 99)
    records = bench.reports()
    assert not [record for record in records if isinstance(record, wire.Gap)]
    kept = {record.command_id for record in records if isinstance(record, wire.CommandResult)}
    assert kept >= {9, 10, 11}


def test_beyond_the_keypad_s_room_the_oldest_event_goes_and_a_gap_says_so() -> None:
    bench = moto_bench()
    bench.acknowledge_all()
    for number in range(1, 61):
        assert bench.result(moto_token("unlock_relative", 1, number)) == "accepted"
    records = bench.reports()
    events = {record.record for record in records if isinstance(record, wire.TokenEvent)}
    gaps = [record for record in records if isinstance(record, wire.Gap)]
    lost = {number for gap in gaps for number in range(gap.first, gap.last + 1)}
    assert 30 <= len(events) < 60
    assert len(events) + len(lost) >= 60
    assert lost.isdisjoint(events)
    assert {gap.reason for gap in gaps} == {wire.GAP_REASON_EVICTED}


class Records(RuleBasedStateMachine):
    """A back end that gets what is sent, sometimes; in the end every number was received or is known lost."""

    def __init__(self) -> None:
        super().__init__()
        self.uplink = Uplink()
        self.now_ms = 0
        self.numbers: list[int] = []
        self.kept: set[int] = set()
        self.received: dict[int, wire.Record] = {}
        self.stored = self.uplink.pack()
        self.stored_kept: set[int] = set()

    def _take(self) -> int:
        number = self.uplink.take_number()
        assert number not in self.numbers
        self.numbers.append(number)
        return number

    def _save(self) -> None:
        self.stored = self.uplink.pack()
        self.uplink.dirty = False
        self.stored_kept = set(self.kept)

    @rule(times=st.integers(1, MAX_TELEMETRY))
    def telemetry(self, times: int) -> None:
        for _ in range(times):
            self.uplink.queue(wire.Alarm(self._take(), 0, 1, 2))

    @rule()
    def keep(self) -> None:
        if self.uplink.has_room():
            number = self._take()
            self.kept.add(number)
            self.uplink.keep(wire.CommandResult(number, 0, 1, 0, b"accepted"))
            self._save()

    @rule(arrives=st.booleans(), acknowledged=st.booleans())
    def send(self, arrives: bool, acknowledged: bool) -> None:
        self.now_ms += 1_000_000
        if not self.uplink.is_due(self.now_ms):
            return
        body = self.uplink.take_body(self.now_ms, 300)
        if self.uplink.dirty:
            self._save()
        if not arrives:
            return
        for record in wire.decode_records(body):
            assert not isinstance(record, wire.Unknown)
            assert self.received.setdefault(record.record, record) == record
            if acknowledged:
                self.uplink.acknowledge(record.record, record.record)
                self.kept.discard(record.record)

    @rule()
    def save(self) -> None:
        self._save()

    @rule()
    def factory_reset(self) -> None:
        self.uplink.forget_telemetry()
        self._save()

    @rule()
    def power_cut(self) -> None:
        self.uplink = Uplink()
        self.uplink.unpack(self.stored)
        self.kept = set(self.stored_kept)
        self.uplink.restart()
        next_number = self.uplink.take_number()
        never_left = [number for number in self.numbers if number >= next_number]
        assert self.received.keys().isdisjoint(never_left)
        self.numbers = [number for number in self.numbers if number < next_number]
        self.numbers.append(next_number)
        self.uplink.queue(wire.Alarm(next_number, 0, 1, 2))
        self._save()

    @invariant()
    def kept_records_are_bounded_and_unlost(self) -> None:
        assert len(self.uplink.pack()) <= 10 + KEPT_BYTES

    def teardown(self) -> None:
        """Let everything arrive: each number was received or is in a GAP, and no kept one only in a GAP."""
        while self.uplink.pending():
            self.send(True, True)
        lost = {
            number
            for record in self.received.values()
            if isinstance(record, wire.Gap)
            for number in range(record.first, record.last + 1)
        }
        for number in self.numbers:
            assert number in self.received or number in lost
        results = {n for n, record in self.received.items() if isinstance(record, wire.CommandResult)}
        assert self.kept <= results


TestRecords = Records.TestCase
TestRecords.settings = settings(stateful_step_count=30)
