"""Moto tokens: the five probed tokens digit for digit, and the number's layout (spec/moto_token.md)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.tokens import moto
from protocols.tokens.encoding import render
from protocols.tokens.errors import TokenError

SECRET = bytes.fromhex("00112233AABBCC")
PADDED = "*+0-9+#+pad3 space3"

MAX_PAYLOADS = {moto.UNLOCK_ABSOLUTE: 238_418, moto.UNLOCK_RELATIVE: 238_418, moto.COUNTER_SYNC: 29_802}


@pytest.mark.parametrize(
    ("command", "payload", "sequence_number", "number", "encoding", "text"),
    [
        ("unlock_relative", 10, 1, 42744349, PADDED, "*00 427 443 49#"),
        ("unlock_absolute", 365, 2, 1531191641, PADDED, "*15 311 916 41#"),
        ("counter_sync", 100, 5, 3367721144, None, "3367721144"),
        ("unlock_relative", 30, 11, 126870056, "*+0-9#", "*126870056"),
        ("unlock_relative", 30, 12, 126443881, None, "126443881"),
    ],
)
def test_probed_tokens(*, command, payload, sequence_number, number, encoding, text):
    assert moto.encode(SECRET, moto.COMMAND_CODES[command], payload, sequence_number) == number
    assert render(number, encoding) == text


@given(
    secret=st.binary(min_size=1, max_size=80),
    command=st.sampled_from(sorted(moto.COMMAND_CODES.values())),
    payload=st.integers(0, 29_800),
    sequence_number=st.integers(0, 0xFFFFFFFF),
)
def test_split_takes_a_token_apart(secret, command, payload, sequence_number):
    number = moto.encode(secret, command, payload, sequence_number)
    signature = moto.signature(secret, command, payload, sequence_number)
    assert moto.split(number) == (command, payload, signature)
    assert 0 <= signature < 2**19
    assert len(str(number)) <= moto.MAX_DIGITS


@given(number=st.integers(0, 10**13))
def test_split_loses_no_bit(number):
    command, payload, signature = moto.split(number)
    head = payload << 3 | command if command < 7 else payload << 6 | (command - 7) << 3 | 7
    assert head << 19 | signature == number


@pytest.mark.parametrize(("command", "payload"), MAX_PAYLOADS.items())
def test_payload_is_bounded_by_the_digits(command, payload):
    assert len(str(moto.encode(SECRET, command, payload - 1, 1))) == moto.MAX_DIGITS
    with pytest.raises(TokenError, match="12 digits"):
        moto.encode(SECRET, command, payload + 1, 1)


@pytest.mark.parametrize(
    ("secret", "command", "payload", "sequence_number", "reason"),
    [
        (b"", 1, 1, 1, "at least one byte"),
        (SECRET, -1, 1, 1, "command code"),
        (SECRET, 15, 1, 1, "command code"),
        (SECRET, 1, -1, 1, "must not be negative"),
        (SECRET, 1, 1 << 40, 1, "12 digits"),
        (SECRET, 1, 1, -1, "sequence number"),
        (SECRET, 1, 1, 1 << 32, "sequence number"),
    ],
)
def test_arguments_out_of_range(secret, command, payload, sequence_number, reason):
    with pytest.raises(TokenError, match=reason):
        moto.encode(secret, command, payload, sequence_number)
