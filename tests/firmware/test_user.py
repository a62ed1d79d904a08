"""The holder's name, language and PIN: set, cleared, read back; the PIN itself is nowhere in the store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.keypad import PIN_END
from firmware.user import MAX_NAME, User
from protocols.magicbox import wire
from tests.firmware.rig import moto_bench, moto_token

SECRET = b"a token secret"
NAME, LANGUAGE, PIN, ALL = (
    wire.USER_FIELD_NAME,
    wire.USER_FIELD_LANGUAGE,
    wire.USER_FIELD_PIN,
    wire.USER_FIELD_ALL,
)


def _again(user: User) -> User:
    again = User(SECRET)
    again.unpack(user.pack())
    return again


def test_what_is_set_is_read_back_and_cleared() -> None:
    user = User(SECRET)
    for field, text in ((NAME, "Amina Ü".encode()), (LANGUAGE, b"sw"), (PIN, b"4711")):
        assert user.set(field, text)
    again = _again(user)
    assert (again.name, again.language, again.has_pin) == ("Amina Ü", "sw", True)
    assert again.is_pin("4711")
    assert not again.is_pin("4712")
    assert again.set(NAME, b"")
    assert again.set(PIN, b"")
    assert (again.name, again.has_pin, again.is_pin("4711")) == ("", False, False)
    assert user.set(ALL, b"")
    assert _again(user).pack() == User(SECRET).pack()


def test_the_pin_is_kept_as_a_keyed_hash() -> None:
    first, other = User(SECRET), User(b"another secret")
    for user in (first, other):
        user.set(PIN, b"123456")
    assert b"123456" not in first.pack()
    assert first.pack() != other.pack()


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (ALL, b"x"),
        (NAME, b"x" * (MAX_NAME + 1)),
        (NAME, b"\xff"),
        (NAME, b"a\nb"),
        (LANGUAGE, b"SW"),
        (LANGUAGE, b"swa"),
        (LANGUAGE, b"s"),
        (PIN, b"123"),
        (PIN, b"1234567"),
        (PIN, b"12a4"),
        (9, b""),
    ],
)
def test_what_makes_no_sense_changes_nothing(field: int, text: bytes) -> None:
    user = User(SECRET)
    user.set(NAME, b"Amina")
    before = user.pack()
    assert not user.set(field, text)
    assert user.pack() == before


@given(st.integers(0, 4), st.binary(max_size=40))
def test_whatever_is_taken_is_read_back(field: int, text: bytes) -> None:
    user = User(SECRET)
    user.set(field, text)
    assert _again(user).pack() == user.pack()


def test_a_shorter_part_of_an_older_firmware_leaves_the_rest_empty() -> None:
    user = User(SECRET)
    user.unpack(b"\x05Amina")
    assert (user.name, user.language, user.has_pin) == ("Amina", "", False)


def test_a_keypad_without_an_enter_key_shows_the_holder_and_guesses_cost_no_token_anything() -> None:
    bench = moto_bench()
    bench.command(wire.UserAcct(1, NAME, b"Amina"), wire.UserAcct(2, PIN, b"1234"))
    for _ in range(20):
        bench.type_keys("1243" + PIN_END)
    assert bench.controller.display[0] != "Amina"
    outcome = bench.type_keys("1234" + PIN_END)
    assert outcome is not None
    assert outcome.is_holder
    assert bench.controller.display[0] == "Amina"
    assert bench.result(moto_token("unlock_relative", 1, 1)) == "accepted"
