"""OpenPAYGO tokens: nine (extended: twelve) digits off a SipHash chain (spec/openpaygo.md).

A token is a place (`count`) on the chain that belongs to its value, with the value's base in the low digits.
Even counts add time; odd counts set time, disable PAYG or synchronise the counter. Counts start at 1: count 0
would be the printed starting code. `Chain` walks in slices, so that a board can feed its watchdog and keep
(count, code) checkpoints (firmware/acceptance.py).
"""

import sys

from protocols.tokens import siphash
from protocols.tokens.errors import TokenError

ADD_TIME = "add_time"
SET_TIME = "set_time"
DISABLE_PAYG = "disable_payg"
COUNTER_SYNC = "counter_sync"
COMMANDS = (ADD_TIME, SET_TIME, DISABLE_PAYG, COUNTER_SYNC)

MAX_TIME_VALUE = 995
RESERVED_VALUES = (996, 997)  # a token of either length says nothing with them
DISABLE_VALUE = 998
SYNC_VALUE = 999
MAX_EXTENDED_VALUE = 999_999
MAX_STARTING_CODE = 999_999_999
# A token an hour for a century. It bounds the walk of one token, a hash a count at 0.2 us on a host: 2 ms
# after ten years of a token a day, 0.2 s at the very end.
MAX_COUNT = 1_000_000
SECRET_SIZE = 16

_MAX_NUMBER = (999_999_999, 999_999_999_999)  # standard, extended
_SPAN = (1_000, 1_000_000)  # how many bases there are
_DIGITS = (9, 12)
_RESTRICTED_DIGITS = (15, 20)

if sys.implementation.name == "micropython":
    try:
        from protocols.tokens.siphash_viper import walk as _walk
    except (ImportError, SyntaxError, ValueError):  # a port without viper: slow, and the same answers
        from protocols.tokens.siphash import walk as _walk
else:
    from protocols.tokens.siphash_host import walk as _walk


def derive_starting_code(secret: bytes) -> int:
    """The starting code of a device that was given none."""
    _check_secret(secret)
    return siphash.fold(siphash.siphash24(secret, secret))


def encode(secret: bytes, starting_code: int, count: int, value: int, extended: bool = False) -> int:
    """The token of `value` at `count`; TokenError for an argument out of range. Parity is the caller's."""
    if not 1 <= count <= MAX_COUNT:
        raise TokenError(f"count must be 1 to {MAX_COUNT}, not {count}")
    chain = Chain(secret, starting_code, value, extended)
    chain.step(count)
    return chain.token()


def next_count(last_count: int, command: str) -> int:
    """The count of the next token after `last_count`: even for ADD_TIME, odd for every other command."""
    if command not in COMMANDS:
        raise TokenError("unknown command " + command + ": use one of " + ", ".join(COMMANDS))
    parity = 0 if command == ADD_TIME else 1
    return last_count + (2 if last_count % 2 == parity else 1)


class Chain:
    """A walk along the chain of one value.

    `count` and `code` are the place on it; set both to resume at a checkpoint of the same value.
    """

    __slots__ = ("_base", "_extended", "_secret", "_span", "code", "count")

    def __init__(self, secret: bytes, starting_code: int, value: int, extended: bool = False):
        _check_secret(secret)
        if not 0 <= starting_code <= MAX_STARTING_CODE:
            raise TokenError(f"starting code must be 0 to {MAX_STARTING_CODE}, not {starting_code}")
        _check_value(value, extended)
        span = _SPAN[extended]
        self._secret = secret
        self._span = span
        self._extended = extended
        self._base = (starting_code + value) % span
        self.count = 0
        self.code = starting_code - starting_code % span + self._base

    def step(self, steps: int = 1) -> None:
        """Go `steps` places on; each costs one hash."""
        self.code, _ = _walk(self._secret, self.code, steps, siphash.NEVER, self._extended)
        self.count += steps

    def search(self, number: int, steps: int) -> int:
        """Go on to the next place whose token is `number`, a number of this value; how many places it went,
        at most `steps`."""
        stop = number - number % self._span
        self.code, left = _walk(self._secret, self.code, steps, stop, self._extended)
        self.count += steps - left
        return steps - left

    def token(self) -> int:
        """The token of this value at `count`."""
        return self.code - self.code % self._span + self._base


def value_of(number: int, starting_code: int, extended: bool = False) -> int:
    """The value that a typed number claims, 0 to 999 (extended: 999,999); nothing is checked yet."""
    return (number - starting_code) % _SPAN[extended]


def format_token(number: int, extended: bool = False) -> str:
    """The token's digits, zero-padded to 9 (extended: 12)."""
    digits = str(number)
    return "0" * (_DIGITS[extended] - len(digits)) + digits


def to_restricted(number: int, extended: bool = False) -> str:
    """The token in the digits 1 to 4: 15 of them (extended: 20)."""
    length = _RESTRICTED_DIGITS[extended]
    return "".join(["1234"[number >> 2 * place & 3] for place in range(length - 1, -1, -1)])


def from_restricted(text: str, extended: bool = False) -> int:
    """The token's number; TokenError unless `text` is exactly what `to_restricted` writes."""
    if len(text) != _RESTRICTED_DIGITS[extended]:
        raise TokenError(f"a restricted token has {_RESTRICTED_DIGITS[extended]} digits")
    number = 0
    for digit in text:
        place = "1234".find(digit)
        if place < 0:
            raise TokenError("a restricted token has only the digits 1 to 4")
        number = number << 2 | place
    if number > _MAX_NUMBER[extended]:
        raise TokenError("no token has these restricted digits")
    return number


def _check_secret(secret: bytes) -> None:
    if len(secret) != SECRET_SIZE:
        raise TokenError(f"secret must have {SECRET_SIZE} bytes, not {len(secret)}")


def _check_value(value: int, extended: bool) -> None:
    if extended:
        if value in RESERVED_VALUES:
            raise TokenError(f"value {value} is reserved: use another")
        if not 0 <= value <= MAX_EXTENDED_VALUE:
            raise TokenError(f"value must be 0 to {MAX_EXTENDED_VALUE}, not {value}")
    elif not (0 <= value <= MAX_TIME_VALUE or value in (DISABLE_VALUE, SYNC_VALUE)):
        raise TokenError(f"value must be 0 to {MAX_TIME_VALUE}, {DISABLE_VALUE} or {SYNC_VALUE}, not {value}")
