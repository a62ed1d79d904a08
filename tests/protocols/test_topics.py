"""Topics: every serial has one topic of its own, and only what we write parses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import topics

SERIALS = st.text(min_size=1, max_size=30).filter(
    lambda text: not any(0xD800 <= ord(c) < 0xE000 for c in text)
)
SERIAL = "SCBLNX/A/BT/240300126005"


def test_the_seeds_serial():
    for leaf, topic in (("up", topics.up), ("down", topics.down), ("state", topics.state)):
        assert topic(SERIAL) == f"payg/v1/dev/SCBLNX%2FA%2FBT%2F240300126005/{leaf}"
    assert topics.ops("UG", SERIAL, "status") == "payg/v1/ops/UG/SCBLNX%2FA%2FBT%2F240300126005/status"


@given(serial=SERIALS)
def test_serials_round_trip(serial):
    level = topics.encode_serial(serial)
    assert not set(level) & set("/+#. $\0")
    assert topics.decode_serial(level) == serial


@given(level=st.text("%0123456789ABCDEFabcdef-_./é", max_size=12))
def test_no_two_levels_are_one_serial(level):
    try:
        serial = topics.decode_serial(level)
    except ValueError:
        return
    assert topics.encode_serial(serial) == level


@given(serial=SERIALS, market=st.sampled_from(["UG", "RW"]), kind=st.sampled_from(topics.OPS_KINDS))
def test_topics_parse(serial, market, kind):
    assert topics.parse(topics.up(serial)) == ("up", serial)
    assert topics.parse(topics.down(serial)) == ("down", serial)
    assert topics.parse(topics.state(serial)) == ("state", serial)
    assert topics.parse(topics.ops(market, serial, kind)) == ("ops", market, serial, kind)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "payg/v1",
        "payg/v2/dev/A/up",
        "payg/v1/dev/A/up/x",
        "payg/v1/dev/A/sideways",
        "payg/v1/dev//up",
        "payg/v1/dev/+/up",
        "payg/v1/dev/A%2f/up",
        "payg/v1/dev/A%/up",
        "payg/v1/dev/%41/up",
        "payg/v1/dev/%FF/up",
        "payg/v1/ops/UG/A/other",
        "payg/v1/ops//A/status",
        "payg/v1/ops/U+/A/status",
        "payg/v1/rpc/moto/tokens",
    ],
)
def test_other_topics(topic):
    assert topics.parse(topic) is None


@given(topic=st.text("payg/v1deopsu%+#", max_size=30))
def test_any_text_parses_or_not(topic):
    parsed = topics.parse(topic)
    assert parsed is None or isinstance(parsed, tuple)


def test_arguments_that_make_no_topic():
    with pytest.raises(ValueError, match="empty"):
        topics.up("")
    with pytest.raises(ValueError, match="status, event"):
        topics.ops("UG", "A", "other")
    with pytest.raises(ValueError, match="market"):
        topics.ops("U/G", "A", "status")
