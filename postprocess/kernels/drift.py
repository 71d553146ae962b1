"""Carry time tags from one clock to another whose rate differs and drifts.

Pair synchronisation calls it. The correction is a float of the small difference to a reference time and is added
to the integer time, so that no absolute time is ever a float.
"""

import numpy as np
from numba import njit

from faintlink.core.units import TimesPs


@njit(cache=True, nogil=True)
def correct_clock(
    times: TimesPs,
    reference_ps: int,
    offset_ps: int,
    rate: float,
    drift_per_ps: float,
    out: TimesPs,
) -> None:
    """Write t + offset + rate * x + drift / 2 * x^2 with x = t - reference, in O(n).

    Parameters
    ----------
    times
        (n,) int64 in ps.
    reference_ps
        Where the rate holds; the correction there is the offset alone.
    offset_ps
        Whole offset in ps.
    rate
        Relative frequency difference, without unit.
    drift_per_ps
        Change of the rate per ps.
    out
        (n,) int64 in ps, filled; may be ``times`` itself.
    """
    half = 0.5 * drift_per_ps
    for i in range(times.size):
        x = float(times[i] - reference_ps)
        out[i] = times[i] + offset_ps + np.int64(np.rint((rate + half * x) * x))
