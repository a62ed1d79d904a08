"""The keypad: what the matrix says now -> one key at a time.

A shell gives `scan` the HAL's bitmask every SCAN_INTERVAL_MS and hands the key that it returns to
`Controller.key`. Nothing here allocates (tests/device/test_keypad.py, under heap_lock).

- Debounce: a mask counts when it has been the same for DEBOUNCE_MS.
- Ghosts: three keys of a matrix without diodes look like four. So two keys at a time are none, and no key
  counts again until all are up.
- A keypad without `#` ends an entry by itself: RESTRICTED_DIGITS digits and a pause of END_PAUSE_MS, or
  EXTENDED_DIGITS digits (openpaygo.md: a token in the digits 1-4 has 15, an extended one 20). Its `*` after
  as many digits as a PIN has is PIN_END: the holder's PIN ends with it, anything else is cleared.
"""

DEBOUNCE_MS = 20
SCAN_INTERVAL_MS = 5
ENTRY_TIMEOUT_MS = 30_000  # half-typed digits are forgotten, here and in the controller
RESTRICTED_DIGITS = 15
EXTENDED_DIGITS = 20
END_PAUSE_MS = 3_000
PIN_DIGITS = (4, 5, 6)
PIN_END = "P"

NO_KEY = ""
LAYOUTS = {
    "telephone": "123456789*0#",  # 4 rows of 3
    "restricted": "1234*",  # one row of 1 to 5 keys
}


class Keypad:
    """The debounced keys of one matrix."""

    __slots__ = ("_digits", "_is_held", "_keys", "_last_key_ms", "_mask", "_since_ms")

    def __init__(self, layout: str = "telephone"):
        """KeyError for a layout that is not in LAYOUTS."""
        self._keys = tuple([key for key in LAYOUTS[layout]])
        self._mask = 0
        self._since_ms = 0
        self._is_held = False  # a key was given, or two were down: all must come up first
        self._digits = 0  # of the entry so far; -1: this keypad has a `#`
        self._last_key_ms = 0
        if "#" in self._keys:
            self._digits = -1

    def scan(self, pressed: int, now_ms: int) -> str:
        """The key that was pressed, NO_KEY most of the time; `pressed` is the HAL's bitmask now."""
        if pressed != self._mask:
            self._mask = pressed
            self._since_ms = now_ms
        if now_ms - self._since_ms < DEBOUNCE_MS:
            return NO_KEY
        if not pressed:
            self._is_held = False
            return self._entry_end(now_ms)
        if self._is_held:
            return NO_KEY
        self._is_held = True
        if pressed & (pressed - 1):  # more than one
            return NO_KEY
        return self._key(pressed, now_ms)

    def _key(self, pressed: int, now_ms: int) -> str:
        index = 0
        while pressed > 1:
            pressed >>= 1
            index += 1
        if index >= len(self._keys):  # a line that this layout has not
            return NO_KEY
        key = self._keys[index]
        if self._digits >= 0:
            if now_ms - self._last_key_ms >= ENTRY_TIMEOUT_MS:
                self._digits = 0
            if key != "*":
                self._digits += 1
            else:
                if self._digits in PIN_DIGITS:
                    key = PIN_END
                self._digits = 0
            self._last_key_ms = now_ms
        return key

    def _entry_end(self, now_ms: int) -> str:
        """`#` when the digits are a whole entry."""
        if self._digits < RESTRICTED_DIGITS:
            return NO_KEY
        if self._digits < EXTENDED_DIGITS and now_ms - self._last_key_ms < END_PAUSE_MS:
            return NO_KEY
        self._digits = 0
        return "#"
