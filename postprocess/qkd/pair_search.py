"""Find how far apart the clocks of two receivers of photon pairs are, in time and in frequency.

`pair_sync` offers it together with following and matching. A coarse correlation uses bins as wide as the unknown
frequency smears the peak, so that no frequency has to be tried and no offset wraps; then delay and frequency are
narrowed together, eightfold a step. Only arrival times are used, never outcomes.

Sources: Ho, Lamas-Linares and Kurtsiefer, New J. Phys. 11, 045011 (2009), for correlating two timing streams; the
significance is the signed root of the Poisson deviance (McCullagh and Nelder, 1989, section 2.3).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.fft

from faintlink.core.errors import ClockLostError
from faintlink.core.units import PS_PER_S, TimesPs
from faintlink.postprocess.kernels.coincidence import delay_histogram
from faintlink.postprocess.kernels.drift import correct_clock

_MIN_TAGS = 100
_WANTED_TAGS = 4_000
_MOST_TAGS = 200_000
_SPAN_PS = PS_PER_S // 10
_MOST_BINS = 1 << 24
_NARROWING = 8
_FREQUENCY_SLICES = (1, 8)
_LENGTHENING = 4
_BEND_PER_S = 1e-7
_MIN_LONG_SIGNIFICANCE = 6.0
_SMALLEST_EXPECTED = 1e-3


@dataclass(frozen=True, slots=True)
class PairOffset:
    """Clock b as clock a sees it: b = a + offset + frequency_ratio * (a - reference)."""

    reference_ps: int
    """Time on clock a at which ``offset_ps`` holds."""
    offset_ps: int
    """b - a of the two photons of a pair at the reference."""
    frequency_ratio: float
    """Relative frequency difference: how much more b advances than a, without unit."""
    significance: float
    """Height of the peak in standard deviations of accidental coincidences; 0 when it was not measured."""
    window_ps: int
    """Half width of a window that holds nearly all pairs: three rms widths of the peak."""

    def to_b(self, times_ps: TimesPs) -> TimesPs:
        """Return times (n,) int64 in ps of clock a on clock b."""
        moved = np.empty(times_ps.size, np.int64)
        correct_clock(times_ps, self.reference_ps, self.offset_ps, self.frequency_ratio, 0.0, moved)
        return moved


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest place of a delay histogram."""

    delay_ps: float
    """Its middle."""
    significance: float
    """Its height in standard deviations."""
    rms_ps: float = float("nan")
    """Its rms width above the accidentals."""
    pairs: float = 0.0
    """Counts above the accidentals."""


def find_pair_offset(
    a_times: TimesPs,
    b_times: TimesPs,
    *,
    max_offset_ps: int = PS_PER_S // 2,
    max_frequency_ppm: float = 20.0,
    resolution_ps: int = 1_000,
    min_significance: float = 8.0,
) -> PairOffset:
    """Return offset and relative frequency of clock b against clock a.

    Parameters
    ----------
    a_times, b_times
        (n,) and (m,) int64 in ps, sorted, on their own clocks.
    max_offset_ps
        Largest offset to look for, either way.
    max_frequency_ppm
        Largest relative frequency difference, either way.
    resolution_ps
        Narrowest bin; some two rms widths of the coincidence peak.
    min_significance
        Standard deviations asked for.

    Raises
    ------
    ClockLostError
        There are too few tags, or no delay stands out.
    """
    piece = _segment(a_times)
    if piece.size < _MIN_TAGS or b_times.size < _MIN_TAGS:
        raise ClockLostError(
            f"{a_times.size} and {b_times.size} tags are too few to find pairs, each side needs {_MIN_TAGS}",
            hint="check that both receivers count",
        )
    span = max(int(piece[-1] - piece[0]), 1)
    reference = int(piece[0]) + span // 2
    unsure = max_frequency_ppm * 1e-6
    found = PairOffset(reference, 0, 0.0, 0.0, resolution_ps)
    for slices in _FREQUENCY_SLICES:
        found = _coarse_scan(piece, b_times, found, max_offset_ps, unsure=unsure, slices=slices)
        if found.significance >= min_significance:
            break
    _demand(found.significance, min_significance, f"within {max_offset_ps} ps")
    found = _narrow_all(piece, b_times, found, unsure=unsure / slices, resolution_ps=resolution_ps)
    found = _finish(piece, b_times, found, resolution_ps, min_significance)
    return _lengthen(a_times, b_times, found, span, resolution_ps)


