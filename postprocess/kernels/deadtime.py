"""Impose a dead time on each channel, so that detectors with unequal dead times look alike.

A detector that is ready while its neighbour is blind tells the two apart; a common dead time in software, no
shorter than the longest in hardware, takes that away. A tag that is dropped does not start a dead time of its own.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.units import Channels, TimesPs

CHANNELS = 256
_NEVER = np.iinfo(np.int64).min


@njit(cache=True, nogil=True)
def _mark(
    times: TimesPs,
    channels: Channels,
    dead_time_ps: npt.NDArray[np.int64],
    live_from: npt.NDArray[np.int64],
    out_keep: npt.NDArray[np.bool_],
) -> None:
    for i in range(times.size):
        channel = channels[i]
        keep = times[i] >= live_from[channel]
        out_keep[i] = keep
        if keep:
            live_from[channel] = times[i] + dead_time_ps[channel]


@njit(cache=True, nogil=True)
def _compact(
    times: TimesPs,
    channels: Channels,
    dead_time_ps: npt.NDArray[np.int64],
    live_from: npt.NDArray[np.int64],
    out_times: TimesPs,
    out_channels: Channels,
) -> int:
    kept = 0
    for i in range(times.size):
        channel = channels[i]
        t = times[i]
        keep = t >= live_from[channel]
        out_times[kept] = t
        out_channels[kept] = channel
        kept += keep
        live_from[channel] = t + dead_time_ps[channel] if keep else live_from[channel]
    return kept


def fresh_state() -> npt.NDArray[np.int64]:
    """Return the state of a stream's start, (256,) int64: every channel is live."""
    return np.full(CHANNELS, _NEVER, np.int64)


def dead_time_mask(
    times: TimesPs,
    channels: Channels,
    dead_time_ps: npt.NDArray[np.int64],
    live_from: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.bool_]:
    """Return which tags outlast the dead time of their channel, (n,) bool, in O(n).

    Parameters
    ----------
    times, channels
        (n,) int64 in ps, never decreasing, and (n,) uint8.
    dead_time_ps
        (256,) int64, the dead time of each channel; a tag exactly one dead time after the last kept one is kept.
    live_from
        (256,) int64 state of `fresh_state`, updated, to go on across blocks; None starts afresh.
    """
    keep = np.empty(times.size, np.bool_)
    _mark(times, channels, dead_time_ps, fresh_state() if live_from is None else live_from, keep)
    return keep


def apply_dead_time(
    times: TimesPs,
    channels: Channels,
    dead_time_ps: npt.NDArray[np.int64],
    live_from: npt.NDArray[np.int64] | None = None,
) -> tuple[TimesPs, Channels]:
    """Return the tags that outlast the dead time of their channel, in O(n); see `dead_time_mask`."""
    out_times, out_channels = np.empty(times.size, np.int64), np.empty(times.size, np.uint8)
    state = fresh_state() if live_from is None else live_from
    kept = int(_compact(times, channels, dead_time_ps, state, out_times, out_channels))
    return out_times[:kept], out_channels[:kept]
