"""What the gaps between the clicks of one detector tell, and the Allan deviation of a series.

Sources: G. Knoll, "Radiation Detection and Measurement", 4th ed., section 4.VII; IEEE Std 1139-2008 (overlapping
Allan deviation).
"""

import math

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import NotEnoughSignalsError

Floats = npt.NDArray[np.float64]
Gaps = npt.NDArray[np.int64]


def dead_time_ps(gaps_ps: Gaps) -> tuple[float, float]:
    """Return the dead time and its uncertainty from the shortest of gaps (n,) int64 ps.

    Notes
    -----
    The shortest gap is an upper limit; how far the true edge may lie below it is told by the distances between the
    shortest gaps themselves (on the grid of a pulse train one period), and by the mean gap over their number,
    which is the mean excess of the shortest of n exponential gaps.
    """
    few = np.sort(gaps_ps)[: max(10, gaps_ps.size // 1000)]
    if few.size < 10:
        raise NotEnoughSignalsError(f"{gaps_ps.size} gaps are too few to see a dead time", hint="count for longer")
    excess = float(np.mean(gaps_ps)) / gaps_ps.size
    return float(few[0]), max(float(np.diff(few).max()), excess, 1.0)


def afterpulse_probability(gaps_ps: Gaps, *, dead_ps: float, window_ps: float) -> tuple[float, float]:
    """Return the chance of an afterpulse within a window of each click, and its standard deviation.

    Notes
    -----
    With light of rate r a gap exceeds the window w with the chance (1 - p) exp(-r (w - dead time)); r follows from
    the gaps longer than the window, which no afterpulse shortens. Valid for afterpulses that are over by then.
    """
    longer = gaps_ps[gaps_ps > window_ps]
    if longer.size < 100:
        raise NotEnoughSignalsError(
            f"{longer.size} of {gaps_ps.size} gaps exceed {window_ps:.3g} ps, 100 are needed",
            hint="attenuate the light, or count for longer",
        )
    rate = longer.size / float(np.sum(longer - window_ps))
    survived = longer.size / gaps_ps.size
    grown = math.exp(rate * (window_ps - dead_ps))
    chance = 1.0 - survived * grown
    relative = math.sqrt((1.0 - survived) / longer.size + (rate * (window_ps - dead_ps)) ** 2 / longer.size)
    return chance, survived * grown * relative


def allan_deviation(series: Floats, spacing_s: float) -> tuple[Floats, Floats, Floats]:
    """Return averaging times in s, Allan deviations and their standard deviations of a series (n,).

    Averages are over 1, 2, 4 ... samples, up to a quarter of the series, overlapping.
    """
    sums = np.concatenate([[0.0], np.cumsum(series)])
    times, deviations, errors = [], [], []
    length = 1
    while 4 * length <= series.size:
        means = (sums[length:] - sums[:-length]) / length
        differences = means[length:] - means[:-length]
        deviation = math.sqrt(0.5 * float(np.mean(differences**2)))
        times.append(length * spacing_s)
        deviations.append(deviation)
        errors.append(deviation / math.sqrt(2.0 * max(series.size / length - 1.0, 1.0)))
        length *= 2
    return np.array(times), np.array(deviations), np.array(errors)
