"""What a session says about the biases of the sender's random sources, beside what was declared of them.

A count bounds the bias of independent draws only: a source that repeats itself can count even. So a declared bias comes
from the source's own characterisation; here it is contradicted, or taken for too small, but never replaced by less.

Sources: C. J. Clopper, E. S. Pearson, Biometrika 26, 404 (1934).
"""

from dataclasses import dataclass

from faintlink.postprocess.conjugate.estimates import excludes_bias, rate_at_most
from faintlink.postprocess.conjugate.observations import Observations

ALARM = 1e-9
"""A count that a declared bias explains with less than this is an alarm."""


@dataclass(frozen=True, slots=True)
class CountedBias:
    """Ones among the bits or bases that were sent where something was detected."""

    name: str
    ones: int
    trials: int

    @property
    def measured(self) -> float:
        """|share of ones - 1/2|."""
        return abs(self.ones / self.trials - 0.5)

    def at_most(self, failure: float) -> float:
        """Return an upper bound of the bias of independent draws; wrong with at most ``failure``."""
        more = max(self.ones, self.trials - self.ones)
        return float(rate_at_most(more, self.trials, failure / 2)) - 0.5

    def alarm(self, declared: float) -> str:
        """Return in words that the declared bias does not explain the count; empty when it does."""
        if not excludes_bias(self.ones, self.trials, declared, ALARM):
            return ""
        return f"{self.ones} of {self.trials} {self.name} sent are 1, which a bias of {declared:g} does not explain"


def counted_biases(seen: Observations) -> tuple[CountedBias, CountedBias]:
    """Return the counts of bits and of bases."""
    return (
        CountedBias("bits", int(seen.sent_bit.sum()), len(seen)),
        CountedBias("bases", int(seen.sent_basis.sum()), len(seen)),
    )


def bias_alarms(seen: Observations, *, bit_bias: float, basis_bias: float) -> list[str]:
    """Return in words which declared bias the session contradicts."""
    bits, bases = counted_biases(seen)
    return [text for text in (bits.alarm(bit_bias), bases.alarm(basis_bias)) if text]
