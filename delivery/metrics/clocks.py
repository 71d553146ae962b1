"""Steps of the wall clock, seen as a jump between it and the monotonic clock.

Durations in a site are measured by the monotonic clock and do not care; certificates, logs and clients such as Arnika
do, so that a step is counted and shown.
"""

import time
from collections.abc import Callable

STEP_S = 0.1
"""Least jump that counts as a step."""


class ClockWatch:
    """Compares the wall clock with the monotonic clock.

    Parameters
    ----------
    wall, monotonic
        Clocks in seconds.
    """

    def __init__(
        self, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._start = self._last = wall() - monotonic()
        self.steps = 0
        """Steps so far."""

    def look(self) -> float:
        """Return how far the wall clock has moved against the monotonic one since the start, s."""
        now = self._wall() - self._monotonic()
        if abs(now - self._last) > STEP_S:
            self.steps += 1
        self._last = now
        return now - self._start
