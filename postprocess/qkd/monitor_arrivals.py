"""Monitors of when clicks come: what arrival times tell of the bit, and whether the floor of darks is there.

Used beside `faintlink.postprocess.qkd.monitors`, on the same statistics of one receiver and one block.

Sources: B. Qi et al., Quantum Inf. Comput. 7, 73 (2007) (time shift); A. Lamas-Linares, C. Kurtsiefer, Opt. Express
15, 9388 (2007) (arrival times leak the bit); L. Lydersen et al., Nature Photon. 4, 686 (2010) (blinding).
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import Monitors
from faintlink.core.symbols import Basis
from faintlink.postprocess.qkd.detection import ArrivalStatistics
from faintlink.postprocess.qkd.floor import SCALES, WINDOW_PS, FloorCounts
from faintlink.postprocess.qkd.monitors import MonitorReading, reading

_GRID = 401
_REACH = 5.0
"""The grid reaches this many standard deviations beyond both means."""


def arrival_readings(statistics: ArrivalStatistics, policy: Monitors, party: str) -> Iterator[MonitorReading]:
    """Yield the readings of `time_information` and `floor` for one receiver of a block."""
    yield from time_information(statistics.moments, policy, party)
    yield from floor(statistics.floor, policy, party)


def time_information(moments: npt.NDArray[np.int64], policy: Monitors, party: str) -> list[MonitorReading]:
    """Estimate how many bits the arrival within the slot tells of the outcome, by basis.

    Both detectors' arrivals are taken as Gaussian, so that the figure does not depend on the width of any bin. A
    detector that fires 50 ps late at a jitter of 100 ps gives 0.04 bit.

    Parameters
    ----------
    moments
        (4, 3) int64 by outcome: clicks, sum and sum of squares of the phases in ps.
    policy
        Limit and significance.
    party
        Whose detectors.
    """
    readings = []
    for basis in Basis:
        rows = moments[2 * basis : 2 * basis + 2].astype(np.float64)
        n = rows[:, 0]
        if np.all(n > 1):
            mean = rows[:, 1] / n
            variance = rows[:, 2] / n - mean**2
            if np.all(variance > 0.0):
                value, error = _gaussian_information(n, mean, np.sqrt(variance))
                what = f"bits told by the arrival at {party}'s {basis.name} detectors"
                meaning = "arrival must not tell the outcome; align the detectors, or look for a time-shift attack"
                readings.append(reading(what, value, policy.max_time_information, error, policy, meaning))
    return readings


def _gaussian_information(
    n: npt.NDArray[np.float64], mean: npt.NDArray[np.float64], sigma: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Return I(bit; time) in bits and its standard error, for two Gaussians with ``n`` clicks each."""
    weight = n / n.sum()
    low, high = float(np.min(mean - _REACH * sigma)), float(np.max(mean + _REACH * sigma))
    time = np.linspace(low, high, _GRID)
    density = np.exp(-0.5 * ((time - mean[:, None]) / sigma[:, None]) ** 2) / sigma[:, None]
    density *= (weight / density.sum(axis=1))[:, None]
    both = density.sum(axis=0)
    expected = weight[:, None] * both
    ratio = np.divide(density, expected, out=np.ones_like(density), where=(density > 0.0) & (expected > 0.0))
    value = max(float(np.sum(density * np.log2(ratio))), 0.0)
    # For a small shift of d standard deviations the information is c d^2; d has the variance below.
    c = float(weight[0] * weight[1]) / (2.0 * math.log(2.0))
    variance = float(np.sum(1.0 / n))
    return value, 2.0 * c * variance + 2.0 * math.sqrt(c * value * variance)


def floor(counts: FloorCounts, policy: Monitors, party: str) -> list[MonitorReading]:
    """Compare the floor with random arrivals, and with what was measured before if the policy has that.

    Blinding that comes and goes makes the floor bunched, on the scale of its coming and going: the variance of the
    clicks per window then exceeds their mean. Blinding that stays, or that changes faster than darks come, shows only
    as a floor that is lower than it was when measured.
    """
    readings = []
    for scale, row in zip(SCALES, counts.table.tolist(), strict=True):
        windows, clicks, squares = row
        if windows > 1 and clicks >= _FEWEST:
            mean = clicks / windows
            value = (squares / windows - mean * mean) / mean * windows / (windows - 1)
            what = f"variance over mean of {party}'s floor in {scale * WINDOW_PS // 1_000_000} us"
            meaning = "clicks between the pulses should be random; look for light that blinds the detectors at times"
            error = math.sqrt(2.0 / (windows - 1) * (1.0 + 1.0 / mean))
            readings.append(reading(what, value, policy.max_floor_dispersion, error, policy, meaning))
    expected = policy.floor_hz * counts.watched_s * counts.share
    if expected > 0.0:
        clicks = int(counts.table[0, 1])
        value, error = 1.0 - clicks / expected, math.sqrt(max(clicks, 1)) / expected
        meaning = "detectors that count single photons have darks; look for light that blinds them"
        readings.append(
            reading(f"missing share of {party}'s floor", value, policy.max_floor_loss, error, policy, meaning)
        )
    return readings


_FEWEST = 50
"""Fewer floor clicks say nothing."""
