"""What happens to a payment, scripted by the payer's number.

A number whose last seven digits are 0000NNN has a fate; every other customer pays after `approve_after_s`,
and the provider calls back once. For the sandboxes of Daraja, Airtel, Equity and Halopesa, whose contracts
name no test numbers (MTN's does, mtn/sandbox.py). Each has its own words for the outcomes.

    001 not enough money     002 the customer says no   003 a wrong PIN       004 the prompt expires
    005 over a limit         006 never decides          010 decides 30 s later
    011 paid, and nobody is told                        012 paid, and everything is told twice
    013 paid, and told 10 s later                       014 paid, the callback is lost, the notice comes
    020 the provider is busy, always                    021 taken, but the answer is lost (HTTP 504)
    022 every other request is over the rate: 429 with Retry-After
"""

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """What the customer does."""

    PAYS = "pays"
    NO_FUNDS = "no_funds"
    REFUSES = "refuses"
    WRONG_PIN = "wrong_pin"
    EXPIRES = "expires"
    OVER_LIMIT = "over_limit"
    REPEATS = "repeats"  # the same amount again too soon; a provider's rule, no fate


class Answer(Enum):
    """How the request itself is answered."""

    TAKEN = "taken"
    BUSY = "busy"
    LOST = "lost"
    OFTEN = "often"


@dataclass(frozen=True, slots=True)
class Fate:
    """One script. `callbacks` and `notices`: how often what was asked for, and what else follows, is told."""

    outcome: Outcome = Outcome.PAYS
    decides: bool = True
    decides_after_s: float = 0.0  # besides `approve_after_s`
    answer: Answer = Answer.TAKEN
    callbacks: int = 1
    notices: int = 1
    told_after_s: float = 0.0


ORDINARY = Fate()
FATES = {
    "001": Fate(Outcome.NO_FUNDS),
    "002": Fate(Outcome.REFUSES),
    "003": Fate(Outcome.WRONG_PIN),
    "004": Fate(Outcome.EXPIRES),
    "005": Fate(Outcome.OVER_LIMIT),
    "006": Fate(decides=False),
    "010": Fate(decides_after_s=30.0),
    "011": Fate(callbacks=0, notices=0),
    "012": Fate(callbacks=2, notices=2),
    "013": Fate(told_after_s=10.0),
    "014": Fate(callbacks=0),
    "020": Fate(answer=Answer.BUSY),
    "021": Fate(answer=Answer.LOST),
    "022": Fate(answer=Answer.OFTEN),
}


def fate_of(msisdn: str) -> Fate:
    """The script of a number."""
    return FATES.get(msisdn[-3:], ORDINARY) if msisdn[-7:-3] == "0000" else ORDINARY
