"""Acknowledgement ranges and sequence windows, over any numbers in any order."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.m2m import downlink
from backend.m2m.rows import new_device
from backend.m2m.uplink import take_sequence
from protocols.magicbox import wire


@given(st.sets(st.integers(0, 300)))
def test_acknowledgements_cover_exactly_the_numbers(numbers: set[int]) -> None:
    ranges = downlink.acknowledgements(numbers)
    covered = [number for ack in ranges for number in range(ack.first, ack.last + 1)]
    assert covered == sorted(numbers)
    assert all(after.first > before.last + 1 for before, after in pairwise(ranges))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100)), max_size=150))
def test_no_sequence_is_taken_twice(arrivals: list[tuple[int, int]]) -> None:
    """Whatever the order, in or out of the window, through what a signed 64-bit column keeps."""
    device = new_device("s", "UG")
    device.offered_epoch = 2
    taken: set[tuple[int, int]] = set()
    for epoch, sequence in arrivals:
        highest = device.up_highest if epoch == device.up_epoch else -1
        must = epoch > device.up_epoch or (epoch == device.up_epoch and sequence > highest)
        fresh = take_sequence(device, wire.Header(1, 0, epoch, sequence))
        assert not (fresh and (epoch, sequence) in taken)
        assert fresh or not must
        assert -(1 << 63) <= device.up_window < 1 << 63
        assert device.down_epoch == device.up_epoch
        if fresh:
            taken.add((epoch, sequence))


def test_an_epoch_that_nobody_offered_is_refused() -> None:
    device = new_device("s", "UG")
    device.offered_epoch = 2
    with pytest.raises(wire.WireError, match="unknown_epoch"):
        take_sequence(device, wire.Header(1, 0, 3, 0))
    assert device == replace(new_device("s", "UG"), offered_epoch=2)
