"""Lamp and buzzer on a board: patterns play to their end, and playing allocates nothing."""

from firmware import ui
from firmware.outputs import Outputs
from tests.device.plain import without_heap


class Panel:
    def __init__(self):
        self.switched = 0
        self.is_lit = False
        self.is_loud = False

    def led(self, on):
        self.switched += 1
        self.is_lit = on

    def beep(self, on):
        self.switched += 1
        self.is_loud = on


def _play(outputs):
    outputs.play(ui.INVALID_PATTERN, 0)
    for now_ms in range(0, 1000, 7):
        outputs.poll(now_ms)


def test_a_pattern_plays_and_ends_without_the_heap():
    panel = Panel()
    outputs = Outputs(panel)
    without_heap(_play, outputs)
    assert panel.switched == 12  # three times both on and both off
    assert not panel.is_lit
    assert not panel.is_loud
    assert outputs.poll(2000) == -1


def test_the_deadlines_lead_through_a_pattern():
    panel = Panel()
    outputs = Outputs(panel)
    outputs.play(b"\x01\x0a\x00\x05\x02\x01", 100)
    assert (panel.is_lit, panel.is_loud, outputs.poll(100)) == (True, False, 100)
    assert (outputs.poll(200), panel.is_lit) == (50, False)
    assert (outputs.poll(250), panel.is_loud) == (10, True)
    assert (outputs.poll(260), panel.is_loud) == (-1, False)
