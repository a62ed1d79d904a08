"""What goes wrong by chance: the shares that were asked for, the same after a restart."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.providers.mishaps import NONE, Mishaps, MishapsError

STORM = Mishaps(twice=0.2, late=0.3, lost=0.1, refused=0.05, late_s=4.0, seed=7)
KEYS = [f"key-{number}" for number in range(10_000)]


def test_the_shares_are_those_asked_for() -> None:
    copies = Counter(len(STORM.calls(key)) for key in KEYS)
    late = sum(STORM.calls(key) not in ((), (0.0,)) and len(STORM.calls(key)) == 1 for key in KEYS)
    refused = sum(STORM.refuses(key) for key in KEYS)
    for number, share in ((copies[2], 0.2), (copies[0], 0.1), (late, 0.3), (refused, 0.05)):
        assert abs(number / len(KEYS) - share) < 0.02


@given(key=st.text(max_size=40))
def test_a_call_meets_the_same_again(key: str) -> None:
    again = Mishaps(twice=0.2, late=0.3, lost=0.1, refused=0.05, late_s=4.0, seed=7)
    assert STORM.calls(key) == again.calls(key)
    assert all(0 <= after_s <= 4.0 for after_s in STORM.calls(key))
    assert (NONE.calls(key), NONE.refuses(key)) == ((0.0,), False)


def test_another_seed_is_another_storm() -> None:
    other = Mishaps(twice=0.2, late=0.3, lost=0.1, refused=0.05, late_s=4.0, seed=8)
    assert any(STORM.calls(key) != other.calls(key) for key in KEYS)


@pytest.mark.parametrize("shares", [{"twice": 0.6, "lost": 0.6}, {"refused": 1.5}, {"late": -0.1}])
def test_shares_that_cant_be_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(MishapsError, match="at most 1 together"):
        Mishaps(**shares)
