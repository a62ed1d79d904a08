"""Sequences and epochs of the sealed channel: nothing repeats, whatever SYNCIVs and power cuts come."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from firmware.channel import MAX_EPOCH, Channel
from protocols.magicbox import seal, wire
from tests.firmware.rig import LINK_KEY

UP = seal.LinkKeys(LINK_KEY, seal.UP)
DOWN = seal.LinkKeys(LINK_KEY, seal.DOWN)
BODY = wire.encode_records([wire.Time(1_800_000_000)])


def _down(epoch: int, sequence: int) -> bytes:
    return seal.seal(DOWN, epoch, sequence, BODY, True)


def _nothing(_first: int, _last: int) -> bool:
    """No record waits."""
    return False


def _refusal(channel: Channel, frame: bytes) -> str:
    with pytest.raises(wire.WireError) as caught:
        channel.open(frame, _nothing)
    return caught.value.reason


def test_a_new_epoch_starts_both_ways_from_nothing() -> None:
    channel = Channel(LINK_KEY, True)
    channel.open(_down(0, 40), _nothing)
    assert channel.open_epoch(3)
    channel.dirty = False
    header, _ = seal.unseal(UP, channel.seal(BODY))
    assert (header.epoch, header.sequence) == (3, 0)
    assert _refusal(channel, _down(0, 41)) == "bad_epoch"
    channel.open(_down(3, 0), _nothing)
    assert _refusal(channel, _down(3, 0)) == "replayed"


@pytest.mark.parametrize("epoch", [0, 2, 3, MAX_EPOCH + 1])
def test_an_epoch_that_is_not_higher_changes_nothing(epoch: int) -> None:
    channel = Channel(LINK_KEY, True)
    channel.open_epoch(3)
    before = channel.pack()
    assert not channel.open_epoch(epoch)
    assert channel.pack() == before


def test_epochs_do_not_wrap() -> None:
    channel = Channel(LINK_KEY, True)
    assert channel.open_epoch(MAX_EPOCH)
    assert not channel.open_epoch(0)
    assert not channel.open_epoch(MAX_EPOCH)


def test_the_back_end_may_go_first_and_its_frames_count_on() -> None:
    channel = Channel(LINK_KEY, True)
    channel.open(_down(5, 9), _nothing)
    assert _refusal(channel, _down(4, 10)) == "bad_epoch"
    assert not channel.open_epoch(4)
    assert channel.open_epoch(5)
    assert _refusal(channel, _down(5, 9)) == "replayed"


def test_frames_of_higher_epochs_that_are_not_the_back_end_s_change_nothing() -> None:
    channel = Channel(LINK_KEY, True)
    before = channel.pack()
    forged = bytearray(_down(9, 1))
    forged[-1] ^= 1
    assert _refusal(channel, bytes(forged)) == "bad_mac"
    assert _refusal(channel, seal.seal(DOWN, 9, 1, BODY + b"\x01", True)) == "truncated"
    assert channel.pack() == before


class Channels(RuleBasedStateMachine):
    """A channel that is stored before anything leaves, as core.py does it."""

    def __init__(self) -> None:
        super().__init__()
        self.channel = Channel(LINK_KEY, True)
        self.stored = self.channel.pack()
        self.sent: set[tuple[int, int]] = set()
        self.taken: set[tuple[int, int]] = set()
        self.stored_taken: set[tuple[int, int]] = set()

    def _save(self) -> None:
        self.stored = self.channel.pack()
        self.stored_taken = set(self.taken)
        self.channel.dirty = False

    @rule(times=st.integers(1, 300))
    def send(self, times: int) -> None:
        for _ in range(times):
            self.channel.reserve()
            if self.channel.dirty:
                self._save()
            header, _ = seal.unseal(UP, self.channel.seal(BODY))
            place = (header.epoch, header.sequence)
            assert place not in self.sent
            self.sent.add(place)

    @rule(epoch=st.integers(0, 6), sequence=st.integers(0, 100), is_saved=st.booleans())
    def receive(self, epoch: int, sequence: int, is_saved: bool) -> None:
        try:
            self.channel.open(_down(epoch, sequence), _nothing)
        except wire.WireError:
            return
        assert (epoch, sequence) not in self.taken
        self.taken.add((epoch, sequence))
        if is_saved:
            self._save()

    @rule(epoch=st.integers(0, 6))
    def synciv(self, epoch: int) -> None:
        if self.channel.open_epoch(epoch):
            self._save()

    @rule()
    def power_cut(self) -> None:
        self.channel = Channel(LINK_KEY, True)
        self.channel.unpack(self.stored)
        self.taken = set(self.stored_taken)


TestChannels = Channels.TestCase
TestChannels.settings = settings(stateful_step_count=30)
