"""Find a sender's pulse comb in tags whose clock is off by up to 100 ppm, without any shared reference.

The tracker in `clock` calls `acquire` once per lock. It starts from the densest short run of tags, where the whole
range of frequencies is a small grid, and lengthens the span step by step while the frequency sharpens. It never
reads absolute time: slot 0 is a pulse in the middle of the span.

Sources: Rayleigh periodogram (Mardia and Jupp, Directional Statistics, 2000, section 6.3).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import ClockLostError
from faintlink.core.units import PS_PER_S, Slots, TimesPs
from faintlink.postprocess.kernels.comb import periodogram
from faintlink.postprocess.kernels.fold import slot_and_phase
from faintlink.postprocess.qkd.comb_phase import SINGLE_PEAK, CombShape, Peaks

MIN_TAGS = 48
_SEED_TAGS = (512, 4096)
_MAX_TAGS = 32768
_GROWTH = 4
_OVERSAMPLING = 4
_FALSE_ALARM_NATS = 16.0
_MIN_TEMPLATE_SIGMA = 6.0
_MIN_HALF_SIGMA = 4.0
_SCAN_STEPS = 16
_SCAN_CYCLES = 0.03


@dataclass(frozen=True, slots=True)
class ClockModel:
    """One straight piece of the sender's clock as the receiver's clock sees it."""

    t0_ps: int
    """Time of the pulse of ``slot0``."""
    slot0: int
    """Slot number of the anchor pulse."""
    period_ps: float
    """Period on the receiver's clock."""
    phase_rms_ps: float
    """Rms width of the peak above background; nan when not measured."""
    tags: int
    """Number of tags it was measured with; 0 when it only continues its predecessor."""

    def slots(self, times: TimesPs) -> tuple[Slots, npt.NDArray[np.int32]]:
        """Return the slot (n,) int64 and the phase (n,) int32 in ps of each time (n,) int64 in ps."""
        slot = np.empty(times.size, np.int64)
        phase = np.empty(times.size, np.int32)
        slot_and_phase(times, self.t0_ps, self.slot0, self.period_ps, slot, phase)
        return slot, phase


@dataclass(frozen=True, slots=True)
class Acquisition:
    """A found comb and how sure it is."""

    model: ClockModel
    """The comb; slot 0 lies in the middle of the span."""
    span_ps: int
    """Length of the span it was found in."""
    period_sigma: float
    """Relative standard error of the period."""
    phase_sigma_ps: float
    """Standard error of the phase."""
    significance: float
    """Height of the template correlation in standard deviations."""


@dataclass(frozen=True, slots=True)
class _Line:
    frequency_per_ps: float
    surprise_nats: float
    """Power minus the log of the number of frequencies tried."""


def acquire(
    times_ps: TimesPs,
    nominal_period_ps: float,
    *,
    max_offset_ppm: float = 100.0,
    peaks: Peaks = SINGLE_PEAK,
    max_drift_per_s: float = 1e-7,
) -> ClockModel:
    """Return the comb in unsynchronised tags.

    Parameters
    ----------
    times_ps
        (n,) int64 in ps, sorted.
    nominal_period_ps
        Period the sender says it has.
    max_offset_ppm
        Largest frequency error of one clock against the other.
    peaks
        (delay in ps, weight) of each arrival time of one slot.
    max_drift_per_s
        Largest relative change of frequency per second; it limits the span used.

    Raises
    ------
    ClockLostError
        There is no comb in the tags, or there are too few tags to tell.
    """
    shape = CombShape(nominal_period_ps, peaks)
    return acquire_detailed(times_ps, shape, max_offset_ppm=max_offset_ppm, max_drift_per_s=max_drift_per_s).model


def acquire_detailed(
    times_ps: TimesPs, shape: CombShape, *, max_offset_ppm: float, max_drift_per_s: float
) -> Acquisition:
    """Return the comb with its uncertainties; see `acquire`."""
    if times_ps.size < MIN_TAGS:
        raise ClockLostError(
            f"{times_ps.size} tags are too few to find a clock, at least {MIN_TAGS} are needed",
            hint="check that light reaches the detectors, or wait for more tags",
            tags=int(times_ps.size),
        )
    longest = _coherent_span_ps(shape.period_ps, max_drift_per_s)
    best = -math.inf
    for size in _SEED_TAGS:
        first, last = _densest(times_ps, size, longest)
        line = _search(times_ps[first:last], shape, max_offset_ppm)
        if line.surprise_nats >= _FALSE_ALARM_NATS:
            return _refine(times_ps, (first, last), line, shape, longest, max_drift_per_s)
        best = max(best, line.surprise_nats)
        if last - first < size or size >= times_ps.size:
            break
    raise ClockLostError(
        f"no comb of {shape.period_ps:g} ps within {max_offset_ppm:g} ppm in {times_ps.size} tags: the best "
        f"frequency stands {best:.1f} nats above chance, {_FALSE_ALARM_NATS:g} are needed",
        hint="check that the sender emits, the nominal period, the peaks, and that light outnumbers the darks",
        significance=best,
        tags=int(times_ps.size),
    )


def _coherent_span_ps(period_ps: float, max_drift_per_s: float) -> int:
    """Return the longest span over which the largest drift bends the comb by less than a tenth of a period."""
    if max_drift_per_s <= 0.0:
        return 10 * PS_PER_S
    return int(math.sqrt(0.8 * period_ps / (max_drift_per_s * PS_PER_S)) * PS_PER_S)


