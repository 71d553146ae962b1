"""What a run looked like over time: errors, rates and arrivals by interval, for monitors, reports and plots."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from faintlink.core.records import ErrorCount
from faintlink.core.symbols import Party
from faintlink.core.units import PS_PER_S
from faintlink.postprocess.qkd.detection import ArrivalStatistics
from faintlink.postprocess.qkd.pieces import SiftedPiece
from faintlink.postprocess.qkd.sift import SiftCount


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """One bin of the time axis."""

    time_s: float
    """Receiver's time at which the bin starts."""
    key: ErrorCount
    """Sifted bits and errors of the key basis."""
    test: ErrorCount
    """The same for the test basis."""
    clicks: int
    """Tags of all receivers."""


@dataclass(slots=True)
class RunSeries:
    """Accumulates pieces into bins of fixed width; memory grows with the bins, not with the tags.

    Parameters
    ----------
    bin_s
        Width of a bin; doubled whenever the run outgrows `MAX_BINS`.
    """

    bin_s: float = 0.25
    arrivals: dict[Party, ArrivalStatistics] = field(default_factory=dict)
    """Clicks of each receiver over the whole run."""
    count: SiftCount = field(default_factory=SiftCount)
    """What became of all detections."""
    detected: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((2, 4, 2), np.int64))
    """(2, 4, 2) int64 sifted bits by basis, intensity, and whether they differ."""
    _bins: dict[int, SeriesPoint] = field(default_factory=dict)
    _start_ps: int | None = None

    def add(self, piece: SiftedPiece) -> None:
        """Take in a piece."""
        bits = piece.bits
        wrong = (bits.alice != bits.bob).astype(np.int64)
        code = (bits.basis.astype(np.int64) * 4 + bits.intensity) * 2 + wrong
        table = np.bincount(code, minlength=16).reshape(2, 4, 2)
        self.detected += table
        self.count += piece.count
        for party, statistics in piece.arrivals.items():
            self.arrivals[party] = self.arrivals.get(party, ArrivalStatistics.zero()) + statistics
        by_basis = table.sum(axis=1).tolist()
        key, test = (ErrorCount(right + different, different) for right, different in by_basis)
        self._put(piece.time_ps, key, test, sum(s.tags for s in piece.arrivals.values()))

    def points(self) -> list[SeriesPoint]:
        """Return the bins in order of time."""
        return [self._bins[number] for number in sorted(self._bins)]

    def _put(self, time_ps: int, key: ErrorCount, test: ErrorCount, clicks: int) -> None:
        if self._start_ps is None:
            self._start_ps = time_ps
        number = (time_ps - self._start_ps) // round(self.bin_s * PS_PER_S)
        was = self._bins.get(number, SeriesPoint(number * self.bin_s, ErrorCount(), ErrorCount(), 0))
        self._bins[number] = SeriesPoint(was.time_s, was.key + key, was.test + test, was.clicks + clicks)
        if len(self._bins) > MAX_BINS:
            self._coarsen()

    def _coarsen(self) -> None:
        fine, self._bins = self._bins, {}
        self.bin_s *= 2
        for number, point in fine.items():
            half = number // 2
            was = self._bins.get(half, SeriesPoint(half * self.bin_s, ErrorCount(), ErrorCount(), 0))
            merged = (was.key + point.key, was.test + point.test, was.clicks + point.clicks)
            self._bins[half] = SeriesPoint(was.time_s, *merged)


MAX_BINS = 2048
"""Bins after which the width doubles."""
