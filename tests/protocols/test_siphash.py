"""siphash.py against the C implementation (siphash24)."""

import siphash24 as oracle
from hypothesis import given
from hypothesis import strategies as st

from protocols.tokens import siphash

KEYS = st.binary(min_size=16, max_size=16)


@given(key=KEYS, data=st.binary(max_size=40))
def test_hash(key, data):
    assert siphash.siphash24(key, data) == int.from_bytes(oracle.siphash24(data, key=key).digest(), "little")


def test_reference_vector():
    """The example of the SipHash paper."""
    assert siphash.siphash24(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5


@given(key=KEYS, code=st.integers(0, 999_999_999), first=st.integers(0, 5), second=st.integers(0, 5))
def test_chain_goes_on_where_it_stopped(key, code, first, second):
    middle = siphash.chain(key, code, first)
    assert 0 <= middle <= 999_999_999
    assert siphash.chain(key, middle, second) == siphash.chain(key, code, first + second)


@given(key=KEYS, code=st.integers(0, 999_999_999_999), steps=st.integers(0, 5))
def test_extended_chain_stays_within_twelve_digits(key, code, steps):
    assert 0 <= siphash.chain_extended(key, code, steps) <= 999_999_999_999
