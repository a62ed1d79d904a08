"""Tokens of both families: the vectors of spec/openpaygo.md and spec/moto_token.md, and their chains."""

from protocols.tokens import encoding, moto, openpaygo, siphash
from protocols.tokens.errors import TokenError
from tests.device.plain import from_hex, raises

K1 = ("bc41ec9530f6dac86b1a29ab82edc5fb", 516959010)
K2 = ("dac86b1a29ab82edc5fbbc41ec9530f6", 949214826)
K3 = ("a29ab82edc5fbbc41ec9530f6dac86b1", 123456789)
K4 = ("00112233445566778899aabbccddeeff", 32919976)
STANDARD = (
    (K1, 2, 1, "588224011"),
    (K1, 3, 995, "586420005"),
    (K1, 3, 998, "190942008"),
    (K1, 3, 999, "160440009"),
    (K3, 3, 1, "932267790"),
    (K3, 4, 1, "953796790"),
    (K2, 12, 30, "541074856"),
    (K2, 11, 0, "720729826"),
    (K2, 64, 7, "805728833"),
    (K1, 8, 5, "980357015"),
)
EXTENDED = ((K1, 2, 1, "247264959011"), (K2, 11, 999_999, "768435214825"))
MOTO_SECRET = from_hex("00112233aabbcc")
MOTO = (
    (moto.UNLOCK_RELATIVE, 10, 1, 42744349),
    (moto.UNLOCK_ABSOLUTE, 365, 2, 1531191641),
    (moto.COUNTER_SYNC, 100, 5, 3367721144),
    (moto.UNLOCK_RELATIVE, 30, 11, 126870056),
    (moto.UNLOCK_RELATIVE, 30, 12, 126443881),
)


def _encode(key, count, value, extended):
    number = openpaygo.encode(from_hex(key[0]), key[1], count, value, extended)
    assert openpaygo.value_of(number, key[1], extended) == value
    restricted = openpaygo.to_restricted(number, extended)
    assert openpaygo.from_restricted(restricted, extended) == number
    return openpaygo.format_token(number, extended)


def test_siphash_is_that_of_its_authors():
    key = bytes(range(16))
    # the reference implementation's vectors_sip64, 0, 1, 8 and 15 bytes
    for size, digest in (
        (0, 0x726FDB47DD0E0E31),
        (1, 0x74F839C593DC67FD),
        (8, 0x93F5F5799A932462),
        (15, 0xA129CA6149BE45E5),
    ):
        assert siphash.siphash24(key, bytes(range(size))) == digest


def test_openpaygo_tokens():
    for key, count, value, token in STANDARD:
        assert _encode(key, count, value, False) == token
    for key, count, value, token in EXTENDED:
        assert _encode(key, count, value, True) == token


def test_openpaygo_restricted_tokens():
    add = openpaygo.encode(from_hex(K1[0]), K1[1], 2, 1)
    assert openpaygo.to_restricted(add) == "314114432231134"
    disable = openpaygo.encode(from_hex(K4[0]), K4[1], 3, openpaygo.DISABLE_VALUE)
    assert openpaygo.to_restricted(disable) == "143424221311443"
    for digits in ("4" * 15, "1" * 14, "1" * 16, "123412341234125"):
        assert raises(TokenError, openpaygo.from_restricted, digits)


def test_openpaygo_starting_codes():
    for key in (K2, K4):
        assert openpaygo.derive_starting_code(from_hex(key[0])) == key[1]


def test_the_chain_of_this_machine_is_the_plain_one():
    secret = from_hex(K4[0])
    for code in (0, 1, 516959010, 999_999_999):
        for steps in (0, 1, 2, 40):
            for extended in (False, True):
                here = openpaygo._walk(secret, code, steps, siphash.NEVER, extended)
                assert here == siphash.walk(secret, code, steps, siphash.NEVER, extended)


def test_a_walk_stops_at_its_token():
    for key, count, value, token in STANDARD:
        chain = openpaygo.Chain(from_hex(key[0]), key[1], value)
        assert chain.search(int(token), 100) == count
        assert (chain.count, openpaygo.format_token(chain.token())) == (count, token)
        chain = openpaygo.Chain(from_hex(key[0]), key[1], value)
        assert chain.search(int(token), count - 1) == count - 1
        chain.search(int(token), 1)
        assert openpaygo.format_token(chain.token()) == token


def test_openpaygo_refuses_what_is_out_of_range():
    for secret, code, count, value in (
        (bytes(15), 0, 1, 1),
        (bytes(16), -1, 1, 1),
        (bytes(16), 1_000_000_000, 1, 1),
        (bytes(16), 0, 0, 1),
        (bytes(16), 0, openpaygo.MAX_COUNT + 1, 1),
        (bytes(16), 0, 1, 996),
    ):
        assert raises(TokenError, openpaygo.encode, secret, code, count, value)


def test_moto_tokens():
    for command, payload, sequence_number, number in MOTO:
        assert moto.encode(MOTO_SECRET, command, payload, sequence_number) == number
        signature = moto.signature(MOTO_SECRET, command, payload, sequence_number)
        assert moto.split(number) == (command, payload, signature)


def test_moto_refuses_what_is_out_of_range():
    for command, payload, sequence_number in ((1, -1, 1), (1, 1 << 40, 1), (15, 1, 1), (1, 1, 1 << 32)):
        assert raises(TokenError, moto.encode, MOTO_SECRET, command, payload, sequence_number)


def test_encodings():
    assert encoding.render(42744349, "*+0-9+#+pad3 space3") == "*00 427 443 49#"
    assert encoding.render(1531191641, "*+0-9+#+pad3 space3") == "*15 311 916 41#"
    assert encoding.render(126870056, "*+0-9#") == "*126870056"
    assert encoding.render(126443881, None) == "126443881"
