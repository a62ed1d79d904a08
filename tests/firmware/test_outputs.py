"""Lamp and buzzer: a pattern plays to its end whenever `poll` comes, and leaves both off."""

from hypothesis import given
from hypothesis import strategies as st

from firmware import ui
from firmware.hal import Hal
from firmware.hal.unix import blank_flash
from firmware.outputs import BEEP, LED, Outputs
from firmware.store import Ring

PATTERNS = [value for name, value in vars(ui).items() if name.endswith("_PATTERN")]


class Panel(Hal):
    """Remembers what is on, and that nothing is switched to what it is."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        super().__init__(Ring(blank_flash()))
        self.on = 0

    def led(self, on: bool) -> None:
        assert on != bool(self.on & LED)
        self.on ^= LED

    def beep(self, on: bool) -> None:
        assert on != bool(self.on & BEEP)
        self.on ^= BEEP


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50)), max_size=8),
    st.lists(st.integers(0, 300), max_size=20),
)
def test_what_is_on_is_what_the_pattern_says(steps: list[tuple[int, int]], waits: list[int]) -> None:
    panel = Panel()
    outputs = Outputs(panel)
    outputs.play(bytes(octet for step in steps for octet in step), 5_000)
    now_ms = 5_000
    for wait_ms in waits:
        now_ms += wait_ms
        next_ms = outputs.poll(now_ms)
        ends_ms, expected, until_ms = 5_000, 0, -1
        for on, units in steps:
            ends_ms += 10 * units
            if now_ms < ends_ms:
                expected, until_ms = on, ends_ms - now_ms
                break
        assert (panel.on, next_ms) == (expected, until_ms)


def test_the_deadlines_lead_through_every_pattern_to_silence() -> None:
    assert len(PATTERNS) == 7
    for pattern in PATTERNS:
        panel = Panel()
        outputs = Outputs(panel)
        outputs.play(pattern, 0)
        now_ms = 0
        seen: list[int] = [panel.on]
        while (wait_ms := outputs.poll(now_ms)) >= 0:
            now_ms += wait_ms
            outputs.poll(now_ms)
            seen.append(panel.on)
        assert seen == [*pattern[::2], 0]
        assert now_ms == 10 * sum(pattern[1::2]) < ui.SHOW_RESULT_MS


def test_a_new_pattern_takes_the_place_of_the_old() -> None:
    panel = Panel()
    outputs = Outputs(panel)
    outputs.play(ui.ACCEPTED_PATTERN, 0)
    outputs.play(b"\x01\x0a", 100)
    assert panel.on == LED
    assert outputs.poll(199) == 1
    outputs.play(b"", 199)
    assert (panel.on, outputs.poll(199)) == (0, -1)
