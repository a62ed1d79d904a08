"""Moto tokens: payload, command and a 19-bit signature in one integer (spec/moto_token.md, checklist 82, 84).

The sequence number is signed but not carried: whoever checks a token tries the numbers of a window with
`signature`. encoding.py writes the number the way a keypad wants it.
"""

import struct

from protocols.mac import hmac_sha1
from protocols.tokens.errors import TokenError

UNLOCK_ABSOLUTE = 0
UNLOCK_RELATIVE = 1
COUNTER_SYNC = 9
COMMAND_CODES = {
    "unlock_absolute": UNLOCK_ABSOLUTE,
    "unlock_relative": UNLOCK_RELATIVE,
    "counter_sync": COUNTER_SYNC,
}
MAX_DIGITS = 12  # what a keypad takes for one token
MAX_SEQUENCE_NUMBER = 0xFFFFFFFF  # the signed message has 32 bits for it

_MAX_NUMBER = 10**MAX_DIGITS - 1
_SIGNATURE_BITS = 19
_ESCAPE = 7  # this command code says that three more bits follow
_MAX_COMMAND = 14  # _ESCAPE plus three bits, of which 7 would need another escape


def encode(secret: bytes, command: int, payload: int, sequence_number: int) -> int:
    """The token's number, at most MAX_DIGITS digits. TokenError for an argument out of range."""
    if not 0 <= command <= _MAX_COMMAND:
        raise TokenError(f"command code must be 0 to {_MAX_COMMAND}, not {command}")
    if payload < 0:
        raise TokenError("payload must not be negative: give 0 or more")
    low, bits = _head(command)
    number = (payload << bits | low) << _SIGNATURE_BITS
    if number <= _MAX_NUMBER:
        number |= signature(secret, command, payload, sequence_number)
    if number > _MAX_NUMBER:
        most = ((_MAX_NUMBER + 1 >> _SIGNATURE_BITS) - 1 - low) >> bits
        raise TokenError(
            f"payload is too large for {MAX_DIGITS} digits: with this command it is at most {most}"
        )
    return number


def _head(command: int) -> tuple[int, int]:
    """(the bits below the payload, how many)."""
    if command < _ESCAPE:
        return command, 3
    return (command - _ESCAPE) << 3 | _ESCAPE, 6


def split(number: int) -> tuple[int, int, int]:
    """(command code, payload, signature) that a typed number claims; nothing is checked yet."""
    command = number >> _SIGNATURE_BITS & 7
    rest = number >> (_SIGNATURE_BITS + 3)
    if command == _ESCAPE:
        command += rest & 7
        rest >>= 3
    return command, rest, number & ((1 << _SIGNATURE_BITS) - 1)


def signature(secret: bytes, command: int, payload: int, sequence_number: int) -> int:
    """The 19 bits that sign it: HMAC-SHA1 cut as in RFC 4226. TokenError for an argument out of range."""
    if not secret:
        raise TokenError("secret must have at least one byte")
    if not 0 <= sequence_number <= MAX_SEQUENCE_NUMBER:
        raise TokenError(f"sequence number must be 0 to {MAX_SEQUENCE_NUMBER}, not {sequence_number}")
    digest = hmac_sha1(secret, struct.pack("<III", command, payload, sequence_number))
    (truncated,) = struct.unpack_from(">I", digest, digest[19] & 15)
    return truncated & ((1 << _SIGNATURE_BITS) - 1)
