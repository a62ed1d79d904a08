"""Topic rules: what a login reaches lies inside what it may reach, whatever the filter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.broker.rules import Login, may_call_itself, may_publish, may_subscribe
from protocols import topics

SERIALS = st.text(min_size=1, max_size=12)
LEVEL = st.sampled_from(
    ["payg", "v1", "ops", "dev", "UG", "A", "up", "down", "state", "status", "", "$SYS", "x+"]
)
FILTERS = st.lists(LEVEL | st.sampled_from(["+", "#"]), min_size=1, max_size=7).map("/".join)
TOPICS = st.lists(LEVEL, min_size=1, max_size=7).map("/".join)


def matches(topic: str, topic_filter: str) -> bool:
    """Match by the specification (4.7), the slow way."""
    if topic_filter == "#":
        return True
    names, levels = topic.split("/"), topic_filter.split("/")
    if levels[-1] == "#":
        levels = levels[:-1]
        names = names[: len(levels)]
    return len(names) == len(levels) and all(a in ("+", b) for a, b in zip(levels, names, strict=True))


@given(FILTERS, TOPICS)
def test_ops_reads_only_ops(topic_filter: str, topic: str):
    if may_subscribe(Login("ops"), topic_filter) and matches(topic, topic_filter):
        assert topic == "payg/v1/ops" or topic.startswith("payg/v1/ops/")


@given(FILTERS, TOPICS)
def test_the_bridge_stays_in_its_tree(topic_filter: str, topic: str):
    if may_subscribe(Login("bridge"), topic_filter) and matches(topic, topic_filter):
        assert topic == "payg/v1" or topic.startswith("payg/v1/")
    if may_publish(Login("bridge"), topic):
        assert topic.startswith("payg/v1/")


@given(SERIALS, FILTERS | SERIALS.map(topics.down) | SERIALS.map(topics.up))
def test_a_device_subscribes_only_to_its_down(serial: str, topic_filter: str):
    allowed = may_subscribe(Login("device", serial), topic_filter)
    assert allowed == (topic_filter == topics.down(serial))


@given(SERIALS, SERIALS)
def test_a_device_publishes_only_its_own(serial: str, other: str):
    login = Login("device", serial)
    assert may_publish(login, topics.up(serial))
    assert may_publish(login, topics.state(serial))
    assert not may_publish(login, topics.down(serial))
    if other != serial:
        assert not any(
            may_publish(login, topic) for topic in (topics.up(other), topics.down(other), topics.state(other))
        )


@given(SERIALS, FILTERS)
def test_no_role_writes_by_wildcard_and_ops_not_at_all(serial: str, topic: str):
    assert not may_publish(Login("ops"), topic)
    if "+" in topic or "#" in topic:
        assert not any(may_publish(login, topic) for login in (Login("bridge"), Login("device", serial)))


@given(SERIALS, SERIALS)
def test_a_device_is_called_by_its_encoded_serial(serial: str, other: str):
    name, login = topics.encode_serial(serial), Login("device", serial)
    assert may_call_itself(login, name, name)
    if other != serial:
        assert not may_call_itself(login, name, topics.encode_serial(other))
        assert not may_call_itself(login, topics.encode_serial(other), topics.encode_serial(other))


@pytest.mark.parametrize(
    ("topic_filter", "allowed"),
    [
        ("payg/v1/ops/#", True),
        ("payg/v1/ops/+/+/status", True),
        ("payg/v1/ops", True),
        ("payg/v1/#", False),
        ("payg/v1/+/UG/x/status", False),
        ("payg/v1/opsx/#", False),
        ("payg/v1/ops/#/status", False),
        ("payg/v1/ops/a#", False),
        ("payg/v1/ops/a+/x", False),
        ("$share/group/payg/v1/ops/#", False),
        ("", False),
    ],
)
def test_filters_of_ops(topic_filter: str, allowed: bool):
    assert may_subscribe(Login("ops"), topic_filter) is allowed


def test_a_device_login_without_a_serial_may_nothing():
    login = Login("device")
    assert not may_publish(login, "payg/v1/dev/x/up")
    assert not may_subscribe(login, "payg/v1/dev/x/down")
    assert not may_call_itself(login, "x", "x")
