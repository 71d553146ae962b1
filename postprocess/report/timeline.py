"""The time axis of a report: the bins of a run, merged until they can be seen, with rates and confidence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from faintlink.core.records import ErrorCount
from faintlink.postprocess.qkd.estimate import error_rate

if TYPE_CHECKING:
    from faintlink.postprocess.series import RunSeries, SeriesPoint

MAX_SHOWN = 120
"""Bins that a figure can show."""
_MIN_SHOWN = 8
_BITS_WANTED = 200


@dataclass(frozen=True, slots=True, eq=False)
class QberBand:
    """An error rate over time with its 95 % interval; nan where nothing was compared."""

    rate: npt.NDArray[np.float64]
    """(n,) float64."""
    low: npt.NDArray[np.float64]
    """(n,) float64."""
    high: npt.NDArray[np.float64]
    """(n,) float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The run in bins of equal width, without holes."""

    bin_s: float
    """Width of a bin."""
    key: tuple[ErrorCount, ...]
    """Key basis by bin."""
    test: tuple[ErrorCount, ...]
    """Test basis by bin."""
    clicks: npt.NDArray[np.int64]
    """(n,) int64 tags by bin."""

    def __len__(self) -> int:
        return len(self.key)

    @property
    def centres_s(self) -> npt.NDArray[np.float64]:
        """(n,) float64 middle of each bin in seconds."""
        return np.asarray((np.arange(len(self)) + 0.5) * self.bin_s, np.float64)


def readable_bins(points: "Sequence[SeriesPoint]") -> int:
    """Return into how many bins to merge, so that each holds enough bits of both bases to tell an error rate."""
    fewest = min(sum(point.key.bits for point in points), sum(point.test.bits for point in points))
    return min(max(fewest // _BITS_WANTED, _MIN_SHOWN), MAX_SHOWN)


def timeline(series: "RunSeries") -> Timeline:
    """Return the bins of a run, merged until they can be read; bins in which nothing came hold zeros."""
    points = series.points()
    if not points:
        return Timeline(series.bin_s, (), (), np.zeros(0, np.int64))
    numbers = [round(point.time_s / series.bin_s) for point in points]
    factor = math.ceil((numbers[-1] + 1) / readable_bins(points))
    bins = numbers[-1] // factor + 1
    key, test = [ErrorCount()] * bins, [ErrorCount()] * bins
    clicks = np.zeros(bins, np.int64)
    for number, point in zip(numbers, points, strict=True):
        at = number // factor
        key[at] += point.key
        test[at] += point.test
        clicks[at] += point.clicks
    return Timeline(series.bin_s * factor, tuple(key), tuple(test), clicks)


def band(counts: Sequence[ErrorCount]) -> QberBand:
    """Return the Clopper-Pearson estimate of each count."""
    table = np.full((3, len(counts)), np.nan)
    for at, count in enumerate(counts):
        if count.bits:
            estimate = error_rate(count)
            table[:, at] = estimate.rate, estimate.low, estimate.high
    return QberBand(*table)


def columns(points: "Sequence[SeriesPoint]") -> dict[str, list[float] | list[int]]:
    """Return the bins as columns, for JSON."""
    return {
        "time_s": [point.time_s for point in points],
        "key_bits": [point.key.bits for point in points],
        "key_errors": [point.key.errors for point in points],
        "test_bits": [point.test.bits for point in points],
        "test_errors": [point.test.errors for point in points],
        "clicks": [point.clicks for point in points],
    }
