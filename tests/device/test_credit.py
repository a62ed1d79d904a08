"""The credit clock: to the second, across power cuts, and never by a clock that jumps."""

from tests.device.bench import DAY_S, Bench, moto_token


def _lit():
    bench = Bench()
    assert bench.result(moto_token("unlock_relative", 1, 1)) == "accepted"
    return bench


def test_it_ends_to_the_second():
    bench = _lit()
    for _ in range(23):
        bench.wait(3_600)
    bench.wait(3_599)
    assert (bench.controller.credit_s, bench.hal.relay) == (1, True)
    bench.wait(1)
    assert (bench.controller.credit_s, bench.hal.relay) == (0, False)


def test_a_power_cut_loses_and_gains_little():
    bench = _lit()
    bench.wait(3_600)
    bench.reboot()
    assert abs(bench.controller.credit_s - (DAY_S - 3_600)) <= 900
    left_s = bench.controller.credit_s
    for _ in range(20):  # power for a moment, over and over
        bench.wait(2)
        bench.reboot()
    assert bench.controller.credit_s <= left_s


def test_a_clock_that_goes_back_takes_nothing():
    bench = _lit()
    bench.wait(100)
    bench.hal.now_ms -= 50_000
    bench.controller.poll(bench.hal.now_ms)
    assert bench.controller.credit_s == DAY_S - 100
