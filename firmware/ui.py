"""What a customer sees and hears: two lines of at most 16 characters (texts.py), and a pattern for lamp and
buzzer (outputs.py). The controller asks and shows.
"""

from firmware import texts
from protocols.magicbox import wire

SHOW_RESULT_MS = 5_000  # then the idle lines return
SHOW_HOLDER_MS = 30_000
WIDTH = 16

# Pairs of (LED 1 | BEEP 2, units of 10 ms): see outputs.py.
KEY_PATTERN = b"\x03\x03"
ACCEPTED_PATTERN = b"\x03\x50\x01\x96"  # one long sound, and the lamp stays on for a while
ALREADY_USED_PATTERN = b"\x03\x14\x00\x14\x03\x14"
INVALID_PATTERN = b"\x03\x0a\x00\x0a\x03\x0a\x00\x0a\x03\x0a"
LOCKED_PATTERN = b"\x03\x32\x00\x1e\x03\x32\x00\x1e\x03\x32"
CHECKING_PATTERN = b"\x01\x0a"
LOW_CREDIT_PATTERN = b"\x03\x05\x00\x32\x03\x05"

_RESULT_PATTERNS = {
    wire.RESULT_ACCEPTED: ACCEPTED_PATTERN,
    wire.RESULT_ALREADY_USED: ALREADY_USED_PATTERN,
    wire.RESULT_INVALID: INVALID_PATTERN,
    wire.RESULT_LOCKED: LOCKED_PATTERN,
}
_DAY_S = 86_400


def idle_lines(
    state: int, left_s: int, is_low: bool = False, language: str = "en", name: str = ""
) -> tuple[str, str]:
    """While nothing happens; `name` is the holder's, empty while a PIN hides it."""
    if state == wire.STATE_TAMPERED:
        return texts.text(language, texts.NEEDS_SERVICE), texts.text(language, texts.CALL_SUPPORT)
    if state == wire.STATE_PAYG_DISABLED:
        return texts.text(language, texts.UNLOCKED), _ascii(name)[:WIDTH]
    if state == wire.STATE_EXPIRED:
        return texts.text(language, texts.NO_CREDIT), texts.text(language, texts.ENTER_TOKEN)
    if is_low:
        first = texts.text(language, texts.LOW_CREDIT)
    else:
        first = _ascii(name)[:WIDTH] or texts.text(language, texts.CREDIT)
    return first, left_text(left_s, language)


def result_lines(
    result: int, state: int, left_s: int, wait_ms: int, closed: bool, *, language: str = "en"
) -> tuple[str, str]:
    """The answer to an entry; `wait_ms` and `closed` are the throttle's."""
    if result == wire.RESULT_LOCKED:
        if state == wire.STATE_TAMPERED:
            return idle_lines(state, left_s, False, language)
        first = texts.text(language, texts.LOCKED)
        if closed:
            return first, texts.text(language, texts.CALL_SUPPORT)
        return first, texts.text(language, texts.WAIT_MIN) % -(-wait_ms // 60_000)
    if result == wire.RESULT_INVALID:
        return texts.text(language, texts.INVALID), ""
    index = texts.ACCEPTED if result == wire.RESULT_ACCEPTED else texts.ALREADY_USED
    return texts.text(language, index), idle_lines(state, left_s, False, language)[1]


def result_pattern(result: int) -> bytes:
    """What lamp and buzzer say to an entry."""
    return _RESULT_PATTERNS[result]


def checking_lines(language: str = "en") -> tuple[str, str]:
    """While a check takes long."""
    return texts.text(language, texts.CHECKING), ""


def holder_lines(name: str, state: int, left_s: int, language: str = "en") -> tuple[str, str]:
    """Whose device it is: a long name takes both lines."""
    name = _ascii(name)
    return name[:WIDTH], name[WIDTH : 2 * WIDTH] or idle_lines(state, left_s, False, language)[1]


def left_text(left_s: int, language: str = "en") -> str:
    """Days left, or hours on the last one."""
    if left_s >= _DAY_S:
        return texts.text(language, texts.DAYS_LEFT) % (left_s // _DAY_S)
    return texts.text(language, texts.HOURS_LEFT) % -(-left_s // 3600)


def _ascii(name: str) -> str:
    """What a display of 7 bits can show."""
    return "".join([letter if " " <= letter <= "~" else "?" for letter in name])
