"""The life of a payment, as a table.

    created ---ACCEPTED--> requested ---PAID--> succeeded ---CREDITED--> confirmed
       |                      |
       +------TIMED_OUT-------+--> unknown       polled until the provider says what became of it
       +------REFUSED---------+--> failed        a PAID that comes late still counts

Rules: a time-out is never a failure (resolutions 23). Money that the provider says it took is credited.
An event that stands in no row changes nothing: callbacks, polls and resends come in any order, any number
of times.
"""

from enum import StrEnum


class State(StrEnum):
    """Column `state` of a payment."""

    CREATED = "created"
    REQUESTED = "requested"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class Event(StrEnum):
    """What can happen to a payment."""

    ACCEPTED = "accepted"  # the provider has taken the request
    TIMED_OUT = "timed_out"  # nobody knows whether it has, or what the customer did
    PAID = "paid"  # the provider's status says that the money moved
    REFUSED = "refused"  # the provider, or the customer, said no
    CREDITED = "credited"  # billing has it, from us or from an earlier try


TABLE: dict[tuple[State, Event], State] = {
    (State.CREATED, Event.ACCEPTED): State.REQUESTED,
    (State.CREATED, Event.TIMED_OUT): State.UNKNOWN,
    (State.CREATED, Event.REFUSED): State.FAILED,
    (State.CREATED, Event.PAID): State.SUCCEEDED,
    (State.REQUESTED, Event.TIMED_OUT): State.UNKNOWN,
    (State.REQUESTED, Event.REFUSED): State.FAILED,
    (State.REQUESTED, Event.PAID): State.SUCCEEDED,
    (State.UNKNOWN, Event.ACCEPTED): State.REQUESTED,
    (State.UNKNOWN, Event.REFUSED): State.FAILED,
    (State.UNKNOWN, Event.PAID): State.SUCCEEDED,
    (State.FAILED, Event.PAID): State.SUCCEEDED,
    (State.SUCCEEDED, Event.CREDITED): State.CONFIRMED,
}

# What a caller is told.
STATUS: dict[State, str] = {
    State.CREATED: "pending",
    State.REQUESTED: "pending",
    State.UNKNOWN: "unknown",
    State.SUCCEEDED: "pending",
    State.CONFIRMED: "confirmed",
    State.FAILED: "failed",
}
SETTLED = frozenset((State.CONFIRMED, State.FAILED))
PAID = frozenset((State.SUCCEEDED, State.CONFIRMED))
