"""A rate limit for each caller."""

import pytest

from backend.kit.errors import TooManyRequests
from backend.kit.ratelimit import MAX_CALLERS, RateLimit
from simulator.clock import ManualClock


def limit(clock: ManualClock, requests: int = 2, window_s: int = 10) -> RateLimit:
    return RateLimit(limit=requests, window_s=window_s, clock=clock)


def test_a_caller_has_so_many_requests_a_window() -> None:
    clock = ManualClock(0)
    limited = limit(clock)
    assert limited.policy == "2;w=10"
    limited.take("a")
    clock.advance(4)
    limited.take("a")
    with pytest.raises(TooManyRequests) as refused:
        limited.take("a")
    assert refused.value.retry_after_s == 6
    limited.take("b")
    clock.advance(6)
    limited.take("a")


def test_retry_after_is_at_least_a_second() -> None:
    clock = ManualClock(0)
    limited = limit(clock, requests=1, window_s=1)
    limited.take("a")
    clock.advance(0.999)
    with pytest.raises(TooManyRequests) as refused:
        limited.take("a")
    assert refused.value.retry_after_s == 1


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    clock = ManualClock(3_600_000)
    limited = limit(clock, requests=1)
    limited.take("a")
    clock.advance(-3600)
    limited.take("a")


def test_callers_are_forgotten_oldest_first() -> None:
    clock = ManualClock(0)
    limited = limit(clock, requests=1)
    for number in range(MAX_CALLERS):
        limited.take(str(number))
    limited.take("one more")
    limited.take("0")
    with pytest.raises(TooManyRequests):
        limited.take("2")
