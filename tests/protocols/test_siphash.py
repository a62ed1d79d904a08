"""siphash.py against the C implementation (siphash24)."""

import siphash24 as oracle
from hypothesis import given
from hypothesis import strategies as st

from protocols.tokens import siphash, siphash_host

KEYS = st.binary(min_size=16, max_size=16)


@given(key=KEYS, data=st.binary(max_size=40))
def test_hash(key, data):
    assert siphash.siphash24(key, data) == int.from_bytes(oracle.siphash24(data, key=key).digest(), "little")


def test_reference_vector():
    """The example of the SipHash paper."""
    assert siphash.siphash24(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5


@given(
    key=KEYS,
    code=st.integers(0, 999_999_999_999),
    first=st.integers(0, 5),
    second=st.integers(0, 5),
    extended=st.booleans(),
)
def test_a_walk_goes_on_where_it_stopped(key, code, first, second, extended):
    highest = 999_999_999_999 if extended else 999_999_999
    code = min(code, highest)
    middle, left = siphash.walk(key, code, first, siphash.NEVER, extended)
    assert (left, 0 <= middle <= highest) == (0, True)
    whole = siphash.walk(key, code, first + second, siphash.NEVER, extended)
    assert siphash.walk(key, middle, second, siphash.NEVER, extended) == whole


@given(key=KEYS, code=st.integers(0, 999_999_999), steps=st.integers(1, 9), extended=st.booleans())
def test_a_walk_stops_at_the_first_code_of_the_span(*, key, code, steps, extended):
    span = 1_000_000 if extended else 1_000
    there, _ = siphash.walk(key, code, steps, siphash.NEVER, extended)
    stop = there // span * span
    found, left = siphash.walk(key, code, 20, stop, extended)
    assert stop <= found < stop + span
    assert left >= 20 - steps
    assert siphash.walk(key, code, 20 - left, siphash.NEVER, extended) == (found, 0)


@given(
    key=KEYS,
    code=st.integers(0, 999_999_999),
    steps=st.integers(0, 20),
    stop=st.integers(0, 999).map((1_000_000).__mul__) | st.just(siphash.NEVER),
    extended=st.booleans(),
)
def test_the_host_s_walk_is_the_plain_one(*, key, code, steps, stop, extended):
    plain = siphash.walk(key, code, steps, stop, extended)
    assert siphash_host.walk(key, code, steps, stop, extended) == plain
    there, _ = siphash.walk(key, code, 3, siphash.NEVER, extended)
    span = 1_000_000 if extended else 1_000
    for near in (there // span * span, there // span * span + span, 0):
        plain = siphash.walk(key, code, 9, near, extended)
        assert siphash_host.walk(key, code, 9, near, extended) == plain


@given(
    key=KEYS, code=st.integers(0, 999_999_999), lengths=st.lists(st.integers(0, 30), min_size=2, max_size=6)
)
def test_the_host_remembers_what_it_searched(key, code, lengths):
    codes = [siphash.walk(key, code, steps, siphash.NEVER, False)[0] for steps in range(31)]
    for steps in lengths:
        for stop in (codes[steps] // 1000 * 1000, 5_000, codes[1] // 1000 * 1000):
            plain = siphash.walk(key, code, steps, stop, False)
            assert siphash_host.walk(key, code, steps, stop, False) == plain
    assert len(siphash_host._searches) <= siphash_host._SEARCHES
