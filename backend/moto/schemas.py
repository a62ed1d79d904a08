"""What the token routes take and answer. Members are loosely typed: a wrong type has its own status text."""

import msgspec


class TokenRequest(msgspec.Struct, frozen=True):
    """A request of any of the three routes (checklist 81); `family`, `starting_code`, `reference` are ours.

    payload: days or a counter, as a number or as a string of digits. starting_code: OpenPAYGO only.
    reference: stateful only; the same one again returns the first answer.
    """

    device: object = None
    command: object = None
    payload: object = None
    sequence_number: object = None
    secret: object = None
    encoding: object = None
    family: object = None
    starting_code: object = None
    reference: object = None


class TokenAnswer(msgspec.Struct, frozen=True):
    """A token (checklist 84)."""

    status: str
    token: str
    sequence_number: int


class StatusAnswer(msgspec.Struct, frozen=True):
    """Why there is no token (checklist 83, 86-88)."""

    status: str
