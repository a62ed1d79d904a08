"""From a request to digits: the checks in the probed order, then the token of its family. Pure.

Next: walker.py, which makes the digits of an OpenPAYGO token; a Moto token's cost nothing.

Refused carries the documented text. An encoding that does not parse is no error but an empty answer, so
`digits_of` returns None for it and nothing may be consumed (resolutions 18-20, spec/moto_token.md).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from backend.kit.errors import BackendError
from backend.moto.schemas import TokenRequest
from protocols.tokens import encoding as encodings
from protocols.tokens import moto, openpaygo
from protocols.tokens.errors import TokenError

MOTO = "moto"
OPENPAYGO = "openpaygo"
FAMILIES = (MOTO, OPENPAYGO)

# The orders of `solarium` say unlock_relative whatever the device's family is.
OPENPAYGO_COMMANDS = {
    "unlock_relative": openpaygo.ADD_TIME,
    **{name: name for name in openpaygo.COMMANDS},
}
FIXED_VALUES = {
    openpaygo.DISABLE_PAYG: openpaygo.DISABLE_VALUE,
    openpaygo.COUNTER_SYNC: openpaygo.SYNC_VALUE,
}
DAY_COMMANDS = ("unlock_relative", openpaygo.ADD_TIME)  # what grants `payload` days more

MAX_OPENPAYGO_COUNT = 10_000  # a token a day for 13 years; every count is a hash (walker.py)
DISTINCT = 32  # numbers back: twice what a device remembers of digits (firmware/counters.py, RECENT)
MAX_ENCODING = 100  # characters; the longest known one has 20
MAX_INTEGER_DIGITS = 19  # more is over every limit and slow to convert

_INTEGER = re.compile(r"-?[0-9]+\Z")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+\Z")


class Refused(BackendError):
    """No token; the text is the documented status of an HTTP 200 answer."""

    status = 200
    code = "refused"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checked request. `command` is its family's own name; None: the registry knows it."""

    family: str
    command: str
    payload: int
    sequence_number: int | None
    secret: bytes | None
    starting_code: int | None
    encoding: str | None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a device's tokens are made of; starting_code None: derived from the secret (OpenPAYGO)."""

    secret: bytes
    starting_code: int | None


@dataclass(frozen=True, slots=True)
class Walk:
    """Where an OpenPAYGO token is: the place `count` on the chain of `value`."""

    secret: bytes = field(repr=False)
    starting_code: int
    value: int
    count: int


def check(request: TokenRequest, *, default_family: str, registered: bool) -> Wanted:
    """What a request means; Refused in the probed order. A registered device needs no number nor secret."""
    blanks = [
        f"{name} can't be blank"
        for name, value, needed in (
            ("Identifier", request.device, True),
            ("Command", request.command, True),
            ("Sequence number", request.sequence_number, not registered),
            ("Secret hex", request.secret, not registered),
        )
        if needed and _is_blank(value)
    ]
    if blanks:
        raise Refused(_sentence(blanks))
    if not isinstance(request.device, str | int):
        raise Refused("Identifier is invalid")
    family = default_family if request.family is None else request.family
    if family not in FAMILIES:
        raise Refused("Family is invalid")
    command = _command(request.command, str(family))
    payload = 0 if command in FIXED_VALUES and family == OPENPAYGO else _integer(request.payload, "Payload")
    number = None if _is_blank(request.sequence_number) else _sequence_number(request.sequence_number)
    secret = None if _is_blank(request.secret) else _secret(request.secret, str(family))
    starting_code = _starting_code(request.starting_code)
    if payload < 0:
        raise Refused("Payload must not be negative")
    encoding = request.encoding
    if encoding is not None and (not isinstance(encoding, str) or len(encoding) > MAX_ENCODING):
        encoding = ""  # does not parse, as any other that is unknown
    return Wanted(
        family=str(family),
        command=command,
        payload=payload,
        sequence_number=number,
        secret=secret,
        starting_code=starting_code,
        encoding=encoding,
    )


def next_sequence_number(wanted: Wanted, last: int, credentials: Credentials) -> int:
    """The number of a device's next token: by one, or for OpenPAYGO by the command's parity.

    A Moto number is passed over if its digits are those of the same command and payload at one of the
    DISTINCT numbers before: 19 bits of signature repeat once in some 30,000 tokens, and a device takes digits
    that it accepted lately as spent.
    """
    if wanted.family == OPENPAYGO:
        return openpaygo.next_count(last, wanted.command)
    number = last + 1
    while _is_repeated(wanted, number, credentials):
        number += 1
    return number


