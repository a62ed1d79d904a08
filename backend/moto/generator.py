"""From a request to digits: the checks in the probed order, then the token of its family. Pure.

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

MAX_OPENPAYGO_COUNT = 10_000  # a token a day for 13 years; every count is a hash, 2 ms for the last one
# Numbers back: twice what a device remembers of digits (firmware/counters.py, RECENT); OpenPAYGO's tokens
# that add time take every second one.
DISTINCT = {MOTO: 32, OPENPAYGO: 64}
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
class Made:
    """A token that may be given; digits None: its encoding does not parse."""

    digits: str | None = field(repr=False)
    sequence_number: int


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


def stateless(request: TokenRequest) -> Made:
    """The token of exactly this request; Refused if there is none."""
    wanted = check(request, default_family=MOTO, registered=False)
    if wanted.secret is None or wanted.sequence_number is None:
        raise AssertionError("an unregistered device's request names both")
    credentials = Credentials(wanted.secret, wanted.starting_code)
    return Made(digits_of(wanted, wanted.sequence_number, credentials), wanted.sequence_number)


def next_sequence_number(wanted: Wanted, last: int, credentials: Credentials) -> int:
    """The number of a device's next token: by one, or for OpenPAYGO by the command's parity.

    A number is passed over if its digits are those of the same command and payload at one of the DISTINCT
    numbers before: signatures are short, so that this happens once in some 16,000 tokens, and a device takes
    digits that it accepted lately as spent.
    """
    number = _following(wanted, last)
    while _is_repeated(wanted, number, credentials):
        number = _following(wanted, number)
    return number


def _following(wanted: Wanted, last: int) -> int:
    return openpaygo.next_count(last, wanted.command) if wanted.family == OPENPAYGO else last + 1


def _is_repeated(wanted: Wanted, number: int, credentials: Credentials) -> bool:
    first = max(0, number - DISTINCT[wanted.family])
    try:
        *earlier, own = _tokens(wanted, range(first, number + 1), credentials)
    except Refused:  # there is no such token; `digits_of` says so
        return False
    return own in earlier


def last_after(wanted: Wanted, sequence_number: int) -> int:
    """The last number used once the token is: a Moto counter sync moves the device on to its payload."""
    if wanted.family == MOTO and wanted.command == "counter_sync":
        return max(sequence_number, wanted.payload)
    return sequence_number


def digits_of(wanted: Wanted, sequence_number: int, credentials: Credentials) -> str | None:
    """The token in the request's encoding; None if that does not parse. Refused if there is no such token."""
    number = _tokens(wanted, range(sequence_number, sequence_number + 1), credentials)[0]
    if wanted.family == OPENPAYGO:  # its digits are fixed: nine of them
        return openpaygo.format_token(number) if wanted.encoding is None else None
    if wanted.encoding is not None and "\x00" in wanted.encoding:
        return None
    return encodings.render(number, wanted.encoding)


def _tokens(wanted: Wanted, numbers: range, credentials: Credentials) -> list[int]:
    """What the request would be at each of `numbers`; Refused if the last of them is none."""
    if wanted.family == OPENPAYGO:
        return _openpaygo_tokens(wanted, numbers, credentials)
    if numbers[-1] > moto.MAX_SEQUENCE_NUMBER:
        raise Refused("Sequence number is too large")
    command = moto.COMMAND_CODES[wanted.command]
    try:
        return [moto.encode(credentials.secret, command, wanted.payload, number) for number in numbers]
    except TokenError as error:  # every other argument is checked
        raise Refused("Payload is too large") from error


def _openpaygo_tokens(wanted: Wanted, counts: range, credentials: Credentials) -> list[int]:
    count = counts[-1]
    if count > MAX_OPENPAYGO_COUNT:
        raise Refused(f"Sequence number is too large: at most {MAX_OPENPAYGO_COUNT}")
    adds = wanted.command == openpaygo.ADD_TIME
    if count < 1 or count % 2 != (0 if adds else 1):
        raise Refused(f"Sequence number must be {'even' if adds else 'odd'} and at least 1")
    if wanted.payload > openpaygo.MAX_TIME_VALUE:
        raise Refused("Payload is too large")
    starting_code = credentials.starting_code
    if starting_code is None:
        starting_code = openpaygo.derive_starting_code(credentials.secret)
    value = FIXED_VALUES.get(wanted.command, wanted.payload)
    chain = openpaygo.Chain(credentials.secret, starting_code, value)
    chain.step(counts[0])
    tokens = [chain.token()]
    for _ in counts[1:]:
        chain.step()
        tokens.append(chain.token())
    return tokens


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
