"""Wrong entries cost a pause and a budget, and pulling the plug shortens neither."""

from firmware.throttle import CAPACITY, FIRST_PAUSE_S, FREE_ERRORS, LONGEST_PAUSE_S, Throttle
from tests.device.bench import Bench, moto_token


def test_the_pause_doubles_and_ends_with_a_good_token():
    bench = Bench()
    for _ in range(FREE_ERRORS):
        assert bench.result(111_111_111) == "invalid"
    pause_s = FIRST_PAUSE_S
    for _ in range(12):
        assert bench.result(111_111_111) == "invalid"
        locked = bench.enter(111_111_111)
        assert locked.retry_in_s == pause_s
        assert bench.result(moto_token("unlock_relative", 1, 1)) == "locked"
        bench.reboot()
        assert bench.enter(1).retry_in_s == pause_s
        bench.wait(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    assert bench.result(moto_token("unlock_relative", 1, 1)) == "accepted"
    assert bench.result(111_111_111) == "invalid"
    assert bench.result(111_111_111) == "invalid"


def test_a_used_up_budget_closes_until_a_sealed_command():
    throttle = Throttle()
    for _ in range(CAPACITY):
        throttle.wrong(True)
    assert throttle.closed
    again = Throttle()
    again.unpack(throttle.pack())
    assert again.closed
    again.accepted(10_000 * 86_400)
    again.advance(0, 10_000 * 86_400)
    assert again.closed
    again.reopen()
    assert not again.closed
