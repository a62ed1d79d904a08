"""Keys that are typed into a process (hal/process.py) arrive whole, however seldom it is let to scan."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.hal import process
from firmware.hal.net import Network
from firmware.hal.process import ProcessHal
from firmware.keypad import NO_KEY, Keypad
from firmware.store import Ring
from tests.firmware.rig import NorFlash

# Milliseconds between the shell's look at its clock, the scan, and the next round; a busy host has long ones.
pauses = st.lists(st.integers(0, 400), min_size=2, max_size=40)


@given(typed=st.text("0123456789*#", min_size=1, max_size=30), pauses=pauses)
def test_no_typed_key_is_lost_or_doubled(typed: str, pauses: list[int]) -> None:
    now_ms = 1_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "ticks_ms", lambda: now_ms)
        hal = ProcessHal(Ring(NorFlash()), Network(None, False), "telephone")
        hal._typed, hal._has_ended = typed, True
        keypad, seen = Keypad(), ""
        for number in range(12 * len(typed) + 12):
            shell_ms = now_ms
            now_ms += pauses[number % len(pauses)]
            key = keypad.scan(hal.scan_keys(), shell_ms)
            seen += key if key != NO_KEY else ""
            now_ms += 5 + pauses[(number + 1) % len(pauses)]
    assert seen == typed