def _is_repeated(wanted: Wanted, number: int, credentials: Credentials) -> bool:
    command = moto.COMMAND_CODES[wanted.command]
    try:
        digits = moto.encode(credentials.secret, command, wanted.payload, number)
        earlier = range(max(0, number - DISTINCT), number)
        return any(
            moto.encode(credentials.secret, command, wanted.payload, each) == digits for each in earlier
        )
    except TokenError:  # there is no such token; `digits_of` says so
        return False


def last_after(wanted: Wanted, sequence_number: int) -> int:
    """The last number used once the token is: a Moto counter sync moves the device on to its payload."""
    if wanted.family == MOTO and wanted.command == "counter_sync":
        return max(sequence_number, wanted.payload)
    return sequence_number


def digits_of(wanted: Wanted, sequence_number: int, credentials: Credentials) -> str | Walk | None:
    """The token in the request's encoding, or the walk to it; None if the encoding does not parse.

    Refused if there is no such token.
    """
    if wanted.family == OPENPAYGO:
        return _openpaygo(wanted, sequence_number, credentials)
    if sequence_number > moto.MAX_SEQUENCE_NUMBER:
        raise Refused("Sequence number is too large")
    try:
        number = moto.encode(
            credentials.secret, moto.COMMAND_CODES[wanted.command], wanted.payload, sequence_number
        )
    except TokenError as error:  # every other argument is checked
        raise Refused("Payload is too large") from error
    if wanted.encoding is not None and "\x00" in wanted.encoding:
        return None
    return encodings.render(number, wanted.encoding)


def _openpaygo(wanted: Wanted, count: int, credentials: Credentials) -> Walk | None:
    if count > MAX_OPENPAYGO_COUNT:
        raise Refused(f"Sequence number is too large: at most {MAX_OPENPAYGO_COUNT}")
    adds = wanted.command == openpaygo.ADD_TIME
    if count < 1 or count % 2 != (0 if adds else 1):
        raise Refused(f"Sequence number must be {'even' if adds else 'odd'} and at least 1")
    if wanted.payload > openpaygo.MAX_TIME_VALUE:
        raise Refused("Payload is too large")
    if wanted.encoding is not None:
        return None  # its digits are fixed: nine of them
    starting_code = credentials.starting_code
    if starting_code is None:
        starting_code = openpaygo.derive_starting_code(credentials.secret)
    value = FIXED_VALUES.get(wanted.command, wanted.payload)
    return Walk(credentials.secret, starting_code, value, count)


def _command(value: object, family: str) -> str:
    known = OPENPAYGO_COMMANDS if family == OPENPAYGO else {name: name for name in moto.COMMAND_CODES}
    command = known.get(value) if isinstance(value, str) else None
    if command is None:
        raise Refused(f"Unsupported command {value}")
    return command


def _integer(value: object, what: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not _INTEGER.match(value):
        raise Refused(f"{what} is invalid")
    if len(value) > MAX_INTEGER_DIGITS:
        raise Refused(f"{what} is too large")
    return int(value)


def _sequence_number(value: object) -> int:
    number = _integer(value, "Sequence number")
    if number < 0:
        raise Refused("Sequence number must not be negative")
    return number


def _secret(value: object, family: str) -> bytes:
    if not isinstance(value, str) or not _HEX.match(value):
        raise Refused("Secret hex is invalid")
    secret = bytes.fromhex(value)
    if family == OPENPAYGO and len(secret) != openpaygo.SECRET_SIZE:
        raise Refused("Secret hex is invalid")
    return secret


def _starting_code(value: object) -> int | None:
    if _is_blank(value):
        return None
    code = _integer(value, "Starting code")
    if not 0 <= code <= openpaygo.MAX_STARTING_CODE:
        raise Refused("Starting code is invalid")
    return code


def _is_blank(value: object) -> bool:
    """Blank as the probed service has it: nothing, false, empty, or only spaces; 0 is something."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value is False or value in ([], {})


def _sentence(parts: Sequence[str]) -> str:
    if len(parts) < 3:
        return " and ".join(parts)
    return f"{', '.join(parts[:-1])}, and {parts[-1]}"