def _densest(times: TimesPs, size: int, longest_ps: int) -> tuple[int, int]:
    """Return first and last index of the shortest run of ``size`` tags, cut to ``longest_ps``."""
    size = min(size, times.size)
    starts = np.arange(0, times.size - size + 1, max(1, size // 2))
    first = int(starts[np.argmin(times[starts + size - 1] - times[starts])])
    last = int(np.searchsorted(times, times[first] + longest_ps, side="right"))
    return first, min(first + size, last)


def _search(times: TimesPs, shape: CombShape, max_offset_ppm: float) -> _Line:
    """Return the strongest line of the whole range of frequencies."""
    harmonic = shape.strongest_harmonic()
    centre = harmonic / shape.period_ps
    reach = centre * max_offset_ppm * 1e-6
    return _strongest(times, centre - reach, centre + reach, harmonic)


def _strongest(times: TimesPs, low_per_ps: float, high_per_ps: float, harmonic: int) -> _Line:
    span = max(int(times[-1] - times[0]), 1)
    step = 1.0 / (_OVERSAMPLING * span)
    size = math.ceil((high_per_ps - low_per_ps) / step) + 3
    first = 0.5 * (low_per_ps + high_per_ps) - step * (size - 1) / 2
    anchor = int(times[0]) + span // 2
    power: npt.NDArray[np.float64] = periodogram(times, anchor, first, step, size)
    top = int(np.argmax(power[1:-1])) + 1
    around = power[top - 1 : top + 2]
    bend = around[0] - 2 * around[1] + around[2]
    nudge = 0.5 * (around[0] - around[2]) / bend if bend < 0.0 else 0.0
    return _Line((first + (top + nudge) * step) / harmonic, float(power[top]) - math.log(size))


def _refine(
    times: TimesPs,
    seed: tuple[int, int],
    line: _Line,
    shape: CombShape,
    longest_ps: int,
    max_drift_per_s: float,
) -> Acquisition:
    """Lengthen the span around the seed until it is as long as coherence or the tags allow."""
    first, last = seed
    harmonic = shape.strongest_harmonic()
    centre = (int(times[first]) + int(times[last - 1])) // 2
    span = max(int(times[last - 1] - times[first]), 1)
    while True:
        longer = min(_GROWTH * span, longest_ps)
        low, high = np.searchsorted(times, (centre - longer // 2, centre + longer // 2))
        chosen = _thin(times[low:high])
        reach = 1.0 / span
        middle = line.frequency_per_ps * harmonic
        line = _strongest(chosen, middle - reach, middle + reach, harmonic)
        if longer == longest_ps or (low == 0 and high == times.size):
            return _conclude(times[low:high], line, shape, max_drift_per_s)
        span = longer


def _thin(times: TimesPs) -> TimesPs:
    stride = -(-times.size // _MAX_TAGS)
    # A regular stride keeps the comb: each tag still lies on some pulse.
    return np.ascontiguousarray(times[::stride])


def _conclude(times: TimesPs, line: _Line, shape: CombShape, max_drift_per_s: float) -> Acquisition:
    """Measure the phase over the whole circle and put slot 0 on the pulse next to the middle."""
    middle = (int(times[0]) + int(times[-1])) // 2
    period = _sharpest(times, middle, line, shape)
    phase = shape.measure(times, middle, period)
    if phase.significance < _MIN_TEMPLATE_SIGMA:
        raise ClockLostError(
            f"a frequency stands out of {times.size} tags but its comb does not have the expected peaks: "
            f"{phase.significance:.1f} sigma, {_MIN_TEMPLATE_SIGMA:g} are needed",
            hint="check the peaks (delays and weights) given for the encoding",
            significance=phase.significance,
            tags=int(times.size),
        )
    t0 = middle + round(phase.shift_ps)
    slope, slope_sigma = _slope(times, t0, period, shape)
    period *= 1.0 + slope
    final = shape.measure(times, t0, period, search_ps=0.5 * shape.search_ps)
    span = max(int(times[-1] - times[0]), 1)
    drift = 0.25 * max_drift_per_s * span / PS_PER_S
    return Acquisition(
        model=ClockModel(t0 + round(final.shift_ps), 0, float(period), shape.width_ps(final), int(times.size)),
        span_ps=span,
        period_sigma=math.hypot(slope_sigma, drift),
        phase_sigma_ps=math.hypot(final.sigma_ps, drift * span / 8),
        significance=final.significance,
    )


def _sharpest(times: TimesPs, middle: int, line: _Line, shape: CombShape) -> float:
    """Return the period near a line with the sharpest comb.

    A line is known to a tenth of its width only, which blurs the peaks by a tenth of a period; the comb's higher
    harmonics know better.
    """
    span = max(int(times[-1] - times[0]), 1)
    chosen = _thin(times)
    steps = np.arange(-_SCAN_STEPS, _SCAN_STEPS + 1) * (_SCAN_CYCLES / span)
    periods: list[float] = [1.0 / (line.frequency_per_ps + step) for step in steps.tolist()]
    heights = [shape.measure(chosen, middle, period).significance for period in periods]
    return periods[int(np.argmax(heights))]


def _slope(times: TimesPs, t0_ps: int, period_ps: float, shape: CombShape) -> tuple[float, float]:
    """Return how much more the period is, relative, from the phases of both halves, with its standard error."""
    half = times.size // 2
    reach = 0.5 * shape.search_ps
    early, late = (shape.measure(part, t0_ps, period_ps, search_ps=reach) for part in (times[:half], times[half:]))
    apart = max(late.mean_ps - early.mean_ps, 1.0)
    if min(early.significance, late.significance) < _MIN_HALF_SIGMA:
        return 0.0, _SCAN_CYCLES * period_ps / apart
    return (late.shift_ps - early.shift_ps) / apart, math.hypot(early.sigma_ps, late.sigma_ps) / apart
