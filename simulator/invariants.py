"""The invariants of the project, checked on what the services and the devices of a world say."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """One invariant: whether it holds, and what was counted."""

    number: int
    name: str
    holds: bool
    counted: str
