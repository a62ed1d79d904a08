"""The life of a payment, as a table.

    created ---ACCEPTED--> requested ---PAID--> succeeded ---CREDITED--> confirmed
       |                      |
       +------TIMED_OUT-------+--> unknown       polled until the provider says what became of it
       +------REFUSED---------+--> failed        a PAID that comes late still counts
       +------MISPAID---------+--> mismatched    an operator decides

Rules: a time-out is never a failure (resolutions 23). Money that the provider says it took is credited, with
the amount that it took; what was taken in another currency can't be, and waits for an operator.
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
    MISMATCHED = "mismatched"
    FAILED = "failed"


class Event(StrEnum):
    """What can happen to a payment."""

    ACCEPTED = "accepted"  # the provider has taken the request
    TIMED_OUT = "timed_out"  # nobody knows whether it has, or what the customer did
    PAID = "paid"  # the provider's status says that the money moved
    MISPAID = "mispaid"  # ... but in a currency that was not asked for, or without an amount
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
    (State.CREATED, Event.MISPAID): State.MISMATCHED,
    (State.REQUESTED, Event.MISPAID): State.MISMATCHED,
    (State.UNKNOWN, Event.MISPAID): State.MISMATCHED,
    (State.FAILED, Event.MISPAID): State.MISMATCHED,
    (State.SUCCEEDED, Event.CREDITED): State.CONFIRMED,
}

# What a caller is told.
STATUS: dict[State, str] = {
    State.CREATED: "pending",
    State.REQUESTED: "pending",
    State.UNKNOWN: "unknown",
    State.SUCCEEDED: "pending",
    State.CONFIRMED: "confirmed",
    State.MISMATCHED: "unknown",
    State.FAILED: "failed",
}
SETTLED = frozenset((State.CONFIRMED, State.FAILED))
PAID = frozenset((State.SUCCEEDED, State.CONFIRMED, State.MISMATCHED))  # the provider has no more to say
