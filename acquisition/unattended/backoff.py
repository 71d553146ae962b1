"""How long to wait before the next try: twice as long after each failure, up to a limit."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class Backoff:
    """Waiting times of one service.

    ``good_in_a_row`` successes bring it back to the start: one that succeeds now and then is not well yet.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    good_in_a_row: int = 3
    spread: float = 0.1
    """Share by which a wait is lengthened at random, so that two sites do not knock in step."""
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    failures: int = 0
    """Since it was last well."""
    _good: int = 0

    def failed(self) -> float:
        """Take a failure and return how long to wait, in s."""
        self._good = 0
        wait_s = min(self.first_s * 2.0 ** min(self.failures, 60), self.longest_s)
        self.failures += 1
        return float(wait_s * (1.0 + self.spread * self.rng.random()))

    def succeeded(self) -> None:
        """Take a success."""
        self._good += 1
        if self._good >= self.good_in_a_row:
            self.failures = 0
