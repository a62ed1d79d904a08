"""Encodings of the Moto service (spec/moto_token.md, Encodings). The probed ones: test_moto.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.tokens.encoding import render


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        (None, "42744349"),
        ("*+0-9+#+pad3 space3", "*00 427 443 49#"),
        ("*+0-9+#+space3 pad3", "*00 427 443 49#"),
        ("*+0-9+#+pad4", "*0042744349#"),
        ("*+0-9+#+space4", "*427 4434 9#"),
        ("*+0-9+#", "*42744349#"),
        ("*+0-9#", "*42744349"),
        ("*+0-9", "*42744349"),
        ("+0-9+#", "42744349#"),
        ("*+0-9++pad5", "*042744349"),
    ],
)
def test_parses(encoding, text):
    assert render(42744349, encoding) == text


@pytest.mark.parametrize(
    "encoding",
    [
        "numeric",
        "",
        "0-9",
        "*",
        "*+",
        "*+1-4+#",
        "*+0-9+#+pad",
        "*+0-9+#+pad0",
        "*+0-9+#+pad100",
        "*+0-9+#+pad3 pad3",
        "*+0-9+#+shout",
        "*+0-9+#+pad3+space3",
        "*+0-9+#+pad٣",
    ],
)
def test_does_not_parse(encoding):
    assert render(42744349, encoding) is None


@given(
    number=st.integers(0, 10**12),
    prefix=st.text("*#AB", max_size=5),
    suffix=st.text("*#AB", max_size=5),
    pad=st.integers(1, 99),
    space=st.integers(1, 99),
)
def test_padding_and_grouping(number, prefix, suffix, pad, space):
    text = render(number, f"{prefix}+0-9+{suffix}+pad{pad} space{space}")
    assert text is not None
    groups = text.split(" ")
    assert all(len(group) == space for group in groups[:-1])
    assert 1 <= len(groups[-1]) <= space
    whole = "".join(groups)
    assert len(whole) % pad == 0
    assert int(whole.removeprefix(prefix).removesuffix(suffix)) == number


@given(encoding=st.text("*+0-9#pads ", max_size=20))
def test_any_text_is_rendered_or_refused(encoding):
    text = render(7, encoding)
    assert text is None or "7" in text
