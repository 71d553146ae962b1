"""The run over time, from a history of snapshots: error rates with their band, losses, clock, arrival, key rate.

Bins begin at multiples of their width, so that a bin that is full stays what it is while the run grows.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from faintlink.acquisition.live.model import estimate
from faintlink.acquisition.statistics.snapshot import Snapshot
from faintlink.core.records import ErrorCount
from faintlink.postprocess.qkd.estimate import RateEstimate

MAX_BINS = 100
_MIN_BINS = 8
_BITS_WANTED = 200
_MAX_POINTS = 400

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Values over the run's time, where there are any."""

    time_s: Floats
    """(n,) float64."""
    value: Floats
    """(n,) float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """An error rate over the run's time with its 95 % interval, where anything was compared."""

    time_s: Floats
    """(n,) float64 middle of each bin."""
    rate: Floats
    """(n,) float64."""
    low: Floats
    """(n,) float64."""
    high: Floats
    """(n,) float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A run over time."""

    key: Band
    """Error rate of the key basis."""
    test: Band
    """Error rate of the test basis."""
    lost: Curve
    """Tags lost per second."""
    arrival_ps: Curve
    """Mean arrival after the recovered pulse, or delay of pairs."""
    clock_ppm: Curve
    """Frequency of the clocks against each other."""
    key_rate_bps: Curve
    """Forecast of the key rate."""


@lru_cache(maxsize=4096)
def _estimate(count: ErrorCount) -> RateEstimate | None:
    return estimate(count)


def course(history: Sequence[Snapshot]) -> Course:
    """Return the course of a run whose snapshots are ``history``, oldest first."""
    bins = list(_bins(history))
    return Course(
        _band((middle_s, part.counts.key) for middle_s, part in bins),
        _band((middle_s, part.counts.test) for middle_s, part in bins),
        _curve((middle_s, part.lost / part.elapsed_s) for middle_s, part in bins if part.elapsed_s),
        _curve((middle_s, part.arrival[1] / part.arrival[0]) for middle_s, part in bins if part.arrival[0]),
        _points(history, [one.clock_ppm for one in history]),
        _points(history, [one.key_rate_bps for one in history]),
    )


def _bins(history: Sequence[Snapshot]) -> Iterator[tuple[float, Snapshot]]:
    """Yield (middle of the bin in s, what happened in it)."""
    if not history:
        return
    times = [one.elapsed_s for one in history]
    width = bin_width_s(history[-1])
    before, start = Snapshot(), 0
    for number in range(math.ceil(times[-1] / width) if times[-1] else 1):
        end = bisect_right(times, (number + 1) * width, start)
        if end > start:
            yield (number + 0.5) * width, history[end - 1].since(before)
            before, start = history[end - 1], end


def bin_width_s(total: Snapshot) -> float:
    """Return the width of a bin: a round number, wide enough to be seen and to tell an error rate."""
    fewest = min(total.counts.key.bits, total.counts.test.bits)
    wanted = min(max(fewest // _BITS_WANTED, _MIN_BINS), MAX_BINS)
    least = max(total.elapsed_s / wanted, 0.1)
    decade = 10.0 ** math.floor(math.log10(least))
    return next(step * decade for step in (1.0, 2.0, 5.0, 10.0) if step * decade >= least * (1.0 - 1e-9))


def _band(bins: Iterable[tuple[float, ErrorCount]]) -> Band:
    """Return the band of the bins in which anything was compared: a chunk of pairs is longer than a bin."""
    rows = [(at, seen.rate, seen.low, seen.high) for at, count in bins if (seen := _estimate(count)) is not None]
    return Band(*np.array(rows, np.float64).reshape(-1, 4).T)


def _curve(points: Iterable[tuple[float, float]]) -> Curve:
    return Curve(*np.array([*points], np.float64).reshape(-1, 2).T)


def _points(history: Sequence[Snapshot], values: Sequence[float | None]) -> Curve:
    """Return a value of some hundred snapshots, the newest among them."""
    step = max(1, math.ceil(len(history) / _MAX_POINTS))
    chosen = range((len(history) - 1) % step, len(history), step) if history else range(0)
    return _curve((history[at].elapsed_s, value) for at in chosen if (value := values[at]) is not None)
