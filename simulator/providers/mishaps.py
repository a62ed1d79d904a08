"""What goes wrong by chance, for load tests (`payg sandbox --twice --late --lost --refused --seed`).

Of the calls about ordinary numbers a share is made twice, late, or never; of the customers a share says no.
What a call meets follows from its key and the seed alone, so a restart changes nothing, and whoever knows
both can tell afterwards what it met.
"""

import hashlib
from dataclasses import dataclass


class MishapsError(ValueError):
    """Shares that can't be; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Mishaps:
    """Shares from 0 to 1. A late call comes up to `late_s` later, and so does the second of two.

    `refused`: of money, the customer says no; of short messages, they can't be delivered.
    """

    twice: float = 0.0
    late: float = 0.0
    lost: float = 0.0
    refused: float = 0.0
    late_s: float = 10.0
    seed: int = 1

    def __post_init__(self) -> None:
        shares = (self.twice, self.late, self.lost, self.refused)
        if not all(0 <= share <= 1 for share in shares) or self.twice + self.late + self.lost > 1:
            raise MishapsError("shares are from 0 to 1, and those of twice, late and lost at most 1 together")

    def __str__(self) -> str:
        """As options of `payg sandbox`."""
        shares = f"--twice {self.twice} --late {self.late} --late-by {self.late_s} --lost {self.lost}"
        return f"{shares} --refused {self.refused} --seed {self.seed}"

    def calls(self, key: str) -> tuple[float, ...]:
        """How long after its time each copy of a call is made, in seconds; (): it is never made."""
        chance, later_s = self._chance("call", key), self._chance("later", key) * self.late_s
        if chance < self.lost:
            return ()
        if chance < self.lost + self.twice:
            return (0.0, later_s)
        if chance < self.lost + self.twice + self.late:
            return (later_s,)
        return (0.0,)

    def refuses(self, key: str) -> bool:
        """Whether a customer who pays otherwise says no."""
        return self._chance("refused", key) < self.refused

    def _chance(self, what: str, key: str) -> float:
        digest = hashlib.sha256(f"{self.seed}:{what}:{key}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64


NONE = Mishaps()
