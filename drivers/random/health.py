"""Continuous health tests of a noise source: repetition count and adaptive proportion, over bytes.

A source driver feeds every byte it is given through `HealthTests` before anybody sees it. The tests find a source
that is stuck or has become strongly biased; they say nothing about whether it was random in the first place. No
message names a byte.

Sources: NIST SP 800-90B (January 2018), 4.4.1 (repetition count), 4.4.2 (adaptive proportion), 4.3 (start-up).
"""

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import ConfigError, HardwareError
from faintlink.core.health_cutoffs import proportion_cutoff, repetition_cutoff

WINDOW_SAMPLES = 512
"""Window of the adaptive proportion test for samples that are not bits (4.4.2)."""
STARTUP_SAMPLES = 1024
"""Least number of samples that the start-up test takes (4.3)."""
BITS_PER_SAMPLE = 8


class HealthTests:
    """Both tests on a stream of bytes, whatever the pieces in which it comes.

    Parameters
    ----------
    min_entropy
        Entropy per byte in bits that the source claims, up to 8.
    false_alarm
        Chance per sample that a source as good as it claims is refused.

    Raises
    ------
    ConfigError
        One of them makes no sense.
    """

    def __init__(self, *, min_entropy: float = 7.0, false_alarm: float = 2.0**-40) -> None:
        if not (0.0 < min_entropy <= BITS_PER_SAMPLE and 0.0 < false_alarm <= 2.0**-20):
            raise ConfigError(
                f"a source has 0 to 8 bits of entropy per byte and false alarms at most every 2**20 samples, "
                f"got {min_entropy} and {false_alarm}",
                hint="take the entropy from the maker's data sheet, and 2**-40",
            )
        self.repetition_cutoff = repetition_cutoff(min_entropy, false_alarm)
        """Length of a run that is refused."""
        self.proportion_cutoff = proportion_cutoff(min_entropy, false_alarm, WINDOW_SAMPLES)
        """Count of equal samples in a window that is refused."""
        self._last = -1
        self._run = 0
        self._window = np.zeros(0, dtype=np.uint8)

    def feed(self, data: bytes) -> None:
        """Test the next samples.

        Raises
        ------
        HardwareError
            A test fails.
        """
        if not data:
            return
        samples = np.frombuffer(data, dtype=np.uint8)
        longest = self._longest_run(samples)
        if longest >= self.repetition_cutoff:
            raise _failed("repetition count", longest, self.repetition_cutoff)
        greatest = self._greatest_count(samples)
        if greatest >= self.proportion_cutoff:
            raise _failed("adaptive proportion", greatest, self.proportion_cutoff)

    def _longest_run(self, samples: npt.NDArray[np.uint8]) -> int:
        """Return the longest run that ends in these samples, one from before included."""
        changes = np.flatnonzero(samples[1:] != samples[:-1]) + 1
        edges = np.concatenate(([0], changes, [len(samples)]))
        runs = np.diff(edges)
        if int(samples[0]) == self._last:
            runs[0] += self._run
        self._last, self._run = int(samples[-1]), int(runs[-1])
        return int(runs.max())

    def _greatest_count(self, samples: npt.NDArray[np.uint8]) -> int:
        """Return how often the first sample of a window comes in it, over all windows that these samples fill."""
        waiting = np.concatenate((self._window, samples))
        whole = len(waiting) // WINDOW_SAMPLES * WINDOW_SAMPLES
        self._window = waiting[whole:].copy()
        if not whole:
            return 0
        windows = waiting[:whole].reshape(-1, WINDOW_SAMPLES)
        return int(np.count_nonzero(windows == windows[:, :1], axis=1).max())


def _failed(test: str, seen: int, cutoff: int) -> HardwareError:
    return HardwareError(
        f"the random source fails the {test} test of SP 800-90B: {seen} equal samples, {cutoff} are too many",
        hint="take no more bits from it, have it examined; opening it again runs its start-up test",
        expected=cutoff,
        seen=seen,
    )