def _segment(times: TimesPs) -> TimesPs:
    """Return the middle stretch: long enough for some thousand tags, short enough to be quick."""
    if times.size < _MIN_TAGS:
        return times
    middle = times.size // 2
    rate = times.size / max(int(times[-1] - times[0]), 1)
    size = min(max(int(rate * _SPAN_PS), _WANTED_TAGS), _MOST_TAGS, times.size)
    return times[max(0, middle - size // 2) : middle - size // 2 + size]


def _demand(reached: float, min_significance: float, where: str) -> None:
    if reached >= min_significance:
        return
    raise ClockLostError(
        f"no coincidence peak {where}: the best delay stands out by {reached:.1f} sigma, "
        f"{min_significance:g} are needed",
        hint="check that both record one source at one time; a smaller frequency range sees weaker pairs",
        significance=reached,
    )


def significance(counts: npt.NDArray[np.floating], expected: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return how far Poisson counts (n,) stand above their expectation (n,), in standard deviations, (n,) float64.

    Notes
    -----
    sqrt(2 (c ln(c / e) - c + e)) for c > e and 0 otherwise; unlike (c - e) / sqrt(e) it holds for small e.
    """
    e = np.maximum(expected, _SMALLEST_EXPECTED)
    c = np.maximum(counts, e)
    height: npt.NDArray[np.float64] = np.sqrt(np.maximum(2.0 * (c * np.log(c / e) - c + e), 0.0))
    return height


def _coarse_scan(
    a: TimesPs, b: TimesPs, start: PairOffset, max_offset_ps: int, *, unsure: float, slices: int
) -> PairOffset:
    """Correlate with the range of frequencies cut into slices; narrower slices allow narrower bins."""
    span = max(int(a[-1] - a[0]), 1)
    smear = math.ceil(unsure / slices * span)
    bin_ps = max(start.window_ps, smear, -(-(2 * max_offset_ps + span) // _MOST_BINS))
    best = start
    for at in range(slices):
        ratio = unsure * ((2 * at + 1) / slices - 1.0)
        moved = PairOffset(start.reference_ps, 0, ratio, 0.0, bin_ps).to_b(a)
        peak = _coarse(moved, b, max_offset_ps, bin_ps)
        if peak.significance > best.significance or at == 0:
            best = PairOffset(start.reference_ps, round(peak.delay_ps), ratio, peak.significance, bin_ps)
    return best


def _narrow_all(a: TimesPs, b: TimesPs, found: PairOffset, *, unsure: float, resolution_ps: int) -> PairOffset:
    """Narrow bins eightfold a step until they have the resolution."""
    span = max(int(a[-1] - a[0]), 1)
    bin_ps = found.window_ps
    while unsure > 0.0:
        narrow = max(resolution_ps, bin_ps // _NARROWING)
        found = _narrow(a, b, found, unsure=unsure, reach_ps=2 * bin_ps, bin_ps=narrow)
        unsure = 1.5 * narrow / span if narrow < bin_ps else 0.0
        bin_ps = narrow
    return found


def _coarse(a: TimesPs, b: TimesPs, max_offset_ps: int, bin_ps: int) -> Peak:
    """Correlate one stretch of a with all of b within reach, without wrapping."""
    start_a, end_a = int(a[0]), int(a[-1]) + 1
    start_b = start_a - max_offset_ps
    first, last = np.searchsorted(b, (start_b, end_a + max_offset_ps))
    bins_a = (end_a - start_a) // bin_ps + 1
    lags = 2 * max_offset_ps // bin_ps + 1
    counts_a = np.bincount((a - start_a) // bin_ps, minlength=bins_a).astype(np.float32)
    counts_b = np.bincount((b[first:last] - start_b) // bin_ps, minlength=bins_a + lags).astype(np.float32)
    size = int(scipy.fft.next_fast_len(counts_b.size, real=True))
    spectrum = scipy.fft.rfft(counts_b, size) * np.conj(scipy.fft.rfft(counts_a, size))
    seen = scipy.fft.irfft(spectrum, size)[:lags].astype(np.float64)
    total = np.concatenate((np.zeros(1), np.cumsum(counts_b, dtype=np.float64)))
    by_chance = a.size * (total[bins_a : bins_a + lags] - total[:lags]) / bins_a
    # Pairs of one delay fall into two neighbouring bins, whatever the phase of the bins.
    height = significance(seen[1:] + seen[:-1], by_chance[1:] + by_chance[:-1])
    top = int(np.argmax(height)) if height.size else 0
    return Peak((top + 1) * bin_ps - max_offset_ps, float(height[top]) if height.size else 0.0)


def _narrow(a: TimesPs, b: TimesPs, found: PairOffset, *, unsure: float, reach_ps: int, bin_ps: int) -> PairOffset:
    """Try frequencies one bin of smear apart and keep the one with the highest peak."""
    span = max(int(a[-1] - a[0]), 1)
    steps = math.ceil(unsure * span / bin_ps)
    best: tuple[Peak, float] | None = None
    for step in range(-steps, steps + 1):
        ratio = found.frequency_ratio + step * bin_ps / span
        trial = PairOffset(found.reference_ps, found.offset_ps, ratio, 0.0, bin_ps)
        peak = highest(trial.to_b(a), b, reach_ps, bin_ps)
        if best is None or peak.significance > best[0].significance:
            best = (peak, ratio)
    if best is None:
        return found
    peak, ratio = best
    offset = found.offset_ps + round(peak.delay_ps)
    return PairOffset(found.reference_ps, offset, ratio, peak.significance, bin_ps)


def highest(moved_a: TimesPs, b: TimesPs, reach_ps: int, bin_ps: int) -> Peak:
    """Return the highest pair of bins of the delays b - a within ``reach_ps``, for a on clock b."""
    counts = _delays(moved_a, b, reach_ps, bin_ps)
    accidentals = _accidentals(moved_a, b, reach_ps) * bin_ps
    pairs = (counts[1:] + counts[:-1]).astype(np.float64)
    height = significance(pairs, np.full(pairs.size, 2.0 * accidentals))
    top = int(np.argmax(height))
    weights = np.maximum(counts[top : top + 2] - accidentals, 0.0)
    lean = float((weights[1] - weights[0]) / max(weights.sum(), 1e-9)) / 2.0
    return Peak((top + 1 + lean) * bin_ps - reach_ps, float(height[top]))


def _delays(moved_a: TimesPs, b: TimesPs, reach_ps: int, bin_ps: int) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = delay_histogram(moved_a, b, -reach_ps, bin_ps, 2 * reach_ps // bin_ps)
    return counts


def _accidentals(moved_a: TimesPs, b: TimesPs, reach_ps: int) -> float:
    """Return the expected number of chance coincidences per ps of delay."""
    start, end = int(moved_a[0]) - reach_ps, int(moved_a[-1]) + reach_ps
    first, last = np.searchsorted(b, (start, end))
    return float(moved_a.size) * float(last - first) / max(end - start, 1)


def measured(moved_a: TimesPs, b: TimesPs, reach_ps: int, bin_ps: int) -> Peak:
    """Return the peak within ``reach_ps`` with its centroid and width, for a on clock b."""
    rough = highest(moved_a, b, reach_ps, bin_ps)
    fine = max(1, bin_ps // 8)
    half = 3 * bin_ps
    start = round(rough.delay_ps) - half
    counts = delay_histogram(moved_a, b, start, fine, 2 * half // fine)
    net = counts - _accidentals(moved_a, b, reach_ps) * fine
    total = float(net.sum())
    if total <= 0.0:
        return rough
    delays = start + (np.arange(counts.size) + 0.5) * fine - 0.5
    centre = float(net @ delays) / total
    rms = math.sqrt(max(float(net @ (delays - centre) ** 2) / total, 0.0))
    return Peak(centre, rough.significance, rms, total)


def _finish(a: TimesPs, b: TimesPs, found: PairOffset, bin_ps: int, min_significance: float) -> PairOffset:
    peak = measured(found.to_b(a), b, 4 * bin_ps, bin_ps)
    _demand(peak.significance, min_significance, f"after narrowing the delay to {bin_ps} ps")
    width = peak.rms_ps if math.isfinite(peak.rms_ps) else float(bin_ps)
    window = max(math.ceil(3.0 * width), bin_ps // 4)
    offset = found.offset_ps + round(peak.delay_ps)
    return PairOffset(found.reference_ps, offset, found.frequency_ratio, peak.significance, window)


def _lengthen(a: TimesPs, b: TimesPs, found: PairOffset, span: int, bin_ps: int) -> PairOffset:
    """Sharpen the frequency with the delays of two windows far before and far behind the reference."""
    apart = _LENGTHENING * span
    bend = 0.5 * _BEND_PER_S * apart * apart / PS_PER_S
    reach = math.ceil(1.5 * bin_ps * _LENGTHENING + bend)
    delays = []
    for sign in (-1, 1):
        middle = found.reference_ps + sign * apart
        first, last = np.searchsorted(a, (middle - span // 2, middle + span // 2))
        if last - first < _MIN_TAGS:
            return found
        peak = measured(found.to_b(a[first:last]), b, reach, bin_ps)
        if peak.significance < _MIN_LONG_SIGNIFICANCE:
            return found
        delays.append(peak.delay_ps)
    # A drift bends both windows the same way and drops out of the difference.
    return replace(found, frequency_ratio=found.frequency_ratio + (delays[1] - delays[0]) / (2 * apart))
