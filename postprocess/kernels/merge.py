"""Merge sorted streams of time tags into one.

Stations with several taggers, and mocks with one stream a detector, call it before anything else sees the tags.
The merge is stable: of equal times those of the earlier stream come first.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit

from faintlink.core.units import Channels, TimesPs


@njit(cache=True, nogil=True)
def _split(times_a: TimesPs, times_b: TimesPs, place: int) -> int:
    """Return how many of the first ``place`` merged tags come from a, in O(log n)."""
    low = max(0, place - times_b.size)
    high = min(place, times_a.size)
    while low < high:
        middle = (low + high) // 2
        if times_a[middle] <= times_b[place - middle - 1]:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _merge_into(
    times_a: TimesPs,
    channels_a: Channels,
    times_b: TimesPs,
    channels_b: Channels,
    out_times: TimesPs,
    out_channels: Channels,
) -> None:
    n, m = times_a.size, times_b.size
    i = j = k = 0
    while i < n and j < m:
        a, b = times_a[i], times_b[j]
        take_a = a <= b
        # Both are loaded and one is selected: a branch on random order would be mispredicted half the time.
        out_times[k] = a if take_a else b
        out_channels[k] = channels_a[i] if take_a else channels_b[j]
        i += take_a
        j += not take_a
        k += 1
    out_times[k : k + n - i] = times_a[i:]
    out_channels[k : k + n - i] = channels_a[i:]
    k += n - i
    out_times[k:] = times_b[j:]
    out_channels[k:] = channels_b[j:]


@njit(cache=True, nogil=True)
def _merge_halves(
    times_a: TimesPs,
    channels_a: Channels,
    times_b: TimesPs,
    channels_b: Channels,
    out_times: TimesPs,
    out_channels: Channels,
) -> None:
    """Merge both halves of the output in one loop: two independent chains keep the processor busy."""
    n, m = times_a.size, times_b.size
    half = (n + m) // 2
    end_i = _split(times_a, times_b, half)
    end_j = half - end_i
    i, j, k = 0, 0, 0
    p, q, r = end_i, end_j, half
    while i < end_i and j < end_j and p < n and q < m:
        a, b = times_a[i], times_b[j]
        take_a = a <= b
        out_times[k] = a if take_a else b
        out_channels[k] = channels_a[i] if take_a else channels_b[j]
        i += take_a
        j += not take_a
        k += 1
        a, b = times_a[p], times_b[q]
        take_a = a <= b
        out_times[r] = a if take_a else b
        out_channels[r] = channels_a[p] if take_a else channels_b[q]
        p += take_a
        q += not take_a
        r += 1
    _merge_into(
        times_a[i:end_i],
        channels_a[i:end_i],
        times_b[j:end_j],
        channels_b[j:end_j],
        out_times[k:half],
        out_channels[k:half],
    )
    _merge_into(times_a[p:], channels_a[p:], times_b[q:], channels_b[q:], out_times[r:], out_channels[r:])


def merge(times_a: TimesPs, channels_a: Channels, times_b: TimesPs, channels_b: Channels) -> tuple[TimesPs, Channels]:
    """Return the tags of two sorted streams in one order of time, in O(n + m).

    Parameters
    ----------
    times_a, times_b
        (n,) and (m,) int64 in ps, each never decreasing.
    channels_a, channels_b
        (n,) and (m,) uint8.

    Returns
    -------
    tuple
        (n + m,) int64 times and (n + m,) uint8 channels; ties keep stream a first.
    """
    out_times = np.empty(times_a.size + times_b.size, np.int64)
    out_channels = np.empty(out_times.size, np.uint8)
    _merge_halves(times_a, channels_a, times_b, channels_b, out_times, out_channels)
    return out_times, out_channels


def merge_many(streams: Sequence[tuple[TimesPs, Channels]]) -> tuple[TimesPs, Channels]:
    """Return the tags of k sorted streams in one order of time, in O(n log k); ties keep the order of streams.

    Parameters
    ----------
    streams
        k pairs of times (n,) int64 in ps and channels (n,) uint8.
    """
    level = list(streams)
    if not level:
        return np.empty(0, np.int64), np.empty(0, np.uint8)
    while len(level) > 1:
        pairs = [merge(*level[i], *level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[2 * len(pairs) :]
    return level[0]
