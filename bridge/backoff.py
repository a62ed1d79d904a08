"""How long to wait before something that failed is tried again."""

from dataclasses import dataclass

_MOST_STEPS = 5
"""Devices wait for their acknowledgements: a broker or a service that is back should be found soon."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits of one step, two steps and so on, up to five."""

    step_s: float = 1.0

    def delay_s(self, failures: int) -> float:
        """Return the wait after so many failures in a row, at least 1."""
        return self.step_s * min(failures, _MOST_STEPS)
