"""OpenPAYGO tokens: the vectors of spec/openpaygo.md; the `openpaygo` package is the oracle of encoding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpaygo.token_encode import OpenPAYGOTokenEncoder
from openpaygo.token_shared import TokenType

from protocols.tokens import openpaygo
from protocols.tokens.errors import TokenError

K1 = ("bc41ec9530f6dac86b1a29ab82edc5fb", 516959010)
K2 = ("dac86b1a29ab82edc5fbbc41ec9530f6", 949214826)
K3 = ("a29ab82edc5fbbc41ec9530f6dac86b1", 123456789)
K4 = ("00112233445566778899aabbccddeeff", 32919976)

ORACLE_TYPES = {
    openpaygo.ADD_TIME: TokenType.ADD_TIME,
    openpaygo.SET_TIME: TokenType.SET_TIME,
    openpaygo.DISABLE_PAYG: TokenType.DISABLE_PAYG,
    openpaygo.COUNTER_SYNC: TokenType.COUNTER_SYNC,
}
FIXED_VALUES = {
    openpaygo.DISABLE_PAYG: openpaygo.DISABLE_VALUE,
    openpaygo.COUNTER_SYNC: openpaygo.SYNC_VALUE,
}
SECRETS = st.binary(min_size=16, max_size=16)
STARTING_CODES = st.integers(1, 999_999_999)  # the oracle takes 0 for "none given"


@pytest.mark.parametrize(
    ("key", "last_count", "count", "command", "value", "token"),
    [
        (K1, 1, 2, openpaygo.ADD_TIME, 1, "588224011"),
        (K1, 1, 3, openpaygo.SET_TIME, 995, "586420005"),
        (K1, 2, 3, openpaygo.DISABLE_PAYG, 998, "190942008"),
        (K1, 1, 3, openpaygo.COUNTER_SYNC, 999, "160440009"),
        (K3, 1, 3, openpaygo.SET_TIME, 1, "932267790"),
        (K3, 3, 4, openpaygo.ADD_TIME, 1, "953796790"),
        (K2, 10, 12, openpaygo.ADD_TIME, 30, "541074856"),
        (K2, 10, 11, openpaygo.SET_TIME, 0, "720729826"),
        (K2, 63, 64, openpaygo.ADD_TIME, 7, "805728833"),
        (K1, 1, 2, openpaygo.ADD_TIME, 5, "177073015"),
        (K1, 2, 4, openpaygo.ADD_TIME, 5, "361434015"),
        (K1, 4, 6, openpaygo.ADD_TIME, 5, "360018015"),
        (K1, 6, 8, openpaygo.ADD_TIME, 5, "980357015"),
    ],
)
def test_standard_vectors(*, key, last_count, count, command, value, token):
    secret, starting_code = bytes.fromhex(key[0]), key[1]
    assert openpaygo.next_count(last_count, command) == count
    number = openpaygo.encode(secret, starting_code, count, value)
    assert openpaygo.format_token(number) == token
    assert openpaygo.value_of(number, starting_code) == value


def test_restricted_vectors():
    add = openpaygo.encode(bytes.fromhex(K1[0]), K1[1], 2, 1)
    assert openpaygo.to_restricted(add) == "314114432231134"
    disable = openpaygo.encode(bytes.fromhex(K4[0]), K4[1], 3, openpaygo.DISABLE_VALUE)
    assert openpaygo.to_restricted(disable) == "143424221311443"


def test_extended_vectors():
    add = openpaygo.encode(bytes.fromhex(K1[0]), K1[1], 2, 1, extended=True)
    assert openpaygo.format_token(add, extended=True) == "247264959011"
    set_time = openpaygo.encode(bytes.fromhex(K2[0]), K2[1], 11, 999_999, extended=True)
    assert openpaygo.format_token(set_time, extended=True) == "768435214825"


@pytest.mark.parametrize("key", [K2, K4])
def test_derived_starting_codes(key):
    assert openpaygo.derive_starting_code(bytes.fromhex(key[0])) == key[1]


@given(
    secret=SECRETS,
    starting_code=STARTING_CODES | st.none(),
    last_count=st.integers(0, 90),
    command=st.sampled_from(openpaygo.COMMANDS),
    restricted=st.booleans(),
    extended=st.booleans(),
    data=st.data(),
)
def test_encodes_as_the_oracle(*, secret, starting_code, last_count, command, restricted, extended, data):
    value = FIXED_VALUES.get(command)
    if value is None:
        value = data.draw(
            st.integers(0, openpaygo.MAX_EXTENDED_VALUE if extended else openpaygo.MAX_TIME_VALUE)
        )
    oracle_count, oracle_token = OpenPAYGOTokenEncoder.generate_token(
        secret_key=secret.hex(),
        count=last_count,
        value=None if command in FIXED_VALUES else value,
        token_type=ORACLE_TYPES[command],
        starting_code=starting_code,
        restricted_digit_set=restricted,
        extended_token=extended,
    )
    if starting_code is None:
        starting_code = openpaygo.derive_starting_code(secret)
    count = openpaygo.next_count(last_count, command)
    number = openpaygo.encode(secret, starting_code, count, value, extended)
    write = openpaygo.to_restricted if restricted else openpaygo.format_token
    assert (count, write(number, extended)) == (oracle_count, oracle_token)
    assert openpaygo.value_of(number, starting_code, extended) == value


@given(
    secret=SECRETS,
    starting_code=st.integers(0, 999_999_999),
    value=st.integers(0, 995),
    extended=st.booleans(),
    slices=st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_a_chain_walks_in_slices_and_resumes(secret, starting_code, value, extended, slices):
    chain = openpaygo.Chain(secret, starting_code, value, extended)
    for steps in slices:
        chain.step(steps)
        resumed = openpaygo.Chain(secret, starting_code, value, extended)
        resumed.count, resumed.code = chain.count, chain.code
        chain = resumed
    assert chain.count == sum(slices)
    assert chain.token() == openpaygo.encode(secret, starting_code, chain.count, value, extended)


@given(number=st.integers(0, 999_999_999))
def test_restricted_digits_round_trip(number):
    text = openpaygo.to_restricted(number)
    assert len(text) == 15
    assert set(text) <= set("1234")
    assert openpaygo.from_restricted(text) == number


@given(number=st.integers(0, 999_999_999_999))
def test_extended_restricted_digits_round_trip(number):
    text = openpaygo.to_restricted(number, extended=True)
    assert len(text) == 20
    assert openpaygo.from_restricted(text, extended=True) == number


@given(text=st.text("01234589 ١", max_size=21), extended=st.booleans())
def test_restricted_digits_have_no_aliases(text, extended):
    try:
        number = openpaygo.from_restricted(text, extended)
    except TokenError:
        return
    assert openpaygo.to_restricted(number, extended) == text


def test_restricted_digits_beyond_the_highest_token():
    for text, extended in (("4" * 15, False), ("4" * 20, True), ("1" * 14, False), ("1" * 16, False)):
        with pytest.raises(TokenError):
            openpaygo.from_restricted(text, extended)


@pytest.mark.parametrize(
    ("secret", "starting_code", "count", "value", "extended", "reason"),
    [
        (bytes(15), 0, 1, 1, False, "16 bytes"),
        (bytes(16), -1, 1, 1, False, "starting code"),
        (bytes(16), 1_000_000_000, 1, 1, False, "starting code"),
        (bytes(16), 0, 0, 1, False, "count must be 1"),
        (bytes(16), 0, -2, 1, False, "count must be 1"),
        (bytes(16), 0, openpaygo.MAX_COUNT + 1, 1, False, "count must be 1"),
        (bytes(16), 0, 1, -1, False, "value"),
        (bytes(16), 0, 1, 996, False, "value"),
        (bytes(16), 0, 1, 997, False, "value"),
        (bytes(16), 0, 1, 1000, False, "value"),
        (bytes(16), 0, 1, 1_000_000, True, "value"),
    ],
)
def test_arguments_out_of_range(*, secret, starting_code, count, value, extended, reason):
    with pytest.raises(TokenError, match=reason):
        openpaygo.encode(secret, starting_code, count, value, extended)


def test_counts_do_not_wrap_at_16_bits():
    assert openpaygo.encode(bytes(16), 0, 65_538, 1) != openpaygo.encode(bytes(16), 0, 2, 1)


def test_next_count_knows_the_commands():
    with pytest.raises(TokenError, match="add_time"):
        openpaygo.next_count(1, "unlock_relative")
