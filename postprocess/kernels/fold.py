"""Fold time tags onto a pulse comb: slot number, phase inside the slot, and the histogram of phases.

The clock stage and the live view call these. A comb is an integer anchor ``t0_ps`` of the pulse ``slot0`` and a
float ``period_ps``; only the small difference to the anchor is ever a float, so that a tag of any absolute time is
placed to a picosecond as long as it lies within 2**52 ps of the anchor.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.units import Slots, TimesPs


@njit(cache=True, nogil=True)
def slot_and_phase(
    times: TimesPs,
    t0_ps: int,
    slot0: int,
    period_ps: float,
    out_slot: Slots,
    out_phase: npt.NDArray[np.int32],
) -> None:
    """Write the nearest slot and the distance to its pulse for each tag, in O(n).

    Parameters
    ----------
    times
        (n,) int64 in ps.
    t0_ps, slot0, period_ps
        The comb: pulse ``slot0`` comes at ``t0_ps``, pulses follow each other by ``period_ps``.
    out_slot
        (n,) int64, filled with slot numbers.
    out_phase
        (n,) int32, filled with ps in (-period/2, period/2]; pulse times are rounded to whole ps.
    """
    for i in range(times.size):
        x = float(times[i] - t0_ps)
        k = np.ceil(x / period_ps - 0.5)
        out_slot[i] = slot0 + np.int64(k)
        out_phase[i] = np.int32(x - np.rint(k * period_ps))


@njit(cache=True, nogil=True)
def phase_histogram(times: TimesPs, t0_ps: int, period_ps: float, out_counts: npt.NDArray[np.int64]) -> float:
    """Add each tag's phase to a histogram of one period, in O(n), and return the mean of t - t0 in ps.

    Parameters
    ----------
    times
        (n,) int64 in ps.
    t0_ps, period_ps
        The comb.
    out_counts
        (bins,) int64; bin j holds phases of [j, j + 1) / bins of a period after a pulse.
    """
    bins = out_counts.size
    inverse = 1.0 / period_ps
    total = 0.0
    for i in range(times.size):
        x = float(times[i] - t0_ps)
        total += x
        cycles = x * inverse
        j = int((cycles - np.floor(cycles)) * bins)
        if j == bins:
            j = bins - 1
        out_counts[j] += 1
    return total / max(times.size, 1)


@njit(cache=True, nogil=True)
def gate_histogram(
    times: TimesPs,
    t0_ps: int,
    slot0: int,
    period_ps: float,
    gate_ps: float,
    out_slot: Slots,
    out_inside: npt.NDArray[np.bool_],
    out_counts: npt.NDArray[np.int64],
) -> int:
    """Slot, gate and histogram in one pass over the tags, in O(n); return the number inside the gate.

    Parameters
    ----------
    times
        (n,) int64 in ps.
    t0_ps, slot0, period_ps
        The comb.
    gate_ps
        Full width of the gate around each pulse, in ps; a tag is inside when abs(phase) <= gate / 2.
    out_slot
        (n,) int64, filled with slot numbers.
    out_inside
        (n,) bool, filled with whether the tag is inside.
    out_counts
        (bins,) int64, added to; bin 0 starts at -period/2, so that the pulse lies in the middle.
    """
    bins = out_counts.size
    inverse = 1.0 / period_ps
    half_gate = 0.5 * gate_ps * inverse
    inside = 0
    for i in range(times.size):
        cycles = float(times[i] - t0_ps) * inverse
        k = np.ceil(cycles - 0.5)
        phase = cycles - k
        out_slot[i] = slot0 + np.int64(k)
        keep = abs(phase) <= half_gate
        out_inside[i] = keep
        inside += keep
        j = int((phase + 0.5) * bins)
        if j == bins:
            j = bins - 1
        out_counts[j] += 1
    return inside
