"""The phase of a pulse comb from a folded histogram, by correlation with the shape that is expected.

Acquisition searches the whole period, the tracker only the surroundings of its prediction. A shape is a list of
peaks, so that the three arrival times behind a time-bin interferometer count as one comb and its middle peak ends
at phase 0.

Sources: matched filter (Turin, IRE Trans. Inf. Theory 6, 311, 1960); the standard error is that of an M-estimate
(Huber, Ann. Math. Statist. 35, 73, 1964): score variance over squared curvature, both from the tags themselves.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from faintlink.core.units import TimesPs
from faintlink.postprocess.kernels.fold import phase_histogram

Peaks: TypeAlias = tuple[tuple[float, float], ...]
"""(delay in ps to the pulse, weight) of each peak of one slot."""

SINGLE_PEAK: Peaks = ((0.0, 1.0),)
BINS = 1024
_HARMONICS = 24
_WIDTH_OF_PERIOD = 1.0 / 40.0
_NEWTON_STEPS = 3


@dataclass(frozen=True, slots=True)
class PhaseEstimate:
    """Where the comb of some tags lies relative to the comb they were folded with."""

    shift_ps: float
    """How much later the pulses come than the folding comb says."""
    sigma_ps: float
    """Standard error of ``shift_ps``."""
    significance: float
    """Height of the correlation in standard deviations of tags without a comb."""
    mean_ps: float
    """Mean of tag time minus anchor: the moment the shift belongs to."""
    counts: npt.NDArray[np.int64]
    """(BINS,) int64, the folded histogram, bin 0 at the folding comb's pulse."""


class CombShape:
    """The expected histogram of one period, ready for correlation.

    Parameters
    ----------
    period_ps
        Nominal period; the shape scales with it.
    peaks
        (delay in ps, weight) of each peak in a slot. Weights need not add up to 1.

    Raises
    ------
    ValueError
        No peak, or a weight is not positive.
    """

    def __init__(self, period_ps: float, peaks: Peaks = SINGLE_PEAK) -> None:
        if not peaks or min(weight for _, weight in peaks) <= 0.0:
            raise ValueError(f"a comb needs peaks with positive weights, got {peaks}")
        self.period_ps = period_ps
        self.peaks = peaks
        self._order = np.arange(1, _HARMONICS + 1)
        delays = np.array([delay for delay, _ in peaks]) / period_ps
        weights = np.array([weight for _, weight in peaks])
        self.coefficients = (weights / weights.sum()) @ np.exp(-2j * np.pi * np.outer(delays, self._order))
        self._template = self.coefficients * np.exp(-0.5 * (2 * np.pi * self._order * _WIDTH_OF_PERIOD) ** 2)
        self._power = float(np.sum(np.abs(self._template) ** 2))
        self._bin_centre = np.exp(-1j * np.pi * self._order / BINS)
        phases = -(np.arange(BINS) + 0.5) / BINS
        turns = 2j * np.pi * self._order
        slopes = np.real(np.exp(np.outer(phases, turns)) @ (np.conj(self._template) * turns))
        self._score_power = slopes**2
        self.search_ps = self._unambiguous(delays)
        self._prepare_width(delays)

    def _unambiguous(self, delays: npt.NDArray[np.float64]) -> float:
        """Return how far a comb may be off before a neighbouring peak is nearer, in ps."""
        apart = np.abs(delays[:, None] - delays[None, :]) % 1.0
        apart = np.minimum(apart, 1.0 - apart)[~np.eye(delays.size, dtype=bool)]
        nearest = float(apart.min(initial=1.0)) if apart.size else 1.0
        return 0.5 * self.period_ps * nearest

    def strongest_harmonic(self) -> int:
        """Return the lowest harmonic in which the peaks do not cancel each other."""
        strength = np.abs(self.coefficients[:8])
        return int(np.argmax(strength >= 0.5 * strength.max())) + 1

    def measure(self, times: TimesPs, t0_ps: int, period_ps: float, *, search_ps: float | None = None) -> PhaseEstimate:
        """Fold tags (n,) int64 with a comb and return where their own comb lies.

        Parameters
        ----------
        times
            (n,) int64 in ps, n > 0.
        t0_ps, period_ps
            The folding comb.
        search_ps
            Look only for shifts up to this; None searches the whole period.
        """
        counts = np.zeros(BINS, np.int64)
        mean_ps = float(phase_histogram(times, t0_ps, period_ps, counts))
        spectrum = np.fft.rfft(counts)[1 : _HARMONICS + 1] * self._bin_centre
        product = spectrum * np.conj(self._template)
        shift = self._climb(product, self._coarse(product, search_ps))
        turning = np.exp(2j * np.pi * self._order * shift)
        height = float(np.real(product @ turning))
        curvature = float(np.real(product @ ((2 * np.pi * self._order) ** 2 * turning)))
        score_power = float(counts @ np.roll(self._score_power, round(shift * BINS)))
        error = np.sqrt(score_power) / curvature if curvature > 0.0 else 1.0
        return PhaseEstimate(
            shift_ps=shift * period_ps,
            sigma_ps=float(min(error, 1.0)) * period_ps,
            significance=height / float(np.sqrt(0.5 * times.size * self._power)),
            mean_ps=mean_ps,
            counts=counts,
        )

    def _coarse(self, product: npt.NDArray[np.complex128], search_ps: float | None) -> float:
        padded = np.zeros(BINS // 2 + 1, np.complex128)
        padded[1 : _HARMONICS + 1] = product
        score = np.fft.irfft(padded)
        reach = BINS // 2 if search_ps is None else min(BINS // 2, int(search_ps / self.period_ps * BINS))
        shifts = np.arange(-reach, reach + 1)
        return float(shifts[np.argmax(score[shifts % BINS])]) / BINS

    def _climb(self, product: npt.NDArray[np.complex128], start: float) -> float:
        """Return the maximum near ``start`` (cycles) by Newton steps that stay within a bin and a half."""
        turns = 2j * np.pi * self._order
        shift = start
        for _ in range(_NEWTON_STEPS):
            values = product * np.exp(turns * shift)
            slope = float(np.real(values @ turns))
            curvature = float(np.real(values @ (turns * turns)))
            if curvature >= 0.0:
                return start
            shift = float(np.clip(shift - slope / curvature, start - 1.5 / BINS, start + 1.5 / BINS))
        return shift

    def _prepare_width(self, delays: npt.NDArray[np.float64]) -> None:
        reach = max(min(0.5 * self.search_ps / self.period_ps, 0.125), 2.0 / BINS)
        around = ((np.arange(BINS) + 0.5) / BINS + 0.5) % 1.0 - 0.5
        distance = np.abs((around[:, None] - delays + 0.5) % 1.0 - 0.5).min(axis=1)
        self._is_background = distance > reach
        self._near = np.flatnonzero(np.abs(around) <= reach)
        self._near_ps = around[self._near] * self.period_ps

    def width_ps(self, estimate: PhaseEstimate) -> float:
        """Return the rms width in ps of the peak at delay 0 above the flat background; nan when there is none."""
        counts = np.roll(estimate.counts, -round(estimate.shift_ps / self.period_ps * BINS))
        background = float(counts[self._is_background].mean()) if self._is_background.any() else 0.0
        net = counts[self._near] - background
        total = float(net.sum())
        square = float(net @ self._near_ps**2) / total if total > 0.0 else -1.0
        return float(np.sqrt(square)) if square > 0.0 else float("nan")
