"""Segments of a text (3GPP TS 23.038, 23.040)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.mega.segments import GSM7, GSM7_ESCAPED, count


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the escape pair does not fit the first part's last septet
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("ж" * 134, 2),
        ("ж" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("ж" * 66 + "😀" + "ж" * 66, 3),  # nor does the surrogate pair
        ("a" * 159 + "ж", 3),
    ],
)
def test_known_lengths(text, segments):
    assert count(text) == segments


def test_the_alphabet_is_complete():
    assert len(GSM7) == 127  # 128 codes, one of which is the escape
    assert len(GSM7_ESCAPED) == 10


@given(st.text(alphabet=sorted(GSM7 | GSM7_ESCAPED), max_size=500))
def test_gsm7_is_packed_without_waste(text):
    septets = sum(2 if character in GSM7_ESCAPED else 1 for character in text)
    segments = count(text)
    if septets <= 160:
        assert segments == 1
    else:
        assert -(-septets // 153) <= segments <= -(-septets // 152)


@given(st.text(max_size=300))
def test_more_text_never_takes_fewer_segments(text):
    assert 1 <= count(text) <= count(text + "a")
