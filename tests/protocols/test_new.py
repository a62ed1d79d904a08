"""`new_token`: what a person can get wrong is answered with what to do."""

import pytest

from protocols.tokens.errors import TokenError
from protocols.tokens.new import new_token

MOTO_SECRET = "00112233AABBCC"
K1 = "bc41ec9530f6dac86b1a29ab82edc5fb"
K4 = "00112233445566778899aabbccddeeff"


def test_moto():
    assert new_token("moto", MOTO_SECRET, "unlock_relative", 30, 12) == "126443881"
    padded = new_token("moto", MOTO_SECRET, "unlock_relative", 10, 1, encoding="*+0-9+#+pad3 space3")
    assert padded == "*00 427 443 49#"


@pytest.mark.parametrize(
    ("command", "payload", "count", "options", "token"),
    [
        ("add_time", 1, 2, {}, "588224011"),
        ("set_time", 995, 3, {}, "586420005"),
        ("disable_payg", 0, 3, {}, "190942008"),
        ("disable_payg", 998, 3, {}, "190942008"),
        ("counter_sync", None, 3, {}, "160440009"),
        ("add_time", 1, 2, {"restricted": True}, "314114432231134"),
        ("add_time", 1, 2, {"extended": True}, "247264959011"),
    ],
)
def test_openpaygo(command, payload, count, options, token):
    assert new_token("openpaygo", K1, command, payload, count, starting_code=516959010, **options) == token


def test_openpaygo_derives_the_starting_code():
    assert new_token("openpaygo", K4, "disable_payg", 0, 3, restricted=True) == "143424221311443"


def test_the_largest_moto_payloads():
    for command, payload in (
        ("unlock_relative", 238_418),
        ("unlock_absolute", 238_418),
        ("counter_sync", 29_801),
    ):
        assert len(new_token("moto", MOTO_SECRET, command, payload, 7)) == 12


@pytest.mark.parametrize(
    ("arguments", "options", "advice"),
    [
        (("visa", MOTO_SECRET, "unlock_relative", 1, 1), {}, "moto or openpaygo"),
        (("moto", "xyz", "unlock_relative", 1, 1), {}, "not hexadecimal"),
        (("moto", "abc", "unlock_relative", 1, 1), {}, "two for each byte"),
        (("moto", "", "unlock_relative", 1, 1), {}, "empty"),
        (("moto", MOTO_SECRET, "add_time", 1, 1), {}, "unlock_absolute, unlock_relative or counter_sync"),
        (("moto", MOTO_SECRET, "unlock_relative", None, 1), {}, "needs a payload"),
        (("moto", MOTO_SECRET, "unlock_relative", -1, 1), {}, "must not be negative: give 0 or more"),
        (("moto", MOTO_SECRET, "unlock_relative", 10**9, 1), {}, "at most 238418"),
        (("moto", MOTO_SECRET, "counter_sync", 29_802, 1), {}, "at most 29801"),
        (("moto", MOTO_SECRET, "unlock_relative", 1, -1), {}, "sequence number must be 0"),
        (("moto", MOTO_SECRET, "unlock_relative", 1, 1), {"encoding": "numeric"}, "does not parse"),
        (
            ("moto", MOTO_SECRET, "unlock_relative", 1, 1),
            {"starting_code": 1},
            "starting code is not for moto",
        ),
        (("moto", MOTO_SECRET, "unlock_relative", 1, 1), {"restricted": True}, "restricted is not for moto"),
        (("moto", MOTO_SECRET, "unlock_relative", 1, 1), {"extended": True}, "extended is not for moto"),
        (("openpaygo", K1, "add_time", 1, 2), {"encoding": "*+0-9#"}, "encoding is not for openpaygo"),
        (("openpaygo", MOTO_SECRET, "add_time", 1, 2), {}, "32 hexadecimal digits, not 14"),
        (
            ("openpaygo", K1, "unlock_relative", 1, 2),
            {},
            "add_time, set_time, disable_payg or counter_sync",
        ),
        (("openpaygo", K1, "add_time", 1, 5), {}, "even sequence number, not 5: use 4 or 6"),
        (("openpaygo", K1, "set_time", 1, 4), {}, "odd sequence number, not 4: use 3 or 5"),
        (("openpaygo", K1, "add_time", 1, 1), {}, "not 1: use 2"),
        (("openpaygo", K1, "set_time", 1, 0), {}, "from 1 to"),
        (("openpaygo", K1, "add_time", -1, 2), {}, "from 0 to 995, or up to 999999 with an extended"),
        (("openpaygo", K1, "add_time", 996, 2), {}, "from 0 to 995"),
        (("openpaygo", K1, "add_time", None, 2), {}, "needs a payload"),
        (("openpaygo", K1, "set_time", 998, 3), {"extended": True}, "reserved"),
        (("openpaygo", K1, "add_time", 999, 2), {"extended": True}, "reserved"),
        (("openpaygo", K1, "add_time", 996, 2), {"extended": True}, "reserved"),
        (("openpaygo", K1, "add_time", 1_000_000, 2), {"extended": True}, "from 0 to 999999"),
        (("openpaygo", K1, "counter_sync", 7, 3), {}, "carries no payload"),
        (("openpaygo", K1, "add_time", 1, 2), {"starting_code": 10**9}, "starting code must be 0 to"),
    ],
)
def test_advice(arguments, options, advice):
    with pytest.raises(TokenError) as error:
        new_token(*arguments, **options)
    assert advice in str(error.value)
    assert arguments[1] == "" or arguments[1] not in str(error.value)
