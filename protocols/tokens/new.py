"""A new token from plain arguments, on the host: what `payg token new` prints.

Checks everything a person can get wrong, then asks moto.py (and encoding.py) or openpaygo.py. Every
TokenError says what to do instead.
"""

from collections.abc import Iterable

from protocols.tokens import encoding as moto_encoding
from protocols.tokens import moto, openpaygo
from protocols.tokens.errors import TokenError

FAMILIES = ("moto", "openpaygo")

_FIXED_VALUES = {
    openpaygo.DISABLE_PAYG: openpaygo.DISABLE_VALUE,
    openpaygo.COUNTER_SYNC: openpaygo.SYNC_VALUE,
}
_RESERVED_VALUES = range(openpaygo.MAX_TIME_VALUE + 1, openpaygo.SYNC_VALUE + 1)


def new_token(
    family: str,
    secret_hex: str,
    command: str,
    payload: int | None,
    sequence_number: int,
    *,
    encoding: str | None = None,
    starting_code: int | None = None,
    restricted: bool = False,
    extended: bool = False,
) -> str:
    """The token's text; `sequence_number` is its own (OpenPAYGO: its count). TokenError if there is none."""
    if family == "openpaygo":
        _refuse(family, {"encoding": encoding is not None})
        return _new_openpaygo(
            _secret(secret_hex, openpaygo.SECRET_SIZE),
            command,
            payload,
            sequence_number,
            starting_code=starting_code,
            restricted=restricted,
            extended=extended,
        )
    if family == "moto":
        _refuse(
            family,
            {"starting code": starting_code is not None, "restricted": restricted, "extended": extended},
        )
        return _new_moto(_secret(secret_hex), command, payload, sequence_number, encoding)
    raise TokenError(f"unknown family {family!r}: use {_either(FAMILIES)}")


def _new_moto(
    secret: bytes, command: str, payload: int | None, sequence_number: int, encoding: str | None
) -> str:
    if command not in moto.COMMAND_CODES:
        raise TokenError(f"unknown command {command!r}: use {_either(moto.COMMAND_CODES)}")
    if payload is None:
        raise TokenError(f"{command} needs a payload: give a number from 0 up")
    number = moto.encode(secret, moto.COMMAND_CODES[command], payload, sequence_number)
    text = moto_encoding.render(number, encoding)
    if text is None:
        raise TokenError(
            f"encoding {encoding!r} does not parse: use '*+0-9+#+pad3 space3', '*+0-9#', or none"
        )
    return text


def _new_openpaygo(
    secret: bytes,
    command: str,
    payload: int | None,
    count: int,
    *,
    starting_code: int | None,
    restricted: bool,
    extended: bool,
) -> str:
    if command not in openpaygo.COMMANDS:
        raise TokenError(f"unknown command {command!r}: use {_either(openpaygo.COMMANDS)}")
    value = _openpaygo_value(command, payload, extended)
    _check_parity(command, count)
    if starting_code is None:
        starting_code = openpaygo.derive_starting_code(secret)
    number = openpaygo.encode(secret, starting_code, count, value, extended)
    if restricted:
        return openpaygo.to_restricted(number, extended)
    return openpaygo.format_token(number, extended)


def _openpaygo_value(command: str, payload: int | None, extended: bool) -> int:
    fixed = _FIXED_VALUES.get(command)
    if fixed is not None:
        if payload not in (None, 0, fixed):
            raise TokenError(f"{command} carries no payload: leave it out, or give 0")
        return fixed
    highest = openpaygo.MAX_EXTENDED_VALUE if extended else openpaygo.MAX_TIME_VALUE
    if payload is None or not 0 <= payload <= highest:
        more = "" if extended else f", or up to {openpaygo.MAX_EXTENDED_VALUE} with an extended token"
        raise TokenError(f"{command} needs a payload from 0 to {highest}{more}; got {payload}")
    if payload in _RESERVED_VALUES:
        raise TokenError(f"payload {payload} is reserved: 996 to 999 are no times, use another payload")
    return payload


def _check_parity(command: str, count: int) -> None:
    if not 1 <= count <= openpaygo.MAX_COUNT:
        raise TokenError(f"the sequence number must be from 1 to {openpaygo.MAX_COUNT}, not {count}")
    if openpaygo.next_count(count - 1, command) == count:
        return
    parity = "even" if command == openpaygo.ADD_TIME else "odd"
    neighbours = _either(str(near) for near in (count - 1, count + 1) if near >= 1)
    raise TokenError(f"{command} takes an {parity} sequence number, not {count}: use {neighbours}")


def _secret(secret_hex: str, size: int | None = None) -> bytes:
    """The secret's bytes. No error shows any of it."""
    try:
        secret = bytes.fromhex(secret_hex)
    except ValueError:
        raise TokenError(
            "the secret is not hexadecimal: use the digits 0-9 and a-f, two for each byte"
        ) from None
    if not secret:
        raise TokenError("the secret is empty: give it as hexadecimal digits")
    if size is not None and len(secret) != size:
        raise TokenError(f"an openpaygo secret has {2 * size} hexadecimal digits, not {2 * len(secret)}")
    return secret


def _refuse(family: str, given: dict[str, bool]) -> None:
    for option, is_given in given.items():
        if is_given:
            raise TokenError(f"{option} is not for {family} tokens: leave it out, or use the other family")


def _either(names: Iterable[str]) -> str:
    """a, b or c"""
    *rest, last = names
    return f"{', '.join(rest)} or {last}" if rest else last
