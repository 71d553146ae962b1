"""How far real detectors may spoil the phase error rate: delta_1 and delta_2 of a known mismatch.

Used by the bounds that do not assume equal detectors. The mismatch is what a calibration proves of the detectors,
with its uncertainty; nothing here measures it.

Sources
-------
D. Tupkary, S. Nahar, P. Sinha, N. Lütkenhaus, Quantum 9, 1937 (2025), arXiv:2408.17349v3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from faintlink.postprocess.security.rounding import Arithmetic, T


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The largest relative differences of the detectors, as exact decimals."""

    delta_eta: Fraction = Fraction(0)
    """Of the efficiencies: each lies within eta (1 -+ delta_eta)."""
    delta_dc: Fraction = Fraction(0)
    """Of the dark counts: each lies within dark_count (1 -+ delta_dc)."""
    dark_count: Fraction = Fraction(0)
    """Probability of a dark count per gate and detector."""
    random_swap: bool = False
    """Whether the two detectors swap their roles at random in every round."""

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Mismatch":
        """Return the mismatch that the options of a bound state; checked options only."""

        def exact(name: str) -> Fraction:
            return Fraction(repr(options.get(name, 0)))

        return cls(
            exact("delta_eta"), exact("delta_dc"), exact("dark_count"), options.get("random_swap", False) is True
        )

    def deltas(self, a: Arithmetic[T]) -> tuple[T, T]:
        """Return delta_1 and delta_2; all but the square root is exact, so that equal detectors give exact zeros."""
        fewer, more = self.dark_count * (1 - self.delta_dc), self.dark_count * (1 + self.delta_dc)
        quiet = (1 - fewer) ** 2
        unequal = 1 - (1 - self.delta_eta) / (1 + self.delta_eta)
        if self.random_swap:
            swapped = quiet * unequal**2 / 2
            return _tilt(a, swapped), a.number(swapped)
        if not self.dark_count:
            return _tilt(a, unequal), a.number(unequal)
        dark_fewer, dark_more = 1 - quiet, 1 - (1 - more) ** 2
        share = 1 - dark_fewer / dark_more
        by_dark = a.number(share * more * (2 - fewer) / dark_fewer)
        by_efficiency = quiet * unequal
        return a.greatest(by_dark, _tilt(a, by_efficiency)), a.number(max(share, by_efficiency))


def _tilt(a: Arithmetic[T], x: Fraction) -> T:
    """Return 4 (1 - sqrt(1 - x))."""
    return 4 * (1 - a.sqrt(a.number(1 - x))) if x else a.number(0)
