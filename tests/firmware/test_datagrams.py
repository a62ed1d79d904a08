"""DNS and SNTP: whatever comes over UDP is an answer to the question or nothing."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.datagrams import address_answer, address_question, time_answer, time_question

QUESTION = address_question("broker.example.org", 0x1234)
TIME = time_question(b"noncenon")


def _answer(*records: bytes, flags: int = 0x8180, count: int | None = None) -> bytes:
    head = struct.pack(">HHHHHH", 0x1234, flags, 1, len(records) if count is None else count, 0, 0)
    return head + QUESTION[12:] + b"".join(records)


def _record(kind: int, data: bytes, name: bytes = b"\xc0\x0c") -> bytes:
    return name + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


def test_a_question_is_what_rfc_1035_says() -> None:
    assert address_question("a.bc", 1) == bytes.fromhex("0001010000010000000000000161026263000001 0001")


@pytest.mark.parametrize("host", ["", "a..b", ".", "x" * 64, ".".join(["x" * 60] * 5)])
def test_what_is_no_name_is_not_asked(host: str) -> None:
    with pytest.raises(ValueError, match="no host name"):
        address_question(host, 1)


def test_the_address_comes_also_behind_an_alias() -> None:
    alias = _record(5, b"\x03cdn\xc0\x13")
    address = _record(1, bytes([192, 0, 2, 7]), name=b"\x03cdn\x07example\x03org\x00")
    assert address_answer(QUESTION, _answer(alias, address)) == "192.0.2.7"


def test_a_name_without_an_address() -> None:
    assert address_answer(QUESTION, _answer(flags=0x8183)) == ""
    assert address_answer(QUESTION, _answer()) == ""
    assert address_answer(QUESTION, _answer(_record(28, bytes(16)))) == ""
    assert address_answer(QUESTION, _answer(count=9)) == ""


def test_answers_to_another_question_are_none() -> None:
    good = _answer(_record(1, b"\x01\x02\x03\x04"))
    assert address_answer(QUESTION, b"\x12\x35" + good[2:]) is None
    assert address_answer(address_question("broken.example.org", 0x1234), good) is None
    assert address_answer(QUESTION, QUESTION) is None  # the question itself, sent back


@given(st.binary(max_size=200), st.booleans())
def test_anything_is_an_address_or_none(data: bytes, begins_well: bool) -> None:
    answer = address_answer(QUESTION, _answer(data, count=3) if begins_well else data)
    assert answer is None or answer == "" or len(answer.split(".")) == 4


def _time(seconds: int, *, stratum: int = 2, mode: int = 4, nonce: bytes = b"noncenon") -> bytes:
    return bytes([0x20 | mode, stratum]) + bytes(22) + nonce + bytes(8) + struct.pack(">II", seconds, 0)


def test_the_time_of_an_answer() -> None:
    assert time_answer(TIME, _time(2_208_988_800 + 1_800_000_000)) == 1_800_000_000
    assert time_answer(TIME, _time(0)) == 2_085_978_496  # 2036-02-07, when it counts anew


@pytest.mark.parametrize(
    "data",
    [
        _time(3_900_000_000, stratum=0),
        _time(3_900_000_000, stratum=16),
        _time(3_900_000_000, mode=3),
        _time(3_900_000_000, nonce=b"another-"),
        _time(3_900_000_000)[:47],
        b"",
    ],
)
def test_what_is_no_answer_has_no_time(data: bytes) -> None:
    assert time_answer(TIME, data) == 0
