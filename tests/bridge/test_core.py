"""What publications mean: every topic and payload gives one of three values, and answers find back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import core
from bridge.backoff import Backoff
from bridge.core import Ignored, Publication, StateReport, Uplink
from protocols import topics
from tests.bridge.conftest import Event, Item

SERIALS = st.text(min_size=1, max_size=12)
LEAVES = st.sampled_from([topics.up, topics.down, topics.state])
TOPICS = st.builds(lambda leaf, serial: leaf(serial), LEAVES, SERIALS) | st.text(max_size=40)


@given(TOPICS, st.binary(max_size=40))
def test_anything_is_read_without_an_error(topic: str, payload: bytes):
    assert isinstance(core.read(topic, payload), Uplink | StateReport | Ignored)


@given(st.binary(max_size=6), st.integers(0, 29))
def test_a_state_with_other_bytes_in_it_is_read_without_an_error(strange: bytes, at: int):
    """Strange bytes inside the strings too, which only a document that is nearly right has."""
    payload = b'{"state":"online","boot_id":7}'
    for changed in (
        payload[:at] + strange + payload[at:],
        payload[:at] + strange + payload[at + len(strange) :],
    ):
        assert isinstance(core.read(topics.state("S"), changed), StateReport | Ignored)


@given(SERIALS, st.binary(min_size=1))
def test_a_frame_is_read_with_its_serial(serial: str, frame: bytes):
    assert core.read(topics.up(serial), frame) == Uplink(serial, frame)
    assert core.read(topics.down(serial), frame) == Ignored("unknown_topic")


@given(SERIALS, st.booleans(), st.integers(0, (1 << 32) - 1))
def test_a_state_is_read_as_written(serial: str, online: bool, boot_id: int):
    payload = b'{"state":"%s","boot_id":%d}' % (b"online" if online else b"offline", boot_id)
    assert core.read(topics.state(serial), payload) == StateReport(serial, online, boot_id)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"offline",
        b"[]",
        b'{"state":"online"}',
        b'{"state":"gone","boot_id":1}',
        b'{"state":"online","boot_id":-1}',
        b'{"state":"online","boot_id":4294967296}',
        b'{"state":"online","boot_id":"1"}',
        b'{"state":"online","boot_id":1',
        b'{"state":"online","boot_id":1,"x":' + b"[" * 100_000,
        b'{"state":"\xff","boot_id":1}',
        b'{"\xff":"online","boot_id":1}',
    ],
    ids=range(12),
)
def test_a_state_that_does_not_parse_is_ignored(payload: bytes):
    assert core.read(topics.state("S"), payload) == Ignored("bad_state")


def test_an_empty_frame_is_ignored():
    assert core.read(topics.up("S"), b"") == Ignored("empty_frame")


@given(SERIALS, st.sampled_from(topics.OPS_KINDS), st.binary(max_size=20))
def test_only_a_status_is_retained(serial: str, kind: str, payload: bytes):
    topic = topics.ops("UG", serial, kind)
    retain = kind == "status"
    assert core.ops_event(Event("UG", serial, kind, payload), qos=0) == Publication(topic, payload, 0, retain)
    assert core.feed_item(Item(1, serial, "UG", kind, payload)) == Publication(topic, payload, 1, retain)


@given(SERIALS, st.binary())
def test_a_frame_goes_down_at_qos_0(serial: str, frame: bytes):
    expected = Publication(topics.down(serial), frame, 0, retain=False)
    assert core.downlink(serial, frame) == core.feed_item(Item(1, serial, "UG", "down", frame)) == expected


def test_unknown_channels_and_markets_are_errors():
    with pytest.raises(ValueError, match="kind"):
        core.feed_item(Item(1, "S", "UG", "sideways", b""))
    with pytest.raises(ValueError, match="market"):
        core.ops_event(Event("U/G", "S", "status", b""), qos=0)


def test_payloads_stay_out_of_texts():
    values = (Uplink("S", b"secret"), Publication("t", b"secret", 0, False))
    assert all("secret" not in repr(value) for value in values)


def test_backoff_grows_by_steps_and_is_bounded():
    assert [Backoff(step_s=1.0).delay_s(failures) for failures in (1, 2, 5, 6, 100)] == [1, 2, 5, 5, 5]
