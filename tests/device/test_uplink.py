"""Records are kept until they are acknowledged, within bounds, with what was lost known by number."""

from protocols.magicbox import wire
from tests.device.bench import Bench, moto_token


def _kinds(records):
    return [type(record) for record in records]


def test_the_first_words_of_a_device():
    bench = Bench()
    assert _kinds(bench.reports()) == [wire.Boot, wire.Status]
    assert bench.reports() == []


def test_a_record_comes_again_until_it_is_acknowledged():
    bench = Bench()
    bench.acknowledge_all()
    bench.enter(moto_token("unlock_relative", 1, 1))
    first = bench.reports()
    assert wire.TokenEvent in _kinds(first)
    bench.controller.uplink.rewind()
    assert bench.reports() == first
    bench.controller.uplink.rewind()
    bench.acknowledge_all()
    bench.controller.uplink.rewind()
    assert bench.controller.uplink.pending() == 0
    assert bench.reports() == []


def test_telemetry_gives_way_and_token_events_stay():
    bench = Bench()
    bench.acknowledge_all()
    for number in range(1, 5):
        bench.enter(moto_token("unlock_relative", 1, number))
    for _ in range(60):
        bench.controller.report_status()
    events = 0
    numbers = []
    records = bench.report()
    while records:
        for record in records:
            events += isinstance(record, wire.TokenEvent)
            lost = isinstance(record, wire.Gap)
            numbers += range(record.first, record.last + 1) if lost else (record.record,)
        records = bench.report()
    numbers.sort()
    assert events == 4
    assert numbers[-1] > 60
    assert all([number in numbers for number in range(numbers[0], numbers[-1] + 1)])


def test_token_events_survive_a_reboot():
    bench = Bench()
    bench.acknowledge_all()
    bench.enter(moto_token("unlock_relative", 1, 1))
    bench.reboot()
    assert wire.TokenEvent in _kinds(bench.reports())
