"""A random source under continuous health tests; fits `faintlink.core.entropy.Entropy` and so goes anywhere.

Before the first bit it takes 1024 bits for the start-up test and throws them away. Every later byte is tested before
it is handed out. An alarm is final: the source gives nothing until it is made anew, with a new start-up test.

Sources: NIST SP 800-90B (January 2018), 4.3 (start-up and continuous testing, requirements 4 and 10).
"""

import threading

import numpy as np

from faintlink.core.entropy import Entropy
from faintlink.core.errors import SelfTestError
from faintlink.delivery.selftest.health import AdaptiveProportion, RepetitionCount, bit_cutoffs

STARTUP_BITS = 1024
FALSE_ALARM = 2.0**-40
STARTUP_PURPOSE = "health start-up"


class HealthTestedEntropy:
    """Passes on another source's bytes as long as they pass both health tests.

    Parameters
    ----------
    source
        What is tested.
    min_entropy
        Entropy per bit that is claimed for it, up to 1.
    false_alarm
        Chance per bit, and per window, that a source as good as claimed is refused.

    Raises
    ------
    SelfTestError
        The start-up test fails.
    ConfigError
        A parameter makes no sense.
    """

    def __init__(self, source: Entropy, *, min_entropy: float = 1.0, false_alarm: float = FALSE_ALARM) -> None:
        self._source = source
        repetition, proportion = bit_cutoffs(min_entropy, false_alarm)
        self._repetition, self._proportion = RepetitionCount(repetition), AdaptiveProportion(proportion)
        self._failed = ""
        self._lock = threading.Lock()
        self.tested_bits = 0
        """Bits that were tested so far, those of the start-up test included."""
        self.draw(STARTUP_BITS // 8, STARTUP_PURPOSE)

    @property
    def repetition_cutoff(self) -> int:
        """Equal bits in a row that raise the alarm."""
        return self._repetition.cutoff

    @property
    def proportion_cutoff(self) -> int:
        """Bits of a window equal to its first that raise the alarm."""
        return self._proportion.cutoff

    @property
    def is_secret_grade(self) -> bool:
        """Whether the source behind it is."""
        return self._source.is_secret_grade

    def draw(self, size: int, purpose: str) -> bytes:
        """Return ``size`` bytes of the source.

        Raises
        ------
        SelfTestError
            They fail a health test, or earlier ones did; nothing is handed out.
        """
        with self._lock:
            if not self._failed:
                data = self._source.draw(size, purpose)
                self._failed = self._alarm(data)
                if not self._failed:
                    return data
            raise SelfTestError(
                f"the random source failed the {self._failed}",
                hint="take no more bits from it and have it examined; a restart runs the start-up test again",
            )

    def _alarm(self, data: bytes) -> str:
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        start, self.tested_bits = self.tested_bits, self.tested_bits + bits.size
        for name, test in (("repetition count", self._repetition), ("adaptive proportion", self._proportion)):
            at = test.feed(bits)
            if at is not None:
                return f"{name} test of SP 800-90B at bit {start + at} since its start, cutoff {test.cutoff}"
        return ""
