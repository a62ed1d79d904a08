"""The keypad on a board: keys come out as typed, and looking for them allocates nothing."""

from firmware.keypad import END_PAUSE_MS, LAYOUTS, SCAN_INTERVAL_MS, Keypad
from tests.device.plain import without_heap

HOLD_SCANS = 12


def _type(keypad, layout, keys):
    """What the keypad gives for keys that are pressed one after the other."""
    given = ""
    now_ms = 1000
    for key in keys:
        pressed = 1 << LAYOUTS[layout].index(key)
        for scan in range(2 * HOLD_SCANS):
            given += keypad.scan(pressed if scan < HOLD_SCANS and scan != 1 else 0, now_ms)
            now_ms += SCAN_INTERVAL_MS
    for _ in range(END_PAUSE_MS // SCAN_INTERVAL_MS):
        given += keypad.scan(0, now_ms)
        now_ms += SCAN_INTERVAL_MS
    return given


def test_every_key_of_a_telephone_keypad():
    assert _type(Keypad(), "telephone", "*1234567890#") == "*1234567890#"


def test_a_restricted_keypad_ends_its_entries():
    assert _type(Keypad("restricted"), "restricted", "*" + "1234" * 3 + "123") == "*123412341234123#"
    assert _type(Keypad("restricted"), "restricted", "1234" * 5) == "1234" * 5 + "#"


def _many_scans(keypad):
    now_ms = 0
    while now_ms < 2000:
        keypad.scan(0 if now_ms % 100 < 50 else 1 << now_ms // 100 % 12, now_ms)
        now_ms += SCAN_INTERVAL_MS


def test_a_scan_allocates_nothing():
    for layout in LAYOUTS:
        without_heap(_many_scans, Keypad(layout))
