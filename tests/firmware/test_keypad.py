"""The keypad: one key a press, however it bounces; never a key that was not alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.keypad import (
    DEBOUNCE_MS,
    END_PAUSE_MS,
    ENTRY_TIMEOUT_MS,
    LAYOUTS,
    NO_KEY,
    SCAN_INTERVAL_MS,
    Keypad,
)

TELEPHONE = LAYOUTS["telephone"]
HOLD_MS = 3 * DEBOUNCE_MS


class Fingers:
    """Presses keys of a keypad that is scanned all the time."""

    def __init__(self, layout: str = "telephone") -> None:
        self.keypad = Keypad(layout)
        self.layout = LAYOUTS[layout]
        self.now_ms = 1_000_000
        self.given = ""

    def hold(self, pressed: int, time_ms: int) -> None:
        for _ in range(0, time_ms, SCAN_INTERVAL_MS):
            self.given += self.keypad.scan(pressed, self.now_ms)
            self.now_ms += SCAN_INTERVAL_MS

    def press(self, keys: str) -> str:
        """What the keypad gave for these keys, one after the other."""
        before = len(self.given)
        for key in keys:
            self.hold(1 << self.layout.index(key), HOLD_MS)
            self.hold(0, HOLD_MS)
        return self.given[before:]

    def wait(self, time_ms: int) -> str:
        before = len(self.given)
        self.hold(0, time_ms)
        return self.given[before:]


@given(st.text(TELEPHONE, max_size=30))
def test_a_telephone_keypad_gives_what_is_typed(keys: str) -> None:
    fingers = Fingers()
    assert fingers.press(keys) == keys
    assert fingers.wait(2 * ENTRY_TIMEOUT_MS) == ""


def test_a_key_that_is_held_is_one_key() -> None:
    fingers = Fingers()
    fingers.hold(1, 10_000)
    assert fingers.given == "1"


@given(
    st.lists(st.tuples(st.sampled_from(TELEPHONE), st.lists(st.integers(0, 3), max_size=8)), max_size=12),
)
def test_bounces_shorter_than_the_debounce_time_make_no_key(presses: list[tuple[str, list[int]]]) -> None:
    fingers = Fingers()
    for key, bounces in presses:
        pressed = 1 << TELEPHONE.index(key)
        for scans in bounces:  # contact for some scans, then none for one
            fingers.hold(pressed, min(scans * SCAN_INTERVAL_MS, DEBOUNCE_MS))
            fingers.hold(0, SCAN_INTERVAL_MS)
        fingers.hold(pressed, HOLD_MS)
        for scans in bounces:  # and so when it comes up
            fingers.hold(0, min(scans * SCAN_INTERVAL_MS, DEBOUNCE_MS))
            fingers.hold(pressed, SCAN_INTERVAL_MS)
        fingers.hold(0, HOLD_MS)
    assert fingers.given == "".join(key for key, _ in presses)


@given(
    st.lists(
        st.tuples(st.one_of(st.just(0), st.integers(0, 0xFFFF)), st.integers(0, 12)), min_size=1, max_size=60
    )
)
def test_any_noise(samples: list[tuple[int, int]]) -> None:
    """Against the rule in words: a key is given when it alone was down for DEBOUNCE_MS after all were up."""
    keypad = Keypad()
    now_ms = 0
    history: list[tuple[int, int]] = []
    armed = True
    for pressed, scans in samples:
        for _ in range(scans):
            history.append((now_ms, pressed))
            recent = {mask for at_ms, mask in history if at_ms >= now_ms - DEBOUNCE_MS}
            covers = recent == {pressed} and now_ms - _since(history) >= DEBOUNCE_MS
            expected = NO_KEY
            if covers and pressed == 0:
                armed = True
            elif covers and armed:
                armed = False
                if pressed.bit_count() == 1 and pressed.bit_length() <= len(TELEPHONE):
                    expected = TELEPHONE[pressed.bit_length() - 1]
            assert keypad.scan(pressed, now_ms) == expected
            now_ms += SCAN_INTERVAL_MS


def _since(history: list[tuple[int, int]]) -> int:
    """From when on the mask has been what it is; the keypad begins with all keys up at 0."""
    newest = history[-1][1]
    since_ms = history[-1][0]
    for at_ms, mask in reversed(history):
        if mask != newest:
            return since_ms
        since_ms = at_ms
    return 0 if newest == 0 else since_ms


@pytest.mark.parametrize("pressed", [0b11, 0b111, 0b1011, 0xFFF])
def test_keys_that_are_down_together_are_none_until_all_are_up(pressed: int) -> None:
    fingers = Fingers()
    fingers.hold(pressed, HOLD_MS)
    fingers.hold(0b1, HOLD_MS)  # one is still down
    assert fingers.given == ""
    fingers.hold(0, HOLD_MS)
    assert fingers.press("5") == "5"


def test_a_second_key_beside_a_held_one_is_none() -> None:
    fingers = Fingers()
    for pressed in (0b1, 0b11, 0b10, 0):
        fingers.hold(pressed, HOLD_MS)
    assert fingers.given == "1"


def test_a_line_that_the_layout_has_not_is_no_key() -> None:
    fingers = Fingers("restricted")
    fingers.hold(1 << 5, HOLD_MS)
    assert fingers.given == ""


def test_a_restricted_entry_ends_after_fifteen_digits_and_a_pause() -> None:
    fingers = Fingers("restricted")
    assert fingers.press("*" + "1234" * 3 + "123") == "*123412341234123"
    assert fingers.wait(END_PAUSE_MS - 2 * HOLD_MS) == ""
    assert fingers.wait(3 * HOLD_MS) == "#"
    assert fingers.wait(2 * ENTRY_TIMEOUT_MS) == ""


def test_a_restricted_entry_of_twenty_digits_ends_at_once() -> None:
    fingers = Fingers("restricted")
    assert fingers.press("1234" * 5) == "1234" * 5 + "#"
    assert fingers.press("1" * 20) == "1" * 20 + "#"


def test_a_restricted_entry_that_is_begun_anew_or_forgotten_counts_from_nothing() -> None:
    fingers = Fingers("restricted")
    fingers.press("1" * 10 + "*" + "2" * 14)
    assert fingers.wait(2 * END_PAUSE_MS) == ""
    assert fingers.wait(ENTRY_TIMEOUT_MS) == ""
    fingers.press("3" * 14)
    assert fingers.wait(2 * END_PAUSE_MS) == ""
    assert fingers.press("3") == "3"
    assert fingers.wait(2 * END_PAUSE_MS) == "#"


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(KeyError):
        Keypad("piano")


def test_a_restricted_star_ends_what_may_be_a_pin() -> None:
    fingers = Fingers("restricted")
    assert fingers.press("*123*") == "*123*"
    assert fingers.press("1234*") == "1234P"
    assert fingers.press("123412*") == "123412P"
    assert fingers.press("1234123*") == "1234123*"
    assert Fingers().press("1234*") == "1234*"
