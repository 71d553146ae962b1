"""Count the floor: clicks far from any pulse, by windows of time, as evidence that the detectors see single photons.

Dark counts and stray light arrive at random. Light that blinds a detector also ends its dark counts, so that the
floor vanishes while an adversary is in control. The counts are made where the tags are gated, and add; what to think
of them is the business of `faintlink.postprocess.qkd.monitor_arrivals`.

Sources: L. Lydersen et al., Nature Photon. 4, 686 (2010) (blinding); D. R. Cox, P. A. W. Lewis, The Statistical
Analysis of Series of Events (1966), ch. 6 (index of dispersion).
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from faintlink.core.units import TimesPs

WINDOW_PS = 50_000_000
"""Shortest window."""
SCALES = (1, 10, 100)
"""Window lengths in units of the shortest."""


@dataclass(frozen=True, slots=True, eq=False)
class FloorCounts:
    """Floor clicks by windows of three lengths; adds."""

    table: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(SCALES), 3), np.int64))
    """(3, 3) int64 by scale: windows, clicks in them, sum of the squares of the clicks of each."""
    share: float = 0.0
    """Share of the time that is far from any pulse."""

    def __add__(self, other: "FloorCounts") -> "FloorCounts":
        return FloorCounts(self.table + other.table, max(self.share, other.share))

    @property
    def watched_s(self) -> float:
        """Length of the shortest windows together."""
        return int(self.table[0, 0]) * WINDOW_PS * 1e-12


def count_floor(
    times_ps: TimesPs, phases_ps: npt.NDArray[np.int32], *, center_ps: int, half_width_ps: int, period_ps: float
) -> FloorCounts:
    """Count the clicks of one stretch that came far from the pulses.

    Far is twice the gate's half width away from its centre, and no less than an eighth of the period. Afterpulses of
    the signal that come there count as floor.

    Parameters
    ----------
    times_ps, phases_ps
        (n,) int64 in order and (n,) int32, as of `SlottedTags`; of channels with detections only.
    center_ps, half_width_ps
        Of the gate.
    period_ps
        Of the slots.
    """
    table = np.zeros((len(SCALES), 3), np.int64)
    far_ps = max(2.0 * half_width_ps, period_ps / 8)
    share = max(1.0 - 2.0 * far_ps / period_ps, 0.0)
    if not times_ps.size:
        return FloorCounts(table, share)
    windows = int(times_ps[-1] - times_ps[0]) // WINDOW_PS
    away = np.abs(phases_ps - np.int32(center_ps))
    is_far = np.minimum(away, period_ps - away) > far_ps
    at = (times_ps[is_far] - times_ps[0]) // WINDOW_PS
    counts = np.bincount(at[at < windows], minlength=windows)
    for row, scale in enumerate(SCALES):
        whole = windows // scale
        by_window = counts[: whole * scale].reshape(whole, scale).sum(axis=1)
        table[row] = whole, by_window.sum(), np.dot(by_window, by_window)
    return FloorCounts(table, share)
