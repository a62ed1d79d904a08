"""What the token routes take and answer. Members are loosely typed: a wrong type has its own status text."""

from typing import Annotated

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


class DeviceRequest(msgspec.Struct, frozen=True):
    """A device to register (checklist 94); loosely typed, like a token request.

    secret: hex. family: moto unless named. starting_code: OpenPAYGO only, derived from the secret unless
    named. sequence: the last number that the device has used, 0 unless named.
    """

    serial: object = None
    market: object = None
    family: object = None
    secret: object = None
    starting_code: object = None
    sequence: object = None


class DeviceAnswer(msgspec.Struct, frozen=True):
    """A registered device; nothing secret."""

    status: str
    serial: str


class StateRequest(msgspec.Struct, frozen=True):
    """What became of a device: one of ownership.STATES."""

    state: object = None


class SequenceAnswer(msgspec.Struct, frozen=True):
    """GET /api/v1/devices/{serial}/sequence: the last sequence number (OpenPAYGO: count) that was given."""

    status: str
    serial: str
    last_sequence: int


class StateAnswer(msgspec.Struct, frozen=True):
    """A device's state from now on."""

    status: str
    serial: str
    state: str


class AttemptQuery(msgspec.Struct, frozen=True):
    """Which attempts: of a device; below the id `before`; at most `limit`, 50 unless named, 200 at most."""

    device: str | None = None
    before: Annotated[int, msgspec.Meta(ge=0, lt=10**18)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=0, lt=10**18)] | None = None


class AttemptView(msgspec.Struct, frozen=True):
    """One attempt to get a token, or a report of a device (route `state`); nothing secret."""

    id: int
    at: str
    client: str
    route: str
    device: str
    command: str
    sequence_number: int | None
    outcome: str


class AttemptPage(msgspec.Struct, frozen=True):
    """Newest first; `next` is the `before` of the next page, null on the last one."""

    attempts: list[AttemptView]
    next: int | None


class TokenAnswer(msgspec.Struct, frozen=True):
    """A token (checklist 84)."""

    status: str
    token: str
    sequence_number: int


class StatusAnswer(msgspec.Struct, frozen=True):
    """Why there is no token (checklist 83, 86-88)."""

    status: str
