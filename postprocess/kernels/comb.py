"""The periodogram of time tags: how strongly they repeat with each frequency of a grid.

Clock acquisition calls it over short spans. Times are differences to an anchor inside the span, so that the phase
of 1e10 periods is still good to 1e-6 of a period.

Sources: Rayleigh's test of uniformity on the circle (Mardia and Jupp, Directional Statistics, 2000, section 6.3).
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.units import TimesPs


@njit(cache=True, nogil=True)
def periodogram(
    times: TimesPs, anchor_ps: int, first_per_ps: float, step_per_ps: float, size: int
) -> npt.NDArray[np.float64]:
    """Return the power abs(sum of exp(2 pi i f t))^2 / n on a uniform grid of frequencies, in O(n * size).

    Parameters
    ----------
    times
        (n,) int64 in ps.
    anchor_ps
        A time inside the span.
    first_per_ps, step_per_ps, size
        The grid: first frequency and step in cycles per ps, number of frequencies.

    Returns
    -------
    ndarray
        (size,) float64; exponentially distributed with mean 1 for tags without a comb, all 0 without tags.

    Notes
    -----
    Each tag's phasor moves along the grid by one complex product, so sine and cosine are taken twice a tag only.
    """
    real = np.zeros(size)
    imaginary = np.zeros(size)
    for i in range(times.size):
        x = float(times[i] - anchor_ps)
        start = first_per_ps * x
        angle = 2.0 * math.pi * (start - math.floor(start))
        c, s = math.cos(angle), math.sin(angle)
        turn = step_per_ps * x
        angle = 2.0 * math.pi * (turn - math.floor(turn))
        cw, sw = math.cos(angle), math.sin(angle)
        for k in range(size):
            real[k] += c
            imaginary[k] += s
            c, s = c * cw - s * sw, c * sw + s * cw
    power = np.empty(size)
    for k in range(size):
        power[k] = (real[k] * real[k] + imaginary[k] * imaginary[k]) / max(times.size, 1)
    return power
