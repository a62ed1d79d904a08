"""What happens to a short message, scripted by the number that it goes to.

A number whose last eight digits are 00000NNN has a fate; every other one receives its message, and the
provider reports that once. For the sandboxes of AfricasTalking, Infobip and Pindo, each with its own words.

    031 no valid number        032 the customer opted out     033 no route: another provider may have one
    034 taken, undeliverable   035 taken, expires             036 delivered, and nobody is told
    037 told twice             038 told in the wrong order    039 told 10 s later
    040 the provider is busy, always                          041 taken, but the answer is lost (HTTP 504)
    042 every other request is over the rate: 429 with Retry-After
    043 every other request is lost on its way in (HTTP 504); the next one is taken
"""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Where a message is."""

    TAKEN = "taken"
    SENT = "sent"  # at the operator: reported, but no end
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"


ENDS = frozenset((State.DELIVERED, State.UNDELIVERABLE, State.EXPIRED))


class Answer(Enum):
    """How the request itself is answered."""

    TAKEN = "taken"
    INVALID = "invalid"
    OPTED_OUT = "opted_out"
    NO_ROUTE = "no_route"
    BUSY = "busy"
    LOST = "lost"
    OFTEN = "often"
    FORGETS = "forgets"


@dataclass(frozen=True, slots=True)
class Step:
    """The message is in `state`, `after_s` beyond `deliver_after_s` after it was taken; told so often."""

    state: State
    after_s: float = 0.0
    told: int = 1


@dataclass(frozen=True, slots=True)
class Fate:
    """One script."""

    answer: Answer = Answer.TAKEN
    steps: tuple[Step, ...] = (Step(State.DELIVERED),)


ORDINARY = Fate()
FATES = {
    "031": Fate(Answer.INVALID),
    "032": Fate(Answer.OPTED_OUT),
    "033": Fate(Answer.NO_ROUTE),
    "034": Fate(steps=(Step(State.UNDELIVERABLE),)),
    "035": Fate(steps=(Step(State.EXPIRED),)),
    "036": Fate(steps=(Step(State.DELIVERED, told=0),)),
    "037": Fate(steps=(Step(State.DELIVERED, told=2),)),
    "038": Fate(steps=(Step(State.DELIVERED), Step(State.SENT, after_s=0.5))),
    "039": Fate(steps=(Step(State.DELIVERED, after_s=10.0),)),
    "040": Fate(Answer.BUSY),
    "041": Fate(Answer.LOST),
    "042": Fate(Answer.OFTEN),
    "043": Fate(Answer.FORGETS),
}


def fate_of(number: str) -> Fate:
    """The script of a number, with or without its +."""
    return FATES.get(number[-3:], ORDINARY) if number[-8:-3] == "00000" else ORDINARY
