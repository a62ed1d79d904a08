"""Sealed frames open only unchanged and in their own direction; a window takes a sequence once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.magicbox import seal, wire
from tests.protocols.records import any_records

LINK_KEY = bytes(range(16))
UP = seal.LinkKeys(LINK_KEY, seal.UP)
DOWN = seal.LinkKeys(LINK_KEY, seal.DOWN)

KEYS = st.sampled_from([UP, DOWN])
EPOCHS = st.integers(0, 0xFFFF)
SEQUENCES = st.integers(0, 0xFFFFFFFF)


@given(keys=KEYS, epoch=EPOCHS, sequence=SEQUENCES, records=any_records, encrypted=st.booleans())
def test_opens_to_what_was_sealed(keys, epoch, sequence, records, encrypted):
    body = wire.encode_records(records)
    frame = seal.seal(keys, epoch, sequence, body, encrypted)
    header, opened = seal.unseal(keys, frame)
    assert opened == body
    assert (header.epoch, header.sequence) == (epoch, sequence)
    assert bool(header.flags & wire.FLAG_ENCRYPTED) == encrypted
    assert len(frame) == wire.HEADER_SIZE + len(body) + wire.MAC_SIZE


@given(keys=KEYS, body=st.binary(max_size=60), encrypted=st.booleans(), data=st.data())
def test_a_flipped_bit_is_refused(keys, body, encrypted, data):
    frame = bytearray(seal.seal(keys, 1, 2, body, encrypted))
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(wire.WireError):
        seal.unseal(keys, bytes(frame))


@given(keys=KEYS, body=st.binary(max_size=60), encrypted=st.booleans(), data=st.data())
def test_a_truncated_frame_is_refused(keys, body, encrypted, data):
    frame = seal.seal(keys, 1, 2, body, encrypted)
    with pytest.raises(wire.WireError):
        seal.unseal(keys, frame[: data.draw(st.integers(0, len(frame) - 1))])


@given(frame=st.binary(max_size=60) | st.binary(max_size=60).map(b"MB\x01\x00".__add__))
def test_arbitrary_bytes_raise_only_wire_error(frame):
    with pytest.raises(wire.WireError):
        seal.unseal(UP, frame)


def test_the_other_direction_is_refused():
    with pytest.raises(seal.SealError) as error:
        seal.unseal(DOWN, seal.seal(UP, 0, 1, b"", encrypted=False))
    assert error.value.reason == "bad_direction"


def test_the_directions_have_keys_of_their_own():
    """Without this, a device could be shown its own frames with the direction flag turned."""
    assert len({UP.mac_key, DOWN.mac_key, UP.encryption_key, DOWN.encryption_key}) == 4


def test_another_key_is_refused():
    with pytest.raises(seal.SealError) as error:
        seal.unseal(seal.LinkKeys(bytes(16), seal.UP), seal.seal(UP, 0, 1, b"body", encrypted=True))
    assert error.value.reason == "bad_mac"


def test_unknown_flags_are_refused():
    signed = wire.encode_header(wire.Header(wire.VERSION, 4, 0, 1))
    frame = signed + seal._mac(UP, signed)
    with pytest.raises(seal.SealError) as error:
        seal.unseal(UP, frame)
    assert error.value.reason == "bad_flags"


def test_a_short_link_key_is_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        seal.LinkKeys(bytes(15), seal.UP)


@given(places=st.lists(st.tuples(KEYS, EPOCHS, SEQUENCES), min_size=2, max_size=2, unique=True))
def test_no_key_stream_repeats(places):
    """Equal plaintexts under one key, unless direction, epoch and sequence are equal."""
    bodies = [seal.seal(*place, bytes(64), encrypted=True)[wire.HEADER_SIZE : -8] for place in places]
    assert bodies[0] != bodies[1]


class _SetWindow:
    """The model: everything ever accepted, and the same edge."""

    def __init__(self) -> None:
        self.accepted: set[int] = set()

    def fresh(self, sequence: int) -> bool:
        too_old = bool(self.accepted) and sequence <= max(self.accepted) - seal.Window.SIZE
        return not too_old and sequence not in self.accepted


NEAR = st.integers(0, 200)


@given(sequences=st.lists(NEAR | SEQUENCES, max_size=80))
def test_a_window_is_its_model(sequences):
    model, window = _SetWindow(), seal.Window()
    for sequence in sequences:
        assert window.fresh(sequence) == model.fresh(sequence)
        if model.fresh(sequence):
            model.accepted.add(sequence)
        window.accept(sequence)
        assert not window.fresh(sequence)
        assert 0 <= window.bits < 1 << 64
        window = seal.Window(window.highest, window.bits)


@given(sequences=st.lists(NEAR, max_size=80))
def test_a_sequence_is_taken_once_in_any_order(sequences):
    window = seal.Window()
    taken: list[int] = []
    for sequence in sequences:
        if window.fresh(sequence):
            window.accept(sequence)
            taken.append(sequence)
    assert len(taken) == len(set(taken))
