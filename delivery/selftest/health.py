"""Continuous health tests of a noise source, bit by bit: repetition count and adaptive proportion.

Pure state machines: bits go in, in whatever pieces, and the place of the first alarm comes out. An alarm stays. The
tests find a source that is stuck or has become strongly biased; they say nothing about whether it was random before.

The cutoffs follow from H, the entropy per bit that is claimed for the source, and alpha, the chance of a false alarm.
NIST leaves alpha between 2**-20 and 2**-40. A site draws many millions of bits a day, and an alarm stops it, so that
2**-40 is the default of `faintlink.delivery.selftest.source`.

Sources: NIST SP 800-90B (January 2018), 4.4.1 (repetition count), 4.4.2 (adaptive proportion, W = 1024 for bits).
"""

import numpy as np

from faintlink.core.errors import ConfigError
from faintlink.core.health_cutoffs import proportion_cutoff, repetition_cutoff
from faintlink.core.units import Bits

WINDOW_BITS = 1024
"""Window of the adaptive proportion test for binary sources."""


def bit_cutoffs(min_entropy: float, false_alarm: float) -> tuple[int, int]:
    """Return the cutoffs of repetition count and adaptive proportion for bits.

    Raises
    ------
    ConfigError
        One of the parameters makes no sense.
    """
    if not (0.0 < min_entropy <= 1.0 and 0.0 < false_alarm <= 2.0**-20):
        raise ConfigError(
            f"a bit has 0 to 1 bits of entropy and alpha is at most 2**-20, got {min_entropy} and {false_alarm}",
            hint="take the entropy from the source's own evaluation, and 2**-40",
        )
    return repetition_cutoff(min_entropy, false_alarm), proportion_cutoff(min_entropy, false_alarm, WINDOW_BITS)


class RepetitionCount:
    """Alarm at the first run of ``cutoff`` equal bits."""

    def __init__(self, cutoff: int) -> None:
        self.cutoff = cutoff
        self._last = -1
        self._run = 0

    def feed(self, bits: Bits) -> int | None:
        """Take the next bits, (n,) uint8, and return the index of the one that raises the alarm, or None."""
        if not bits.size:
            return None
        edges = np.concatenate(([0], np.flatnonzero(bits[1:] != bits[:-1]) + 1, [bits.size]))
        runs = np.diff(edges)
        carried = self._run if int(bits[0]) == self._last else 0
        runs[0] += carried
        self._last, self._run = int(bits[-1]), int(runs[-1])
        too_long = np.flatnonzero(runs >= self.cutoff)
        if not too_long.size:
            return None
        which = int(too_long[0])
        return max(0, int(edges[which]) + self.cutoff - 1 - (carried if which == 0 else 0))


class AdaptiveProportion:
    """Alarm at the first bit that is the ``cutoff``-th equal to the first one of its window."""

    def __init__(self, cutoff: int, window: int = WINDOW_BITS) -> None:
        self.cutoff, self.window = cutoff, window
        self._first = 0
        self._count = 0
        self._seen = 0

    def feed(self, bits: Bits) -> int | None:
        """Take the next bits, (n,) uint8, and return the index of the one that raises the alarm, or None."""
        at, alarm = 0, None
        while at < bits.size:
            if self._seen == 0:
                self._first, self._count = int(bits[at]), 0
            part = bits[at : at + self.window - self._seen]
            equal = np.flatnonzero(part == self._first)
            if alarm is None and self._count + equal.size >= self.cutoff:
                alarm = at + int(equal[max(0, self.cutoff - self._count - 1)])
            self._count += equal.size
            self._seen = (self._seen + part.size) % self.window
            at += part.size
        return alarm
