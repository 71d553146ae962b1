"""Coincidences between two sorted streams: two meanings, and the histogram of delays.

*All pairs* counts every (a, b) within the window, as a correlation function does. *One to one* lets each tag take
part in one coincidence only, as key bits must. Both look for b - a near an offset; the window is a half width:
abs(b - a - offset) <= window. The pair stage and the live view call these.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.units import TimesPs


@njit(cache=True, nogil=True)
def count_all_pairs(a: TimesPs, b: TimesPs, offset_ps: int, window_ps: int) -> int:
    """Return the number of all pairs with abs(b - a - offset) <= window, in O(n + m).

    Parameters
    ----------
    a, b
        (n,) and (m,) int64 in ps, never decreasing.
    offset_ps
        Expected b - a.
    window_ps
        Half width of the window, inclusive on both sides.
    """
    n, m = a.size, b.size
    first, last = offset_ps - window_ps, offset_ps + window_ps
    i = j = p = q = 0
    total = 0
    # Tags of b up to the window's end less those before its start: two merges without a branch on the data, in
    # one loop because they do not wait for each other.
    while i < n and j < m and p < n and q < m:
        step = b[j] < a[i] + first
        total -= 0 if step else j
        j += step
        i += not step
        step = b[q] <= a[p] + last
        total += 0 if step else q
        q += step
        p += not step
    while i < n and j < m:
        step = b[j] < a[i] + first
        total -= 0 if step else j
        j += step
        i += not step
    while p < n and q < m:
        step = b[q] <= a[p] + last
        total += 0 if step else q
        q += step
        p += not step
    return total + (i - p) * m


@njit(cache=True, nogil=True)
def _match_into(
    a: TimesPs,
    b: TimesPs,
    offset_ps: int,
    window_ps: int,
    out_a: npt.NDArray[np.int64],
    out_b: npt.NDArray[np.int64],
) -> int:
    i = j = found = 0
    n, m = a.size, b.size
    while i < n and j < m:
        delay = b[j] - a[i] - offset_ps
        # Written always, kept only on a hit: no branch depends on the data.
        out_a[found] = i
        out_b[found] = j
        found += (delay >= -window_ps) & (delay <= window_ps)
        i += delay >= -window_ps
        j += delay <= window_ps
    return found


def match_one_to_one(
    a: TimesPs, b: TimesPs, offset_ps: int, window_ps: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the indices of coincidences in which each tag takes part at most once, in O(n + m).

    Parameters
    ----------
    a, b
        (n,) and (m,) int64 in ps, never decreasing.
    offset_ps
        Expected b - a.
    window_ps
        Half width of the window, inclusive on both sides.

    Returns
    -------
    tuple
        (k,) int64 indices into a and into b, both increasing.

    Notes
    -----
    Greedy in order of time: the earliest tags that fit are paired and consumed. This gives the largest possible
    number of pairs for a window, but not always the closest partners.
    """
    # One spare place: the kernel writes a candidate before it knows whether it counts.
    room = min(a.size, b.size) + 1
    out_a, out_b = np.empty(room, np.int64), np.empty(room, np.int64)
    found = int(_match_into(a, b, offset_ps, window_ps, out_a, out_b))
    return out_a[:found].copy(), out_b[:found].copy()


@njit(cache=True, nogil=True)
def delay_histogram(a: TimesPs, b: TimesPs, start_ps: int, bin_ps: int, bins: int) -> npt.NDArray[np.int64]:
    """Return the histogram of all delays b - a, in O(n + m + pairs in range).

    Parameters
    ----------
    a, b
        (n,) and (m,) int64 in ps, never decreasing.
    start_ps
        Lower edge of the first bin.
    bin_ps
        Width of a bin.
    bins
        Number of bins.

    Returns
    -------
    ndarray
        (bins,) int64; bin k counts delays in [start + k * bin, start + (k + 1) * bin).
    """
    counts = np.zeros(bins, np.int64)
    reach = bins * bin_ps
    low = 0
    m = b.size
    for i in range(a.size):
        first = a[i] + start_ps
        while low < m and b[low] < first:
            low += 1
        j = low
        while j < m and b[j] - first < reach:
            counts[(b[j] - first) // bin_ps] += 1
            j += 1
    return counts
